"""What every section of the file shares: strictness, and scalars with good error texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from typing import Annotated, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainValidator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError, core_schema

from edge.control.config.problem import did_you_mean
from edge.control.config.quantity import HostPort, duration_s, host_port, is_host_name, is_ip, size_bytes

_NAME = re.compile(r"[a-z0-9]([-a-z0-9_.]{0,61}[a-z0-9])?\Z", re.IGNORECASE)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}\Z")
_FIELD_VALUE = re.compile(r"[!-~\x80-\xff]([\t -~\x80-\xff]*[!-~\x80-\xff])?\Z")
FRAMING = frozenset(
    {
        "connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade",
    }
)  # fmt: skip
"""Headers that frame a message: edge writes them anew, no rule may touch them."""


class Section(BaseModel):
    """A mapping of the file. Unknown keys are refused, as are those in `later`."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True, frozen=True)

    later: ClassVar[Mapping[str, str]] = {}
    """Keys of the full schema that this version does not carry out, and what to do instead."""


def fault(code: str, message: str, hint: str = "") -> PydanticCustomError:
    """An error that reaches the user as it is."""
    return PydanticCustomError("edge", "{message}", {"code": code, "message": message, "hint": hint})


def choice(*known: str, later: Mapping[str, str] | None = None) -> BeforeValidator:
    """One of `known`; those of `later` are refused with their reason."""

    def check(value: object) -> object:
        if isinstance(value, str) and value in known:
            return value
        if isinstance(value, str) and later and value in later:
            raise fault("not-supported", f"'{value}' is not supported by this version", later[value])
        listed = known[0] if len(known) == 1 else f"{', '.join(known[:-1])} or {known[-1]}"
        shown = f"'{value}'" if isinstance(value, str) else str(value)
        raise fault("wrong-value", f"must be {listed}, not {shown}{did_you_mean(value, known)}")

    return BeforeValidator(check, json_schema_input_type=Literal[known])


def _from(parse: Callable[[object], object]) -> Callable[[object], object]:
    def check(value: object) -> object:
        try:
            return parse(value)
        except ValueError as error:
            raise fault("wrong-value", str(error)) from None

    return check


def _name(value: str) -> str:
    if not _NAME.match(value):
        hint = "use letters, digits, '-', '_' and '.', at most 63, with a letter or digit at both ends"
        raise fault("wrong-value", f"'{value}' is no valid name", hint)
    return value


def _header_name(value: str) -> str:
    if not _TOKEN.match(value):
        raise fault("wrong-value", f"'{value}' is no header name")
    return value.lower()


def _edited_name(value: str) -> str:
    name = _header_name(value)
    if name in FRAMING:
        raise fault("wrong-value", f"'{value}' frames the message; edge writes it and no rule may change it")
    return name


def header_value(value: str) -> str:
    """A value that can be sent as it is."""
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        raise fault("wrong-value", "a header value holds only Latin-1 characters") from None
    if value and not _FIELD_VALUE.match(value):
        raise fault("wrong-value", "a header value has no control characters, and no space at its ends")
    return value


def _hostname(value: str) -> str:
    host = value.removeprefix("*.")
    if is_ip(host):
        raise fault("wrong-value", f"'{value}' is an IP address; a hostname is a DNS name")
    if host != host.lower():
        raise fault("wrong-value", f"'{value}' must be lower case (did you mean {value.lower()}?)")
    if not is_host_name(host) or ("*" in host):
        raise fault("wrong-value", f"'{value}' is no hostname", "write shop.example or *.shop.example")
    return value


def _cidr(value: str) -> str:
    try:
        ip_network(value)
    except ValueError as error:
        raise fault("wrong-value", f"'{value}' is no network: {error}", "write it like 10.0.0.0/8") from None
    return value


def _shown(number: float, unit: str) -> str:
    if unit != "B":
        return f"{number:,}{unit}" if isinstance(number, int) else f"{number:g}{unit}"
    for factor, suffix in ((1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")):
        if number and number % factor == 0:
            return f"{int(number) // factor}{suffix}"
    return f"{int(number)}"


def between(low: float, high: float, unit: str = "") -> AfterValidator:
    """A number from `low` to `high`, both included. Unit `B` shows them as sizes."""

    def check(value: float) -> float:
        if not low <= value <= high:
            raise fault("wrong-value", f"must be from {_shown(low, unit)} to {_shown(high, unit)}")
        return value

    return _Between(check, low, high)


class _Between(AfterValidator):
    """The bounds of a plain number stand in the JSON Schema too."""

    def __init__(self, check: Callable[[float], float], low: float, high: float) -> None:
        super().__init__(check)
        self._bounds: dict[str, float]
        object.__setattr__(self, "_bounds", {"minimum": low, "maximum": high})  # the class is frozen

    def __get_pydantic_json_schema__(
        self, core: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        made = handler(core)
        return made | self._bounds if made.get("type") in ("integer", "number") else made


_DURATION_TEXT = Annotated[
    str, Field(pattern="^([0-9]{1,5}(h|m|s|ms)){1,4}$", examples=["500ms", "10s", "1h"])
]
_SIZE_TEXT = Annotated[str, Field(pattern="^[0-9]{1,15}(Ki|Mi|Gi|k|M|G)?$", examples=["64Ki", "32Mi"])]
_ADDRESS_TEXT = Annotated[str, Field(pattern=":[0-9]{1,5}$", examples=["127.0.0.1:8080", "shop.internal:80"])]

Name = Annotated[str, AfterValidator(_name)]
Duration = Annotated[float, BeforeValidator(_from(duration_s), json_schema_input_type=_DURATION_TEXT)]
Size = Annotated[int, BeforeValidator(_from(size_bytes), json_schema_input_type=int | _SIZE_TEXT)]
Address = Annotated[HostPort, PlainValidator(_from(host_port), json_schema_input_type=_ADDRESS_TEXT)]
HeaderName = Annotated[str, AfterValidator(_header_name)]
EditedHeaderName = Annotated[str, AfterValidator(_edited_name)]
HeaderValue = Annotated[str, AfterValidator(header_value)]
Hostname = Annotated[str, AfterValidator(_hostname)]
Network = Annotated[str, AfterValidator(_cidr)]
Count = Annotated[int, between(1, 1_000_000)]
