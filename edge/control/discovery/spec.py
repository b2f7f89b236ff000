"""What the supervisor watches for a cluster, as plain data that crosses from the drafting child."""

from __future__ import annotations

import msgspec

from edge.model import UpstreamTls


class _Data(msgspec.Struct, frozen=True, kw_only=True):
    pass


class Place(_Data, frozen=True):
    """One address of the file: `host` is an IP address, or a name that may stand for several."""

    host: str
    port: int
    weight: int = 1


class Check(_Data, frozen=True):
    """An active health check. Source: Envoy Gateway BackendTrafficPolicy healthCheck.active."""

    type: str
    """`HTTP`, `GRPC` or `TCP`."""
    interval_s: float = 3.0
    timeout_s: float = 1.0
    healthy_threshold: int = 1
    unhealthy_threshold: int = 3
    path: str = "/"
    method: str = "GET"
    hostname: str = ""
    """The Host of an HTTP probe, empty = the cluster's SNI, else the endpoint's address."""
    expected_statuses: tuple[int, ...] = (200,)
    service: str = ""
    """The service asked for by grpc.health.v1, empty = the server as a whole."""


class Watch(_Data, frozen=True):
    """One cluster. `refresh_s` is the longest time between two look-ups of a name."""

    cluster: str
    places: tuple[Place, ...]
    refresh_s: float = 300.0
    check: Check | None = None
    protocol: str = "h1"
    tls: UpstreamTls | None = None


class Dns(_Data, frozen=True):
    """Who is asked. No `nameservers` = those of the system's resolv.conf."""

    nameservers: tuple[tuple[str, int], ...] = ()
    timeout_s: float = 2.0
