"""`listeners` and `admin`: where edge accepts connections."""

# ruff: noqa: RUF012  (pydantic copies the defaults of its fields)
from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, model_validator

from edge.control.config.quantity import HostPort, is_ip
from edge.control.config.schema.base import Address, Hostname, Name, Network, Section, between, choice, fault
from edge.control.config.schema.tls import Tls

_LISTENER_LATER = {"redirectToTLS": "write redirectToHttps: true, or the port of https"}


_MAX_PORT = 65535


def _ip_only(address: HostPort) -> HostPort:
    if not is_ip(address.host):
        hint = "use 127.0.0.1, 0.0.0.0, [::1] or [::]"
        raise fault("wrong-value", f"'{address.host}' is no IP address; a listener is bound to one", hint)
    return address


def _loopback(address: HostPort) -> HostPort:
    if not ip_address(_ip_only(address).host).is_loopback:
        raise fault("wrong-value", "admin is served on loopback only", "use 127.0.0.1:9901 or [::1]:9901")
    return address


def _https_port(value: bool | int) -> bool | int:
    if value is not True and value is not False and not 1 <= value <= _MAX_PORT:
        raise fault("wrong-value", f"must be true, false or a port from 1 to {_MAX_PORT}")
    return value


class Admin(Section):
    """`address`: loopback, port 0 = any free one."""

    later: ClassVar = {"ui": "/traces draws recent traces already; leave it out"}
    address: Annotated[Address, AfterValidator(_loopback)] = HostPort("127.0.0.1", 9901)


class ProxyProtocol(Section):
    """The header in which a load balancer in front tells who the client is, before TLS. Versions 1 and 2.

    It is read from the addresses in `from` only; from others it is refused as any bytes that are no
    request. `required`: what comes from them without a header is cut.
    """

    from_: Annotated[list[Network], Field(min_length=1, alias="from")]
    required: bool = True


class Forwarded(Section):
    """Whose word about the client counts in `header`; all others are dropped and written anew.

    `trustedHops`: so many proxies stand in front, whatever their addresses. `trusted`: addresses of
    proxies. From the right, the first address that is not of a trusted one is the client's.
    """

    trusted_hops: Annotated[int, between(0, 32)] = 0
    trusted: list[Network] = []
    header: Annotated[str, choice("X-Forwarded-For", "Forwarded")] = "X-Forwarded-For"

    @model_validator(mode="after")
    def _trusts(self) -> Forwarded:
        if not self.trusted_hops and not self.trusted:
            raise fault("missing", "nobody is trusted", "give trustedHops or trusted, or leave forwarded out")
        return self


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
    """What Alt-Svc and redirects say, where the port outside is another one."""
    hostnames: Annotated[list[Hostname], Field(max_length=64)] = []
    """All it serves; routes serve there what they have in common with it. None = any."""
    tls: Tls | None = None
    proxy_protocol: ProxyProtocol | None = None
    forwarded: Forwarded | None = None
    redirect_to_https: Annotated[bool | int, AfterValidator(_https_port)] = False
    """Every request is answered with 308 to the same URL with https; a number is the port of it."""

    @model_validator(mode="after")
    def _fits(self) -> Listener:
        for protocol in {"h2", "h3"} & set(self.protocols) if self.tls is None else ():
            raise fault("wrong-value", f"{protocol} needs tls", f"give tls, or leave {protocol} out")
        if self.tls is not None and "h2c" in self.protocols:
            raise fault("wrong-value", "h2c is HTTP/2 without tls", "write h2")
        if self.tls is not None and not {"h1", "h2"} & set(self.protocols):
            raise fault("wrong-value", "h3 alone leaves the TCP port without a protocol", "add h1 or h2")
        if self.tls is not None and self.redirect_to_https is not False:
            raise fault("wrong-value", "this listener speaks https itself", "leave redirectToHttps out")
        if "h3" in self.protocols:
            self._fits_quic()
        return self

    def _fits_quic(self) -> None:
        if self.tls is not None and self.tls.asks_clients:
            raise fault(
                "not-supported",
                "h3 cannot check client certificates: aioquic, which speaks QUIC, does not ask for them",
                "leave h3 out, or serve these hosts on a listener of their own",
            )
        if self.tls is not None and self.tls.max_version != "1.3":
            raise fault("wrong-value", "h3 needs TLS 1.3", "leave h3 or maxVersion out")
        if self.proxy_protocol is not None:
            raise fault(
                "not-supported",
                "the PROXY protocol is of TCP; clients of h3 would come with the balancer's address",
                "leave h3 out, or serve it on a listener of its own",
            )
