"""`routes`: which requests go where, through which chain. Words: Gateway API HTTPRoute v1."""

# ruff: noqa: RUF012  (pydantic copies the defaults of its fields)
from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, model_validator

from edge.control.config.schema.base import (
    Duration,
    EditedHeaderName,
    HeaderValue,
    Hostname,
    Name,
    Section,
    choice,
    fault,
)
from edge.control.config.schema.matches import Match, path_value

_FILTERS_LATER = {
    "RequestRedirect": "redirects are not supported yet",
    "RequestMirror": "mirroring is not supported yet",
    "CORS": "CORS is not supported yet; a filter can answer preflights",
    "ExternalAuth": "use a filter module with an httpCallout",
}


class ExtensionRef(Section):
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


class PathRewrite(Section):
    type: Annotated[str, choice("ReplaceFullPath", "ReplacePrefixMatch")]
    replace_full_path: Annotated[str, AfterValidator(path_value)] | None = None
    replace_prefix_match: Annotated[str, AfterValidator(path_value)] | None = None

    @model_validator(mode="after")
    def _value_of_type(self) -> PathRewrite:
        wanted = "replaceFullPath" if self.type == "ReplaceFullPath" else "replacePrefixMatch"
        given = {"replaceFullPath": self.replace_full_path, "replacePrefixMatch": self.replace_prefix_match}
        if given.pop(wanted) is None:
            raise fault("missing-field", f"type {self.type} needs {wanted}")
        if any(value is not None for value in given.values()):
            raise fault("wrong-value", f"type {self.type} takes only {wanted}")
        return self


class UrlRewrite(Section):
    hostname: Hostname | None = None
    path: PathRewrite | None = None


_FIELD_OF_TYPE = {
    "ExtensionRef": "extensionRef",
    "RequestHeaderModifier": "requestHeaderModifier",
    "ResponseHeaderModifier": "responseHeaderModifier",
    "URLRewrite": "urlRewrite",
}


class RouteFilter(Section):
    """`type` names the one field beside it that is given."""

    type: Annotated[str, choice(*_FIELD_OF_TYPE, later=_FILTERS_LATER)]
    extension_ref: ExtensionRef | None = None
    request_header_modifier: HeaderModifier | None = None
    response_header_modifier: HeaderModifier | None = None
    url_rewrite: UrlRewrite | None = None

    @model_validator(mode="after")
    def _field_of_type(self) -> RouteFilter:
        given = {
            "extensionRef": self.extension_ref,
            "requestHeaderModifier": self.request_header_modifier,
            "responseHeaderModifier": self.response_header_modifier,
            "urlRewrite": self.url_rewrite,
        }
        wanted = _FIELD_OF_TYPE[self.type]
        if given.pop(wanted) is None:
            raise fault("missing-field", f"type {self.type} needs {wanted}")
        for name, value in given.items():
            if value is not None:
                raise fault("wrong-value", f"type {self.type} does not take {name}")
        return self


class BackendRef(Section):
    later: ClassVar = {
        "weight": "one backend for now; the ab-split filter splits traffic",
        "filters": "write them at the rule",
        "port": "the cluster's endpoints have ports",
    }
    name: Name


def _one_backend(backends: list[BackendRef]) -> list[BackendRef]:
    if len(backends) != 1:
        hint = "the ab-split filter splits traffic between clusters"
        raise fault("not-supported", f"{len(backends)} backends; this version takes exactly one", hint)
    return backends


class Timeouts(Section):
    """0s = none. `request` bounds the whole exchange, `backendRequest` each attempt's response head."""

    request: Duration = 0.0
    backend_request: Duration = 60.0

    @model_validator(mode="after")
    def _ordered(self) -> Timeouts:
        given = "backend_request" in self.model_fields_set
        if given and self.request and self.backend_request > self.request:
            raise fault("wrong-value", "backendRequest may not be longer than request")
        return self


class Observability(Section):
    """`minimal` = server and client spans, `detailed` = and a span for each filter."""

    trace_verbosity: Annotated[
        str, choice("minimal", "detailed", later={"debug": "detailed is the most this version records"})
    ] = "detailed"


class Rule(Section):
    later: ClassVar = {
        "retry": "one silent retry on a reused connection is made; others are not supported yet",
        "sessionPersistence": "the ab-split filter keeps a cookie",
    }
    name: Name | None = None
    matches: Annotated[list[Match], Field(min_length=1, max_length=64)] = [Match()]
    filters: Annotated[list[RouteFilter], Field(max_length=16)] = []
    backend_refs: Annotated[list[BackendRef], AfterValidator(_one_backend)]
    timeouts: Timeouts = Timeouts()
    observability: Observability = Observability()


class ParentRef(Section):
    later: ClassVar = {"sectionName": "name a listener with name", "port": "name a listener with name"}
    name: Name


class Route(Section):
    """`parentRefs` name listeners; no `hostnames` = all."""

    name: Name
    parent_refs: Annotated[list[ParentRef], Field(min_length=1)]
    hostnames: list[Hostname] = []
    rules: Annotated[list[Rule], Field(min_length=1)]
