"""Who the client is behind hops that are trusted: `X-Forwarded-*` and `Forwarded`, read from the right.

The nearest hop is the peer. As long as a hop is trusted, the address it says it was asked by is the
next one; the first that is not trusted is the client, and what stands left of it is only a claim: it
is dropped. Nothing here raises: what cannot be read ends the walk at the last hop that could.
"""

from __future__ import annotations

import re
from typing import Final

from edge import model
from edge.errors import BadRequest
from edge.exchange.identity import ClientIdentity
from edge.exchange.networks import Networks, plain_address
from edge.exchange.seams import Connection
from edge.head import Fields, RequestHead
from edge.syntax import CERTIFICATES_TOLD, TOKEN, canonical_authority

_MAX_PORT: Final = 65535
_SCHEMES: Final = (b"http", b"https")

_pair: Final = re.compile(
    rb"(" + TOKEN + rb"++)=(?:(" + TOKEN + rb'++)|"((?:[^"\\]|\\.)*+)")[ \t]*+([;,]|\Z)[ \t]*+'
)
_escape: Final = re.compile(rb"\\(.)")

Address = tuple[str, int]
Element = dict[bytes, bytes]


class Seen:
    """A connection with its client's address in place of the peer's; implements `Connection`."""

    __slots__ = ("client", "id", "identity", "local", "peer", "shutdown", "sni", "tls_version")

    def __init__(self, connection: Connection, client: Address) -> None:
        self.id = connection.id
        self.peer = client
        host, port = client
        self.client = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode()
        self.local = connection.local
        self.tls_version = connection.tls_version
        self.sni = connection.sni
        self.identity: ClientIdentity | None = connection.identity
        self.shutdown = connection.shutdown


class Hops:
    """The hops in front of a listener that are believed."""

    __slots__ = ("_count", "_networks", "_rfc7239")

    def __init__(self, trust: model.Forwarded) -> None:
        self._count = trust.hops
        self._networks = Networks(trust.trusted)
        self._rfc7239 = trust.rfc7239

    def look(self, connection: Connection, head: RequestHead, told: Fields) -> Connection:
        """Add our own fields to `head` from those `told` that can be believed; the client's connection."""
        peer = connection.peer[0]
        fields = head.fields
        if not self._trusts(0, peer):
            fields += [(b"x-forwarded-for", peer.encode()), (b"x-forwarded-proto", head.scheme)]
            return connection
        elements = _forwarded(told) if self._rfc7239 else _x_forwarded(told)
        way = self._walk(peer, elements)
        client = way[-1]
        origin = elements[1 - len(way)] if len(way) > 1 else {}
        proto = origin.get(b"proto", b"").lower()
        if proto not in _SCHEMES:
            proto = head.scheme
        fields.append((b"x-forwarded-for", b", ".join(host.encode() for host, _ in reversed(way))))
        fields.append((b"x-forwarded-proto", proto))
        fields += _place(origin)
        fields += [field for field in told if field[0] in CERTIFICATES_TOLD]
        if self._rfc7239:
            fields.append((b"forwarded", _rendered(way, proto, origin)))
        return connection if len(way) == 1 else Seen(connection, client)

    def _walk(self, peer: str, elements: list[Element]) -> list[Address]:
        """From the peer to the client."""
        way: list[Address] = [(peer, 0)]
        for element in reversed(elements):
            address = read_address(element.get(b"for", b""))
            if address is None:
                break
            way.append(address)
            if not self._trusts(len(way) - 1, address[0]):
                break
        return way

    def _trusts(self, distance: int, host: str) -> bool:
        return distance < self._count or (bool(self._networks) and self._networks.hold(host))


def read_address(text: bytes) -> Address | None:
    """`192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`; port 0 = none."""
    host, port = text.decode("latin-1"), ""
    if host.startswith("["):
        host, bracket, port = host[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            return None
        port = port[1:] if port else ""
    elif host.count(":") == 1:
        host, _, port = host.partition(":")
    if port and not (port.isascii() and port.isdigit() and len(port) <= len(str(_MAX_PORT))):
        return None
    number = int(port or 0)
    try:
        return (str(plain_address(host)), number) if number <= _MAX_PORT else None
    except ValueError:
        return None


def _values(told: Fields, name: bytes) -> list[bytes]:
    """The members of a list field; empty ones count, so that places on the right stay."""
    joined = b",".join(value for each, value in told if each == name)
    return [member.strip(b" \t") for member in joined.split(b",")] if joined else []


def _x_forwarded(told: Fields) -> list[Element]:
    """As elements of `Forwarded`. What is told once is of the client, whoever that will be."""
    said: Element = {}
    for name, key in ((b"proto", b"proto"), (b"host", b"host"), (b"port", b"port")):
        values = _values(told, b"x-forwarded-" + name)
        if values:
            said[key] = values[-1]
    return [{**said, b"for": address} for address in _values(told, b"x-forwarded-for")]


def _forwarded(told: Fields) -> list[Element]:
    """Elements of `Forwarded`; none when any of it is malformed. Spec: RFC 7239 §4."""
    text = b",".join(value for name, value in told if name == b"forwarded").strip(b" \t")
    elements: list[Element] = []
    element: Element = {}
    at = 0
    while at < len(text):
        match = _pair.match(text, at)
        if match is None:
            return []
        name, token, quoted, separator = match.groups()
        name = name.lower()
        if name in element:
            return []
        element[name] = token if token is not None else _escape.sub(rb"\1", quoted)
        if separator != b";":
            elements.append(element)
            element = {}
        at = match.end()
    return elements if not element else []


def _place(origin: Element) -> Fields:
    """Where the client asked, as far as it can be read."""
    fields: Fields = []
    if b"host" in origin:
        try:
            fields.append((b"x-forwarded-host", canonical_authority(origin[b"host"])))
        except BadRequest:
            pass
    port = origin.get(b"port", b"")
    if port.isdigit() and len(port) <= len(str(_MAX_PORT)) and 0 < int(port) <= _MAX_PORT:
        fields.append((b"x-forwarded-port", b"%d" % int(port)))
    return fields


def _rendered(way: list[Address], proto: bytes, origin: Element) -> bytes:
    """Our `Forwarded`. Spec: RFC 7239 §4, §6."""
    parts = [_node(address) for address in reversed(way)]
    parts[0] += b";proto=" + proto
    for name, value in _place(origin):
        if name == b"x-forwarded-host":
            parts[0] += b';host="%b"' % value
    return b", ".join(parts)


def _node(address: Address) -> bytes:
    host, port = address
    if ":" not in host and not port:
        return b"for=" + host.encode()
    name = f"[{host}]" if ":" in host else host
    return b'for="%b"' % (f"{name}:{port}" if port else name).encode()
