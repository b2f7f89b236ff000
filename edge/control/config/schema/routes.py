"""`routes`: which requests go where, through which chain. Words: Gateway API HTTPRoute v1."""

# ruff: noqa: RUF012  (pydantic copies the defaults of its fields)
from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from edge.control.config.schema.base import (
    Duration,
    Hostname,
    Name,
    Section,
    between,
    choice,
    fault,
)
from edge.control.config.schema.matches import Match
from edge.control.config.schema.retry import Retry
from edge.control.config.schema.route_filters import BackendFilter, RouteFilter


class BackendRef(Section):
    """A cluster and its share of the rule's requests; weight 0 = none."""

    later: ClassVar = {"port": "the cluster's endpoints have ports"}
    name: Name
    weight: Annotated[int, between(0, 1_000_000)] = 1
    filters: Annotated[list[BackendFilter], Field(max_length=2)] = []


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
        "sessionPersistence": "the ab-split filter keeps a cookie",
    }
    name: Name | None = None
    matches: Annotated[list[Match], Field(min_length=1, max_length=64)] = [Match()]
    filters: Annotated[list[RouteFilter], Field(max_length=16)] = []
    backend_refs: Annotated[list[BackendRef], Field(max_length=16)] = []
    """Required, but for rules that redirect or answer by themselves."""
    timeouts: Timeouts = Timeouts()
    retry: Retry | None = None
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
