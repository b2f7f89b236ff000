"""`filters` of a rule and of its backends. Words: HTTPRouteFilter of Gateway API and of Envoy Gateway."""

# ruff: noqa: RUF012  (pydantic copies the defaults of its fields)
from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, Field, model_validator

from edge.control.config.schema.base import (
    EditedHeaderName,
    HeaderName,
    HeaderValue,
    Hostname,
    Name,
    Section,
    between,
    choice,
    fault,
)
from edge.control.config.schema.matches import METHODS, path_value

_LATER: Final = {"ExternalAuth": "use a filter module with an httpCallout"}
BODY_MAX: Final = 4096
"""Characters of a direct response, as in Envoy Gateway: pages belong to an upstream."""

_ORIGIN: Final = re.compile(
    r"[a-z][a-z0-9+.-]*://(\*|(\*\.)?[a-z0-9]([a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?\Z"
)


class ExtensionRef(Section):
    """The rule's chain of WASM filters."""

    group: str = ""
    kind: Annotated[str, choice("FilterChain")]
    name: Name


class Header(Section):
    name: EditedHeaderName
    value: HeaderValue


class HeaderModifier(Section):
    """Applied in the order remove, set, add."""

    set: list[Header] = []
    add: list[Header] = []
    remove: list[EditedHeaderName] = []


def _one_host(value: str) -> str:
    if value.startswith("*"):
        raise fault("wrong-value", f"'{value}' stands for many hosts; requests are sent to one")
    return value


PreciseHostname = Annotated[Hostname, AfterValidator(_one_host)]


class PathModifier(Section):
    """`ReplaceFullPath`: the whole path. `ReplacePrefixMatch`: what the rule's PathPrefix matched."""

    type: Annotated[str, choice("ReplaceFullPath", "ReplacePrefixMatch")]
    replace_full_path: Annotated[str, AfterValidator(path_value)] | None = None
    replace_prefix_match: Annotated[str, AfterValidator(path_value)] | None = None

    @model_validator(mode="after")
    def _value_of_type(self) -> PathModifier:
        wanted = "replaceFullPath" if self.type == "ReplaceFullPath" else "replacePrefixMatch"
        given = {"replaceFullPath": self.replace_full_path, "replacePrefixMatch": self.replace_prefix_match}
        if given.pop(wanted) is None:
            raise fault("missing-field", f"type {self.type} needs {wanted}")
        if any(value is not None for value in given.values()):
            raise fault("wrong-value", f"type {self.type} takes only {wanted}")
        return self


class UrlRewrite(Section):
    """What upstream sees instead of the client's host and path."""

    hostname: PreciseHostname | None = None
    path: PathModifier | None = None


class RequestRedirect(Section):
    """Clients are sent elsewhere; what is not given stays as in the request.

    Without `port` it is that of the given scheme, else the listener's.
    """

    scheme: Annotated[str, choice("http", "https")] | None = None
    hostname: PreciseHostname | None = None
    path: PathModifier | None = None
    port: Annotated[int, between(1, 65535)] | None = None
    status_code: int = 302

    @model_validator(mode="after")
    def _leads_elsewhere(self) -> RequestRedirect:
        if self.status_code not in (301, 302, 303, 307, 308):
            raise fault(
                "wrong-value", f"statusCode must be 301, 302, 303, 307 or 308, not {self.status_code}"
            )
        if not any((self.scheme, self.hostname, self.path, self.port)):
            hint = "give scheme, hostname, path or port"
            raise fault("missing-field", "the redirect leads to where the request was", hint)
        return self


class DirectResponse(Section):
    """edge answers with these bytes, after the rule's filters, in the place of upstream."""

    status_code: Annotated[int, between(200, 599)] = 200
    content_type: HeaderValue = "text/plain"
    body: Annotated[str, Field(max_length=BODY_MAX)] = ""

    @model_validator(mode="after")
    def _may_have_body(self) -> DirectResponse:
        if self.body and self.status_code in (204, 205, 304):
            raise fault("wrong-value", f"a response {self.status_code} has no body")
        return self


