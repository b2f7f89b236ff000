"""`clusters`: endpoints behind one name. Words: Envoy Gateway BackendTrafficPolicy."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from edge.control.config.quantity import HostPort, is_host_name, is_ip
from edge.control.config.schema.base import Address, Count, Duration, Name, Section, between, choice, fault


def _has_port(address: HostPort) -> HostPort:
    if not address.port:
        raise fault("wrong-value", "an endpoint needs a port")
    return address


def _host_name(value: str) -> str:
    if not is_host_name(value) or is_ip(value):
        raise fault("wrong-value", f"'{value}' is no host name")
    return value


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


class Tls(Section):
    """TLS to the endpoints. `sni`: the name asked for and verified, else the endpoint's host.

    `caFile`: PEM of the authorities that are trusted, else the system's.
    """

    later: ClassVar = {
        "insecureSkipVerify": "the certificate is always verified; give caFile",
        "certFile": "client certificates are not sent yet; leave it out",
        "keyFile": "client certificates are not sent yet; leave it out",
    }
    sni: Annotated[str, AfterValidator(_host_name)] | None = None
    ca_file: str | None = None


class Cluster(Section):
    """`protocol` h2 is chosen by ALPN where `tls` is set, else it is h2c with prior knowledge."""

    later: ClassVar = {
        "loadBalancer": "endpoints are taken in turn (RoundRobin); leave it out",
        "healthCheck": "health checks are not supported yet; leave it out",
        "retry": "one silent retry on a reused connection is made; leave it out",
    }
    name: Name
    discovery: Discovery
    timeout: Timeout = Timeout()
    circuit_breaker: CircuitBreaker = CircuitBreaker()
    protocol: Annotated[str, choice("h1", "h2")] = "h1"
    tls: Tls | None = None
