"""What the kernel may hold for a client."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from edge.room import NARROW_BYTES, WIDE_HIGH_BYTES, narrow, widen


class Made(asyncio.Transport):
    """Of one socket, or of none."""

    def __init__(self, of: socket.socket | None = None) -> None:
        super().__init__({"socket": of})
        self.high = 0

    def set_write_buffer_limits(self, high: Any = None, low: Any = None) -> None:
        self.high = high


def room(of: socket.socket) -> int:
    return of.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)


def test_a_connection_inherits_little_room_and_may_get_more() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        narrow(listening)
        with socket.create_connection(listening.getsockname()) as client, listening.accept()[0] as accepted:
            assert room(accepted) == NARROW_BYTES
            made = Made(accepted)
            widen(made)
            assert made.high == WIDE_HIGH_BYTES
            assert room(accepted) > 100 * NARROW_BYTES
            accepted.setblocking(False)
            assert accepted.send(b"x" * (1 << 20)) > NARROW_BYTES
            client.close()


def test_what_is_never_read_fills_little() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        narrow(listening)
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(listening.getsockname())
            with listening.accept()[0] as accepted:
                accepted.setblocking(False)
                sent = 0
                try:
                    while sent < 4 << 20:
                        sent += accepted.send(b"x" * 16_384)
                except BlockingIOError:
                    pass
                assert NARROW_BYTES <= sent < 4 * NARROW_BYTES


def test_a_connection_that_is_gone_needs_none() -> None:
    widen(Made())
    with socket.socket() as closed:
        pass
    widen(Made(closed))
