"""`listeners` and `admin`: where edge accepts connections."""

# ruff: noqa: RUF012  (pydantic copies the defaults of its fields)
from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, model_validator

from edge.control.config.quantity import HostPort, is_ip
from edge.control.config.schema.base import Address, Hostname, Name, Section, between, choice, fault

_TLS_LATER = {
    "minVersion": "TLS 1.2 is the least edge speaks; leave it out",
    "clientAuth": "client certificates are not checked yet; leave it out",
}
_LISTENER_LATER = {
    "redirectToTLS": "leave it out; a rule with a RequestRedirect will come later",
    "proxyProtocol": "the PROXY protocol is not read yet; leave it out",
}


def _ip_only(address: HostPort) -> HostPort:
    if not is_ip(address.host):
        hint = "use 127.0.0.1, 0.0.0.0, [::1] or [::]"
        raise fault("wrong-value", f"'{address.host}' is no IP address; a listener is bound to one", hint)
    return address


def _loopback(address: HostPort) -> HostPort:
    if not ip_address(_ip_only(address).host).is_loopback:
        raise fault("wrong-value", "admin is served on loopback only", "use 127.0.0.1:9901 or [::1]:9901")
    return address


class Admin(Section):
    """`address`: loopback, port 0 = any free one."""

    later: ClassVar = {"ui": "/traces draws recent traces already; leave it out"}
    address: Annotated[Address, AfterValidator(_loopback)] = HostPort("127.0.0.1", 9901)


class Certificate(Section):
    """PEM files, relative to the configuration. The first certificate is the default."""

    later: ClassVar = {"acme": "give certFile and keyFile; ACME is not supported yet"}
    cert_file: str
    key_file: str
    hostnames: list[Hostname] = []


class Tls(Section):
    later: ClassVar = _TLS_LATER
    certificates: Annotated[list[Certificate], Field(min_length=1)]


Protocol = Annotated[str, choice("h1", "h2", "h2c", "h3")]


class Listener(Section):
    """One TCP socket, and for h3 a UDP socket of the same port; port 0 = any free one (shown at the start).

    h2 is chosen by ALPN and h3 by QUIC, both need `tls`; h2c is HTTP/2 with prior knowledge on plain TCP.
    """

    later: ClassVar = _LISTENER_LATER
    name: Name
    address: Annotated[Address, AfterValidator(_ip_only)]
    protocols: Annotated[list[Protocol], Field(min_length=1)] = ["h1"]
    advertised_port: Annotated[int, between(1, 65535)] | None = None
    """What Alt-Svc tells clients of HTTP/3, where the port outside is another one."""
    tls: Tls | None = None

    @model_validator(mode="after")
    def _fits(self) -> Listener:
        for protocol in {"h2", "h3"} & set(self.protocols) if self.tls is None else ():
            raise fault("wrong-value", f"{protocol} needs tls", f"give tls, or leave {protocol} out")
        if self.tls is not None and "h2c" in self.protocols:
            raise fault("wrong-value", "h2c is HTTP/2 without tls", "write h2")
        if self.tls is not None and not {"h1", "h2"} & set(self.protocols):
            raise fault("wrong-value", "h3 alone leaves the TCP port without a protocol", "add h1 or h2")
        return self
