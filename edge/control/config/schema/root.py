"""The whole file."""

# ruff: noqa: RUF012  (pydantic copies the defaults of its fields)
from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field

from edge.control.config.schema.base import Address, Count, Duration, Name, Section, Size, between, fault
from edge.control.config.schema.clusters import Cluster
from edge.control.config.schema.filters import Chain, Module
from edge.control.config.schema.listeners import Admin, Listener
from edge.control.config.schema.routes import Route
from edge.control.config.schema.telemetry import Telemetry


def _version(value: object) -> object:
    if type(value) is int and value == 1:
        return value
    if value == "1":
        raise fault("wrong-type", "must be the number 1, not a text", "leave the quotes out")
    raise fault("wrong-value", f"must be 1, not {value}", "1 is the only version of the file so far")


class EdgeLimits(Section):
    """Limits on clients. `body` 0 = unlimited (bodies stream; filters that buffer have their own).

    `maxConnections`: of all workers together. `maxConnectionsPerAddress`: of one IPv4 address or
    IPv6 /64, half of `maxConnections` unless given, 0 = no limit. `maxStreams`: of one HTTP/2 or
    HTTP/3 connection. `minRate`: bytes a second that a request body, or the reading of an answer,
    must make over each 10 s; gRPC, tunnels and bodies that are answered already may take their time;
    0 = no limit. `sendTimeout`: a client may take nothing of an answer for so long, as who pauses a
    download does; no longer than `bodyIdleTimeout`, which alone counts while `minRate` is 0. `memory`:
    of each worker, its part of the machine's or container's unless given; at 92 % of it connections
    are let go, at 95 % new requests get 503.
    """

    head: Annotated[Size, between(1 << 10, 1 << 20, "B")] = 60 << 10
    head_fields: Annotated[int, between(8, 1000)] = 100
    target: Annotated[Size, between(256, 64 << 10, "B")] = 16 << 10
    body: Size = 0
    head_timeout: Annotated[Duration, between(0.1, 300, "s")] = 10.0
    idle_timeout: Annotated[Duration, between(0.1, 86400, "s")] = 3600.0
    body_idle_timeout: Annotated[Duration, between(0.1, 3600, "s")] = 300.0
    send_timeout: Annotated[Duration, between(0.1, 3600, "s")] = 60.0
    max_connections: Count = 10_000
    max_connections_per_address: Annotated[int, between(0, 1_000_000)] | None = None
    max_streams: Annotated[int, between(1, 1000)] = 100
    min_rate: Annotated[Size, between(0, 1 << 30, "B")] = 500
    memory: Annotated[Size, between(0, 1 << 46, "B")] = 0


class Dns(Section):
    """Who looks names up. `nameservers`: ADDRESS:PORT, else those of the system; `timeout` of a look-up."""

    nameservers: Annotated[list[Address], Field(max_length=8)] = []
    timeout: Annotated[Duration, between(0.05, 60, "s")] = 2.0


class Root(Section):
    """One file, one node."""

    later: ClassVar = {
        "stores": "shared stores are not supported yet",
        "tenants": "one trust domain for now",
    }
    version: Annotated[int, BeforeValidator(_version)]
    admin: Admin = Admin()
    listeners: Annotated[list[Listener], Field(min_length=1)]
    modules: dict[Name, Module] = {}
    filter_chains: dict[Name, Chain] = {}
    routes: list[Route] = []
    clusters: list[Cluster] = []
    dns: Dns = Dns()
    limits: EdgeLimits = EdgeLimits()
    telemetry: Telemetry = Telemetry()
