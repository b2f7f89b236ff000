"""`clusters`: endpoints behind one name. Words: Envoy Gateway BackendTrafficPolicy."""

# ruff: noqa: RUF012  (pydantic copies the defaults of its fields)

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, model_validator

from edge.control.config.quantity import HostPort, is_host_name, is_ip
from edge.control.config.schema.balancing import LoadBalancer
from edge.control.config.schema.base import Address, Count, Duration, Name, Section, between, choice, fault
from edge.control.config.schema.health import HealthCheck


def _has_port(address: HostPort) -> HostPort:
    if not address.port:
        raise fault("wrong-value", "an endpoint needs a port")
    return address


def _host_name(value: str) -> str:
    if not is_host_name(value) or is_ip(value):
        raise fault("wrong-value", f"'{value}' is no host name")
    return value


def _alt_name(value: str) -> str:
    if "://" in value:
        if not value.isascii() or any(c.isspace() for c in value):
            raise fault("wrong-value", f"'{value}' is no URI")
        return value
    return _host_name(value)


class Endpoint(Section):
    """`weight`: its share of the requests, beside those of the other endpoints."""

    address: Annotated[Address, AfterValidator(_has_port)]
    weight: Annotated[int, between(1, 1000)] = 1


class Discovery(Section):
    """Where the endpoints are. Names are looked up by edge itself, and again when their TTL ends.

    Static: `endpoints`, each an address or a name. DNS: every address of `host`, with `port`. A name
    that cannot be looked up keeps the addresses it had. `refresh`: the longest time between look-ups.
    """

    type: Annotated[str, choice("Static", "DNS")]
    endpoints: Annotated[list[Endpoint], Field(min_length=1)] | None = None
    host: Annotated[str, AfterValidator(_host_name)] | None = None
    port: Annotated[int, between(1, 65535)] | None = None
    refresh: Annotated[Duration, between(1, 86400, "s")] = 300.0

    @model_validator(mode="after")
    def _one_kind(self) -> Discovery:
        dns, static = ["host", "port"], ["endpoints"]
        mine, others = (dns, static) if self.type == "DNS" else (static, dns)
        for name in mine:
            if getattr(self, name) is None:
                raise fault("missing-field", f"type {self.type} needs {name}")
        for name in others:
            if getattr(self, name) is not None:
                raise fault("wrong-value", f"{name} does not belong to type {self.type}")
        return self

    def places(self) -> list[tuple[HostPort, int]]:
        """Addresses and weights."""
        if self.host is not None and self.port is not None:
            return [(HostPort(self.host, self.port), 1)]
        return [(each.address, each.weight) for each in self.endpoints or ()]


class TcpTimeout(Section):
    connect_timeout: Annotated[Duration, between(0.001, 300, "s")] = 1.0


class HttpTimeout(Section):
    connection_idle_timeout: Annotated[Duration, between(0.001, 86400, "s")] = 60.0


class Timeout(Section):
    tcp: TcpTimeout = TcpTimeout()
    http: HttpTimeout = HttpTimeout()


class RetryBudget(Section):
    """Of the requests of the last 5 to 10 seconds, `percent` may be tried again; `minPerSecond` always."""

    percent: Annotated[int, between(0, 100)] = 20
    min_per_second: Annotated[int, between(0, 1_000_000)] = 3


class CircuitBreaker(Section):
    """Over a limit a request gets 503 with `retry-after`. Each worker has its share, rounded up.

    `maxConnections`: to all endpoints together. One client (an address, or an IPv6 /64) may have three times
    as many as are left free; past that its requests wait for one of its own. `maxPendingRequests`: requests
    that wait as all are busy. `maxParallelRequests`, `maxParallelRetries`: no limit unless given.
    """

    max_connections: Count = 1024
    max_pending_requests: Count = 1024
    max_parallel_requests: Count | None = None
    max_parallel_retries: Count | None = None
    retry_budget: RetryBudget = RetryBudget()


class Tls(Section):
    """TLS to the endpoints. `sni`: the name asked for and verified, else the endpoint's host.

    `subjectAltNames`: if given, the certificate must be for one of these in place of `sni`: DNS
    names, or URIs such as spiffe://cluster/service. `caFile`: PEM of the authorities that are
    trusted, else the system's. `certFile`, `keyFile`: PEM of the certificate that edge shows.
    """

    later: ClassVar = {"insecureSkipVerify": "the certificate is always verified; give caFile"}
    sni: Annotated[str, AfterValidator(_host_name)] | None = None
    subject_alt_names: Annotated[list[Annotated[str, AfterValidator(_alt_name)]], Field(max_length=16)] = []
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    min_version: Annotated[str, choice("1.2", "1.3")] = "1.2"

    @model_validator(mode="after")
    def _pair(self) -> Tls:
        if (self.cert_file is None) != (self.key_file is None):
            given, wanted = ("certFile", "keyFile") if self.cert_file is not None else ("keyFile", "certFile")
            raise fault("missing-field", f"{given} needs {wanted}")
        return self


class ProxyProtocol(Section):
    """Connections begin with a PROXY header that tells the client's address. Each serves one request."""

    version: Annotated[str, choice("V1", "V2")]


class Cluster(Section):
    """`protocol` h2 is chosen by ALPN where `tls` is set, else it is h2c with prior knowledge."""

    later: ClassVar = {
        "retry": "write it at the rules of the routes",
    }
    name: Name
    discovery: Discovery
    timeout: Timeout = Timeout()
    load_balancer: LoadBalancer = LoadBalancer()
    health_check: HealthCheck = HealthCheck()
    circuit_breaker: CircuitBreaker = CircuitBreaker()
    protocol: Annotated[str, choice("h1", "h2")] = "h1"
    proxy_protocol: ProxyProtocol | None = None
    tls: Tls | None = None

    @model_validator(mode="after")
    def _one_client(self) -> Cluster:
        if self.proxy_protocol is None:
            return self
        if self.protocol != "h1":
            hint = "connections of h2 carry requests of many clients"
            raise fault("wrong-value", "proxyProtocol needs protocol h1", hint)
        active = self.health_check.active
        if active is not None and active.type != "TCP":
            raise fault("wrong-value", "proxyProtocol needs health checks of type TCP: probes send no header")
        return self
