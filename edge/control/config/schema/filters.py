"""`modules` and `filterChains`: what may run, and in which order."""

# ruff: noqa: RUF012  (pydantic copies the defaults of its fields)
from __future__ import annotations

import json
import re
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from edge.builtin import NAMES
from edge.control.config.schema.base import Count, Duration, Name, Section, Size, between, choice, fault

_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_ENV_NAME = re.compile(r"[^=\0]{1,256}\Z")


def _digest(value: str) -> str:
    if not _DIGEST.match(value):
        raise fault("wrong-value", "must be 64 lower-case hex digits", "`edge filter inspect FILE` prints it")
    return value


def _url(value: str) -> str:
    scheme, colon, _ = value.partition("://")
    if colon and scheme in ("oci", "http", "https"):
        hint = "download the module and name the file here"
        raise fault("not-supported", f"{scheme}:// is not supported by this version", hint)
    if (colon and scheme != "file") or not value:
        raise fault("wrong-value", f"'{value}' is no module address", "write file:///path or a relative path")
    return value


class Module(Section):
    """A file (`url`, a file:// address or a path relative to the configuration), or a `builtin`."""

    later: ClassVar = {
        "imagePullPolicy": "it belongs to oci:// modules; leave it out",
        "publicKey": "pin the module by sha256 instead",
    }
    url: Annotated[str, AfterValidator(_url)] | None = None
    builtin: Annotated[str, choice(*NAMES)] | None = None
    sha256: Annotated[str, AfterValidator(_digest)] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Module:
        if (self.url is None) == (self.builtin is None):
            raise fault("missing-field", "give either url or builtin")
        return self


def _secret_ref(value: str) -> str:
    kind, colon, rest = value.partition(":")
    if kind not in ("file", "env") or not colon or not rest:
        raise fault("wrong-value", f"'{value}' is no reference", "write file:/path/of/secret or env:VARIABLE")
    return value


class Secret(Section):
    """`{secretRef: file:PATH | env:NAME}`, read by the supervisor when the file is loaded."""

    secret_ref: Annotated[str, AfterValidator(_secret_ref)]


def _literal_or_secret(value: object) -> object:
    # A literal is wrapped, so that the schema has one shape and errors have one place.
    if isinstance(value, dict):
        return value
    if isinstance(value, str):
        return Literal(value)
    raise fault("wrong-type", "must be a string or {secretRef: …}", "write numbers in quotes")


class Literal(str):
    """A value that stands in the file itself."""


def _env(value: dict[str, object]) -> dict[str, object]:
    for name in value:
        if not _ENV_NAME.match(name):
            raise fault("wrong-value", f"'{name}' is no name of a variable")
    return value


def _value_or_secret(value: object) -> Literal | Secret:
    checked = _literal_or_secret(value)
    return checked if isinstance(checked, Literal) else Secret.model_validate(checked)


SecretValue = Annotated[Any, BeforeValidator(_value_or_secret)]
Environment = Annotated[dict[str, SecretValue], AfterValidator(_env)]

FAIL_RELOAD = "this is the default: a filter that trapped gets a new instance at once; leave the field out"


class Allow(Section):
    """Clusters a filter may choose as backend, and clusters it may call. Nothing else is reachable."""

    backends: list[Name] = []
    http_callouts: list[Name] = []


class Limits(Section):
    """Budgets of one filter; each call is one hook."""

    memory: Annotated[Size, between(64 << 10, 32 << 20, "B")] = 32 << 20
    cpu_per_call: Annotated[Duration, between(0.001, 1, "s")] = 0.010
    cpu_per_request: Annotated[Duration, between(0.001, 5, "s")] = 0.050
    host_calls: Count = 10_000
    bytes_copied: Annotated[Size, between(64 << 10, 1 << 30, "B")] | None = None
    """None = 1 MiB and four times `body`."""
    callouts: Annotated[int, between(0, 1000)] = 32
    pause: Annotated[Duration, between(0.01, 300, "s")] = 5.0
    body: Annotated[Size, between(0, 64 << 20, "B")] = 1 << 20


class Filter(Section):
    """One filter of a chain. `config` and `vmConfig` are opaque: a string goes to the module as it
    is, anything else as compact JSON in the order of the file.

    `singleton`: ticks come in the first worker only. Otherwise each worker has its own, as in Envoy.
    """

    later: ClassVar = {
        "when": "conditions are not supported yet; split the rule with matches instead",
        "versions": "weights are not supported yet; name one module",
        "priority": "filters run in the order of the list",
        "phase": "filters run in the order of the list",
    }
    name: Name
    module: Name
    root_id: str = ""
    vm_id: str = ""
    vm_config: Any = None
    config: Any = None
    env: Environment = {}
    isolation: Annotated[str, choice("Shared", "Request")] = "Shared"
    singleton: bool = False
    pause_headers: Annotated[
        str, choice("StopAll", later={"StopIteration": "a filter that pauses at the head holds the body too"})
    ] = "StopAll"
    allow: Allow = Allow()
    limits: Limits = Limits()
    fail_strategy: Annotated[str, choice("FAIL_CLOSE", "FAIL_OPEN", later={"FAIL_RELOAD": FAIL_RELOAD})] = (
        "FAIL_CLOSE"
    )
    non_utf8: Annotated[str, Field(alias="nonUtf8"), choice("transcode", "raw", "reject")] = "transcode"


Chain = Annotated[list[Filter], Field(min_length=1)]


def opaque(value: object) -> bytes:
    """The bytes a guest gets for `config` or `vmConfig`."""
    if value is None:
        return b""
    if isinstance(value, str):
        return value.encode()
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
