"""`clusters`: endpoints behind one name. Words: Envoy Gateway BackendTrafficPolicy."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from edge.control.config.quantity import HostPort
from edge.control.config.schema.base import Address, Count, Duration, Name, Section, between, choice, fault


def _has_port(address: HostPort) -> HostPort:
    if not address.port:
        raise fault("wrong-value", "an endpoint needs a port")
    return address


class Endpoint(Section):
    later: ClassVar = {"weight": "endpoints are taken in turn; leave it out"}
    address: Annotated[Address, AfterValidator(_has_port)]


class Discovery(Section):
    later: ClassVar = {
        "host": "it belongs to type DNS; write the address as an endpoint",
        "port": "it belongs to type DNS; write the address as an endpoint",
        "refresh": "it belongs to type DNS; names are resolved at each connect",
    }
    type: Annotated[str, choice("Static", later={"DNS": "write Static; names are resolved"})]
    endpoints: Annotated[list[Endpoint], Field(min_length=1)]


class TcpTimeout(Section):
    connect_timeout: Annotated[Duration, between(0.001, 300, "s")] = 1.0


class HttpTimeout(Section):
    connection_idle_timeout: Annotated[Duration, between(0.001, 86400, "s")] = 60.0


class Timeout(Section):
    tcp: TcpTimeout = TcpTimeout()
    http: HttpTimeout = HttpTimeout()


class CircuitBreaker(Section):
    later: ClassVar = {
        "maxPendingRequests": "only maxConnections is counted in this version",
        "maxParallelRequests": "only maxConnections is counted in this version",
        "maxParallelRetries": "only maxConnections is counted in this version",
    }
    max_connections: Count = 1024


class Cluster(Section):
    later: ClassVar = {
        "protocol": "upstreams are spoken to in HTTP/1.1; leave it out",
        "tls": "upstream TLS is not supported yet",
        "loadBalancer": "endpoints are taken in turn (RoundRobin); leave it out",
        "healthCheck": "health checks are not supported yet; leave it out",
        "retry": "one silent retry on a reused connection is made; leave it out",
    }
    name: Name
    discovery: Discovery
    timeout: Timeout = Timeout()
    circuit_breaker: CircuitBreaker = CircuitBreaker()
