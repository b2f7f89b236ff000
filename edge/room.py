"""How much of an answer the kernel takes for a client: little, until the client has shown that it reads.

On loopback and on long fat networks it takes up to 4 MiB otherwise, and an answer that nobody reads has cost
us all the work and that memory by then.
"""

from __future__ import annotations

import socket
from typing import Any, Final

NARROW_BYTES: Final = 128 << 10
"""Beyond what is on its way. Wide enough for who reads small answers; others are paused once."""
_WIDE_BYTES: Final = 1 << 30


def narrow(listening: socket.socket) -> None:
    """Connections inherit it from the socket they are accepted on."""
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NARROW_BYTES)


def widen(connection: Any) -> None:
    """Of a connection whose client has read what waited for it; `None` where there is no socket."""
    if connection is None:
        return
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _WIDE_BYTES)
    except OSError:
        pass  # it was closed meanwhile
