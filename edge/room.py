"""How much of an answer waits for a client: little, until it has shown that it reads.

On loopback and on long fat networks the kernel takes up to 4 MiB otherwise, and an answer that nobody reads
has cost us all the work and that memory by then.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final

NARROW_BYTES: Final = 128 << 10
"""Beyond what is on its way. Wide enough for who reads small answers; others are paused once."""
HIGH_BYTES: Final = 64 << 10
"""Unsent bytes of ours over which upstreams are paused."""
WIDE_HIGH_BYTES: Final = 256 << 10
_WIDE_BYTES: Final = 1 << 30


def narrow(listening: socket.socket) -> None:
    """Connections inherit it from the socket they are accepted on."""
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NARROW_BYTES)


def widen(transport: asyncio.Transport) -> None:
    """Of a client that has read what waited for it."""
    transport.set_write_buffer_limits(high=WIDE_HIGH_BYTES)
    connection = transport.get_extra_info("socket")
    if connection is None:
        return
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _WIDE_BYTES)
    except OSError:
        pass  # it was closed meanwhile
