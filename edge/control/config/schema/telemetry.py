"""`telemetry`: traces, access log. Words: Traefik tracing, OpenTelemetry environment names."""

# ruff: noqa: RUF012  (pydantic copies the defaults of its fields)
from __future__ import annotations

from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator

from edge.control.config.schema.base import HeaderName, Network, Section, between, choice, fault
from edge.control.config.schema.filters import SecretValue


def _endpoint(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise fault("wrong-value", f"'{value}' is no collector address", "write http://127.0.0.1:4318")
    if parts.port == 4317:
        hint = "4317 is the gRPC port; OTLP over HTTP is usually on 4318"
        raise fault("wrong-value", "edge posts OTLP over HTTP, not gRPC", hint)
    return value.rstrip("/")


class Otlp(Section):
    """`endpoint` without /v1/traces."""

    protocol: Annotated[str, choice("http/protobuf", later={"grpc": "write http/protobuf and port 4318"})] = (
        "http/protobuf"
    )
    endpoint: Annotated[str, AfterValidator(_endpoint)]
    headers: dict[HeaderName, SecretValue] = {}


class Sampler(Section):
    """`ratio` 0..1 of new traces; a trusted peer's sampled flag wins."""

    later: ClassVar = {
        "alwaysKeep": "the decision is made at the start of a request; raise the ratio instead",
    }
    type: Annotated[
        str,
        choice(
            "parentbased_traceidratio",
            later={"jaeger_remote": "write parentbased_traceidratio"},
        ),
    ] = "parentbased_traceidratio"
    ratio: Annotated[float, between(0, 1)] = 0.01


Format = Annotated[str, choice("w3c", "b3", "jaeger")]
Injected = Annotated[str, choice("w3c", "b3", "b3multi", "jaeger")]


class Propagation(Section):
    """Read in this order, then removed as `clear` says, then written as `inject` says."""

    extract: list[Format] = ["w3c", "b3", "jaeger"]
    clear: list[HeaderName] = []
    inject: list[Injected] = ["w3c"]


class Tracing(Section):
    later: ClassVar = {
        "capturedRequestHeaders": "a filter can set span attributes from headers",
        "capturedResponseHeaders": "a filter can set span attributes from headers",
    }
    enabled: bool = True
    otlp: Otlp | None = None
    sampler: Sampler = Sampler()
    propagation: Propagation = Propagation()
    safe_query_params: list[str] = []


class AccessLog(Section):
    """`path` is a file, relative to the configuration, or `stdout`."""

    path: str
    format: Annotated[str, choice("json", later={"text": "write json"})] = "json"


class Telemetry(Section):
    """`trust`: peers whose sampled flag counts; others keep their trace id only."""

    later: ClassVar = {"metrics": "admin serves /metrics; leave it out"}
    service_name: str = "edge"
    resource: dict[str, str] = {}
    trust: list[Network] = []
    tracing: Tracing = Tracing()
    access_log: AccessLog | None = None
