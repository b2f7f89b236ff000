"""`listeners` and `admin`: where edge accepts connections."""

# ruff: noqa: RUF012  (pydantic copies the defaults of its fields)
from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from edge.control.config.quantity import HostPort, is_ip
from edge.control.config.schema.base import Address, Hostname, Name, Section, choice, fault

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


Protocol = Annotated[
    str,
    choice(
        "h1",
        later={
            "h2": "this version speaks HTTP/1.1: write [h1]",
            "h2c": "this version speaks HTTP/1.1: write [h1]",
            "h3": "this version speaks HTTP/1.1: write [h1]",
        },
    ),
]


class Listener(Section):
    """One TCP socket; port 0 = any free one (shown at the start)."""

    later: ClassVar = _LISTENER_LATER
    name: Name
    address: Annotated[Address, AfterValidator(_ip_only)]
    protocols: Annotated[list[Protocol], Field(min_length=1)] = ["h1"]
    tls: Tls | None = None
