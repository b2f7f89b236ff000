"""Which codec speaks on a connection: by ALPN after a handshake, by the first bytes without one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

Factory = Callable[[], asyncio.Protocol]

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""First bytes of an HTTP/2 client with prior knowledge. Spec: RFC 9113 §3.4."""


class AlpnSwitch(asyncio.Protocol):
    """Hands the connection to the codec of the protocol that the handshake chose."""

    __slots__ = ("_h1", "_h2")

    def __init__(self, h1: Factory, h2: Factory) -> None:
        self._h1 = h1
        self._h2 = h2

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        made = cast(asyncio.Transport, transport)
        chosen = made.get_extra_info("ssl_object").selected_alpn_protocol()
        codec = self._h2() if chosen == "h2" else self._h1()
        made.set_protocol(codec)
        codec.connection_made(made)


class PrefaceSwitch(asyncio.Protocol):
    """Waits until the first bytes tell HTTP/2 with prior knowledge from HTTP/1.

    A connection that says nothing is ended by the codec's own deadline: HTTP/1's codec is made
    first, and only replaced, still unused, when the preface has come whole.
    """

    __slots__ = ("_codec", "_h2", "_start", "_transport")

    _transport: asyncio.Transport

    def __init__(self, h1: Factory, h2: Factory) -> None:
        self._codec = h1()
        self._h2 = h2
        self._start = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._codec.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._start += data
        start = self._start
        if start.startswith(PREFACE):
            self._codec.connection_lost(None)
            self._codec = self._h2()
            self._hand_over(True)
        elif not PREFACE.startswith(start):
            self._hand_over(False)

    def _hand_over(self, fresh: bool) -> None:
        self._transport.set_protocol(self._codec)
        if fresh:
            self._codec.connection_made(self._transport)
        self._codec.data_received(self._start)

    def eof_received(self) -> bool | None:
        if self._start:
            self._hand_over(False)
        return self._codec.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._codec.connection_lost(exc)

    def pause_writing(self) -> None:
        self._codec.pause_writing()

    def resume_writing(self) -> None:
        self._codec.resume_writing()
