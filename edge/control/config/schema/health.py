"""`healthCheck` of a cluster. Words: Envoy Gateway BackendTrafficPolicy."""

# ruff: noqa: RUF012  (pydantic copies the defaults of its fields)

from __future__ import annotations

import re
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, model_validator

from edge.control.config.quantity import is_host_name
from edge.control.config.schema.base import Duration, Section, between, choice, fault

_TARGET = re.compile(r"/[!-~]{0,1023}\Z")
_METHODS = ("GET", "HEAD", "OPTIONS")
_STATUS = between(100, 599)


def _target(value: str) -> str:
    if not _TARGET.match(value):
        raise fault("wrong-value", f"'{value}' is no path", "begin with / and write what is not ASCII as %XX")
    return value


def _authority(value: str) -> str:
    if not is_host_name(value.rpartition(":")[0] or value):
        raise fault("wrong-value", f"'{value}' is no host name")
    return value


class HttpCheck(Section):
    """The probe's request, and the statuses that say the endpoint is well. `hostname`: its Host."""

    path: Annotated[str, AfterValidator(_target)]
    method: Annotated[str, choice(*_METHODS)] = "GET"
    hostname: Annotated[str, AfterValidator(_authority)] | None = None
    expected_statuses: Annotated[list[Annotated[int, _STATUS]], Field(min_length=1, max_length=100)] = [200]


class GrpcCheck(Section):
    """grpc.health.v1.Health/Check of `service`, of the whole server unless it is given."""

    service: Annotated[str, Field(max_length=256)] = ""


class ActiveHealthCheck(Section):
    """Each endpoint is probed every `interval`, give or take a tenth. The first probe decides at once.

    Type HTTP needs `http`; TCP only connects. Probes go over TLS where the cluster does.
    """

    later: ClassVar = {
        "initialJitter": "first probes are spread over 200 ms; leave it out",
        "tcp": "a TCP probe only connects; leave it out",
        "overrides": "probes go where requests go",
    }
    type: Annotated[str, choice("HTTP", "GRPC", "TCP")]
    interval: Annotated[Duration, between(0.05, 3600, "s")] = 3.0
    timeout: Annotated[Duration, between(0.01, 300, "s")] = 1.0
    healthy_threshold: Annotated[int, between(1, 100)] = 1
    unhealthy_threshold: Annotated[int, between(1, 100)] = 3
    http: HttpCheck | None = None
    grpc: GrpcCheck | None = None

    @model_validator(mode="after")
    def _details(self) -> ActiveHealthCheck:
        if self.type == "HTTP" and self.http is None:
            raise fault("missing-field", "type HTTP needs http, with the path to ask for")
        for kind, details in (("HTTP", self.http), ("GRPC", self.grpc)):
            if details is not None and self.type != kind:
                raise fault("wrong-value", f"{kind.lower()} belongs to type {kind}, not {self.type}")
        return self


class PassiveHealthCheck(Section):
    """An endpoint that fails is left alone for `baseEjectionTime` times the number of its ejections.

    `consecutive5XxErrors`, `consecutiveGatewayErrors` (502, 503, 504): responses in a row, and tries
    without one. `consecutiveLocalOriginFailures`: tries without any response. 0 = not counted.
    `interval`: each such time without ejection one former ejection is forgotten. Each worker judges
    for itself. `maxEjectionPercent` of the endpoints, but at least one, may be ejected at a time.
    """

    consecutive_5xx_errors: Annotated[int, between(0, 1_000_000)] = 5
    consecutive_gateway_errors: Annotated[int, between(0, 1_000_000)] = 0
    consecutive_local_origin_failures: Annotated[int, between(0, 1_000_000)] = 5
    interval: Annotated[Duration, between(0.001, 3600, "s")] = 3.0
    base_ejection_time: Annotated[Duration, between(0.001, 86400, "s")] = 30.0
    max_ejection_time: Annotated[Duration, between(0.001, 86400, "s")] = 300.0
    max_ejection_percent: Annotated[int, between(0, 100)] = 50

    @model_validator(mode="after")
    def _ordered(self) -> PassiveHealthCheck:
        if self.max_ejection_time < self.base_ejection_time:
            raise fault("wrong-value", "maxEjectionTime may not be shorter than baseEjectionTime")
        return self


class HealthCheck(Section):
    """With fewer than `panicThreshold` percent of the endpoints usable, all of them are used."""

    active: ActiveHealthCheck | None = None
    passive: PassiveHealthCheck | None = None
    panic_threshold: Annotated[int, between(0, 100)] = 50
