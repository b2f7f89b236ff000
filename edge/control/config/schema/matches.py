"""What a rule matches: path, headers, query parameters, method. Words: Gateway API HTTPRouteMatch."""

# ruff: noqa: RUF012  (pydantic copies the defaults of its fields)
from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from edge.control.config.schema.base import HeaderName, Section, choice, fault, header_value
from edge.errors import BadRequest
from edge.route.pattern import PatternError, whole
from edge.syntax import canonical_authority, canonical_path

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
_NEVER_SEEN: Final = frozenset(
    ("connection", "expect", "keep-alive", "proxy-connection", "transfer-encoding")
)
"""Headers of one connection: edge takes them off before it matches."""
_AS_PATTERN: Final = "write it in RE2's syntax; it must match the whole value"


def path_value(value: str) -> str:
    """A path that a request can have: canonical, without query."""
    if not value.startswith("/"):
        raise fault("wrong-value", f"'{value}' must begin with /")
    if "?" in value or "#" in value:
        raise fault("wrong-value", "a path has no query and no fragment")
    try:
        canonical = canonical_path(value.encode()).decode()
    except BadRequest as error:
        raise fault("wrong-value", f"no request can have the path '{value}': {error.detail}") from None
    if canonical != value:
        hint = "requests are compared after . and .., double slashes and needless %-escapes are gone"
        raise fault("wrong-value", f"'{value}' would never match (did you mean {canonical}?)", hint)
    return value


def _pattern(value: str, encoding: str) -> None:
    try:
        encoded = value.encode(encoding)
    except UnicodeEncodeError:
        raise fault("wrong-value", f"a pattern here holds only {encoding} characters") from None
    try:
        whole(encoded)
    except PatternError as error:
        raise fault("wrong-value", str(error), _AS_PATTERN) from None


class PathMatch(Section):
    """`Exact`: the whole path. `PathPrefix`: whole segments, a last `/` counts for nothing.

    `RegularExpression`: RE2, the whole path without query; it is tried after Exact, before PathPrefix.
    """

    type: Annotated[str, choice("Exact", "PathPrefix", "RegularExpression")] = "PathPrefix"
    value: str = "/"

    @field_validator("value")
    @classmethod
    def _value_of_type(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("type") == "RegularExpression":
            _pattern(value, "ascii")
        else:
            path_value(value)
        return value


class HeaderMatch(Section):
    """The first value of a header, `Exact` or, whole, by a `RegularExpression` of RE2."""

    type: Annotated[str, choice("Exact", "RegularExpression")] = "Exact"
    name: HeaderName
    value: str

    @field_validator("name")
    @classmethod
    def _seen(cls, name: str) -> str:
        if name in _NEVER_SEEN:
            raise fault("wrong-value", f"'{name}' belongs to one connection and is never matched")
        return name

    @field_validator("value")
    @classmethod
    def _value_of_type(cls, value: str, info: ValidationInfo) -> str:
        name = info.data.get("name")
        if info.data.get("type") == "RegularExpression":
            _pattern(value, "latin-1")
        elif name == "host":
            _host_value(value)
        elif name == "content-length" and not (value.isascii() and value.isdigit()):
            raise fault("wrong-value", f"content-length is a number, not '{value}'")
        else:
            header_value(value)
        return value


def _host_value(value: str) -> None:
    try:
        canonical = canonical_authority(value.encode()).decode()
    except BadRequest as error:
        raise fault("wrong-value", f"no request can have the host '{value}': {error.detail}") from None
    if canonical != value:
        raise fault("wrong-value", f"'{value}' would never match (did you mean {canonical}?)")


class QueryParamMatch(Section):
    """The first value of a query parameter, after %-escapes and `+` are decoded."""

    type: Annotated[str, choice("Exact", "RegularExpression")] = "Exact"
    name: Annotated[str, Field(min_length=1, max_length=256)]
    value: Annotated[str, Field(max_length=1024)]

    @field_validator("value")
    @classmethod
    def _value_of_type(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("type") == "RegularExpression":
            _pattern(value, "utf-8")
        return value


def _headers_once(entries: list[HeaderMatch]) -> list[HeaderMatch]:
    _named_once([entry.name for entry in entries], "header")
    return entries


def _parameters_once(entries: list[QueryParamMatch]) -> list[QueryParamMatch]:
    _named_once([entry.name for entry in entries], "query parameter")
    return entries


def _named_once(names: list[str], kind: str) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        hint = "a RegularExpression can hold several values, other matches of the rule are alternatives"
        raise fault("duplicate", f"a second match of the {kind} '{twice}'; only the first would count", hint)


class Match(Section):
    """All parts must hold."""

    path: PathMatch = PathMatch()
    headers: Annotated[list[HeaderMatch], Field(max_length=16), AfterValidator(_headers_once)] = []
    query_params: Annotated[
        list[QueryParamMatch], Field(max_length=16), AfterValidator(_parameters_once)
    ] = []
    method: Annotated[str, choice(*METHODS)] | None = None
