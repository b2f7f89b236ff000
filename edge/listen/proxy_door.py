"""A connection that may begin with a PROXY header: read before TLS, and the client's address put in place.

Only a listener with `proxyProtocol` has a door; connections of peers that are not trusted pass it at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

from edge import model
from edge.codec.context import Refused
from edge.errors import BadRequest, DownstreamTimeout, EdgeError
from edge.exchange.networks import Networks
from edge.listen.proxy_header import Address, MalformedHeader, NoHeader, ProxyHeader, parse

HEADER_TIMEOUT_S: Final = 10.0
_BOUND: Final = (
    "write", "writelines", "write_eof", "can_write_eof", "close", "abort", "is_closing", "is_reading",
    "pause_reading", "resume_reading", "set_protocol", "get_protocol", "set_write_buffer_limits",
    "get_write_buffer_limits", "get_write_buffer_size",
)  # fmt: skip

Factory = Callable[[], asyncio.Protocol]
Secure = Callable[[asyncio.Protocol], asyncio.Protocol]
"""Puts TLS around a protocol, where the listener has it."""


class Door:
    """What a listener asks of those who come. `refused` is told of who is turned away."""

    def __init__(self, asked: model.ProxyProtocol, refused: Refused | None) -> None:
        self.trusted = Networks(asked.trusted)
        self.required = asked.required
        self.refused = refused


def door_of(listener: model.Listener, refused: Refused | None) -> Door | None:
    """None for a listener whose connections begin at once."""
    return Door(listener.proxy_protocol, refused) if listener.proxy_protocol is not None else None


class Entrance(asyncio.Protocol):
    """Waits for a connection's header, then hands over to what `secure` makes of a protocol of `factory`."""

    __slots__ = ("_data", "_door", "_factory", "_peer", "_secure", "_timer", "_transport")

    _transport: asyncio.Transport

    waiting = 0
    """Connections whose header is not here yet, of all listeners of this process."""

    def __init__(self, door: Door, factory: Factory, secure: Secure) -> None:
        self._door = door
        self._factory = factory
        self._secure = secure
        self._data = b""
        self._peer = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = made = cast(asyncio.Transport, transport)
        name = made.get_extra_info("peername")
        if not isinstance(name, tuple):
            made.abort()  # gone before it was accepted, and who it was nobody can say any more
            return
        host, port = name[0], name[1]
        if not self._door.trusted.hold(host):
            self._hand_over(self._factory(), b"")
            return
        self._peer = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode()
        self._timer = asyncio.get_running_loop().call_later(HEADER_TIMEOUT_S, self._expired)
        Entrance.waiting += 1

    def data_received(self, data: bytes) -> None:
        self._data = data = self._data + data
        try:
            header = parse(data)
        except NoHeader as error:
            if self._door.required:
                self._refuse(BadRequest(f"{error}", 0))
                return
            header = ProxyHeader(0)
        except MalformedHeader as error:
            self._refuse(BadRequest(f"PROXY header with {error}", 0))
            return
        if header is None:
            return
        protocol = self._factory()
        if header.source is not None:
            protocol = _Announced(protocol, header.source, header.destination)
        self._hand_over(protocol, data[header.size :])

    def eof_received(self) -> bool | None:
        """Nothing was asked; a health check of a load balancer ends like this."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()

    def _hand_over(self, protocol: asyncio.Protocol, rest: bytes) -> None:
        self._disarm()
        transport = self._transport
        following: Any = self._secure(protocol)
        # Reading stands still while uvloop changes how it reads: TLS takes bytes in a buffer of its own.
        transport.pause_reading()
        transport.set_protocol(following)
        transport.resume_reading()
        following.connection_made(transport)
        if rest and not transport.is_closing():
            _feed(transport.get_protocol(), rest)

    def _expired(self) -> None:
        error = DownstreamTimeout("no PROXY header in time")
        error.status = 0
        self._refuse(error)

    def _refuse(self, error: EdgeError) -> None:
        self._disarm()
        self._data = b""
        self._transport.abort()
        if self._door.refused is not None:
            self._door.refused(error, self._peer)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            Entrance.waiting -= 1


def _feed(protocol: Any, data: bytes) -> None:
    if not hasattr(protocol, "get_buffer"):
        protocol.data_received(data)
        return
    while data:
        buffer = protocol.get_buffer(len(data))
        taken = min(len(buffer), len(data))
        buffer[:taken] = data[:taken]
        protocol.buffer_updated(taken)
        data = data[taken:]


class _Announced(asyncio.Protocol):
    """Gives its protocol a transport that tells of the client, and is out of the way."""

    __slots__ = ("_local", "_peer", "_protocol")

    def __init__(self, protocol: asyncio.Protocol, peer: Address, local: Address | None) -> None:
        self._protocol = protocol
        self._peer = peer
        self._local = local

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        made = cast(asyncio.Transport, transport)
        made.set_protocol(self._protocol)
        self._protocol.connection_made(_Seen(made, self._peer, self._local))


class _Seen(asyncio.Transport):
    """A transport with other addresses. What is called often is bound once."""

    def __init__(self, made: asyncio.Transport, peer: Address, local: Address | None) -> None:
        self._made = made
        self._told = {"peername": peer} if local is None else {"peername": peer, "sockname": local}
        self.__dict__.update({name: getattr(made, name) for name in _BOUND})

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        found = self._told.get(name)
        return self._made.get_extra_info(name, default) if found is None else found