def _origin(value: str) -> str:
    if value != "*" and not _ORIGIN.match(value):
        hint = "write https://shop.example, https://*.shop.example, http://localhost:3000 or *"
        raise fault("wrong-value", f"'{value}' is no origin", hint)
    return value


Method = Annotated[str, choice(*METHODS, "*")]


def _alone(values: list[str]) -> list[str]:
    if "*" in values and len(values) > 1:
        raise fault("wrong-value", "* stands for all; nothing can be beside it")
    return values


class Cors(Section):
    """Which pages of other origins may use this rule; preflights are answered before any filter.

    With `allowCredentials`, `*` is answered by what the request asks for, as browsers then want it.
    """

    allow_origins: Annotated[
        list[Annotated[str, AfterValidator(_origin)]], Field(min_length=1, max_length=64)
    ]
    allow_credentials: bool = False
    allow_methods: Annotated[list[Method], Field(max_length=9), AfterValidator(_alone)] = []
    allow_headers: Annotated[list[HeaderName], Field(max_length=64), AfterValidator(_alone)] = []
    expose_headers: Annotated[list[HeaderName], Field(max_length=64), AfterValidator(_alone)] = []
    max_age: Annotated[int, between(1, 86_400)] = 5
    """Seconds a browser may keep the answer to a preflight."""


class MirroredBackend(Section):
    name: Name


class Fraction(Section):
    numerator: Annotated[int, between(0, 1_000_000_000)]
    denominator: Annotated[int, between(1, 1_000_000_000)] = 100

    @model_validator(mode="after")
    def _at_most_one(self) -> Fraction:
        if self.numerator > self.denominator:
            raise fault("wrong-value", "numerator may not be larger than denominator")
        return self


class RequestMirror(Section):
    """Copies of requests go to another cluster too, whose answers are dropped. All, without a share."""

    backend_ref: MirroredBackend
    percent: Annotated[int, between(0, 100)] | None = None
    fraction: Fraction | None = None

    @model_validator(mode="after")
    def _one_share(self) -> RequestMirror:
        if self.percent is not None and self.fraction is not None:
            raise fault("wrong-value", "give percent or fraction, not both")
        return self


_FIELD_OF_TYPE: Final = {
    "ExtensionRef": "extensionRef",
    "RequestHeaderModifier": "requestHeaderModifier",
    "ResponseHeaderModifier": "responseHeaderModifier",
    "RequestRedirect": "requestRedirect",
    "URLRewrite": "urlRewrite",
    "RequestMirror": "requestMirror",
    "CORS": "cors",
    "DirectResponse": "directResponse",
}


def _only_field(section: BaseModel, kind: str) -> None:
    """Of a filter's fields that one is given which `kind` names."""
    wanted = _FIELD_OF_TYPE[kind]
    fields = {
        field.alias or name: name for name, field in type(section).model_fields.items() if name != "type"
    }
    if getattr(section, fields.pop(wanted)) is None:
        raise fault("missing-field", f"type {kind} needs {wanted}")
    for alias, name in fields.items():
        if getattr(section, name) is not None:
            raise fault("wrong-value", f"type {kind} does not take {alias}")


class RouteFilter(Section):
    """`type` names the one field beside it that is given."""

    type: Annotated[str, choice(*_FIELD_OF_TYPE, later=_LATER)]
    extension_ref: ExtensionRef | None = None
    request_header_modifier: HeaderModifier | None = None
    response_header_modifier: HeaderModifier | None = None
    request_redirect: RequestRedirect | None = None
    url_rewrite: UrlRewrite | None = None
    request_mirror: RequestMirror | None = None
    cors: Cors | None = None
    direct_response: DirectResponse | None = None

    @model_validator(mode="after")
    def _field_of_type(self) -> RouteFilter:
        _only_field(self, self.type)
        return self


class BackendFilter(Section):
    """`type` names the one field beside it that is given; for requests to this backend only."""

    type: Annotated[str, choice("RequestHeaderModifier", "ResponseHeaderModifier")]
    request_header_modifier: HeaderModifier | None = None
    response_header_modifier: HeaderModifier | None = None

    @model_validator(mode="after")
    def _field_of_type(self) -> BackendFilter:
        _only_field(self, self.type)
        return self
