"""The PROXY protocol's header as it is sent to endpoints: whose connection they are given.

Spec: haproxy.org, "The PROXY protocol", versions 1 & 2, §2.1, §2.2.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from edge.exchange.seams import Connection

_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_LOCAL: Final = b"\x20\x00\x00\x00"
_PROXIED: Final = 0x21
_TCP4, _TCP6 = 0x11, 0x21
_IPV4: Final = 4


def header(version: int, client: Connection | None) -> bytes:
    """For a connection made for `client`; None = for nobody but edge itself, as callouts of filters are."""
    if client is None:
        return b"PROXY UNKNOWN\r\n" if version == 1 else _SIGNATURE + _LOCAL
    source, destination = _alike(client.peer[0], client.local[0])
    ports = client.peer[1], client.local[1]
    if version == 1:
        line = f"PROXY TCP{source.version} {source} {destination} {ports[0]} {ports[1]}\r\n"
        return line.encode("ascii")
    block = source.packed + destination.packed + struct.pack("!HH", *ports)
    family = _TCP4 if source.version == _IPV4 else _TCP6
    return _SIGNATURE + struct.pack("!BBH", _PROXIED, family, len(block)) + block


Ip = IPv4Address | IPv6Address


def _alike(source: str, destination: str) -> tuple[Ip, Ip]:
    """Both of one family, as the header wants it: IPv4 addresses are mapped if only one is."""
    one, other = _plain(source), _plain(destination)
    if one.version == other.version:
        return one, other
    return _mapped(one), _mapped(other)


def _plain(address: str) -> Ip:
    """Without zone, and IPv4 where it is."""
    found = ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def _mapped(address: Ip) -> Ip:
    return IPv6Address(f"::ffff:{address}") if isinstance(address, IPv4Address) else address
