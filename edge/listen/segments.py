"""The way out of a UDP socket: runs of datagrams of one length leave in one call.

A long answer is hundreds of full datagrams, and a call for each costs more than what is in them. Linux
cuts one buffer up by itself (UDP_SEGMENT); where it cannot, each datagram goes alone as everywhere.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
from typing import Any, Final

from edge.codec.h3.trains import Datagrams

_LEVEL: Final = socket.IPPROTO_UDP
_OPTION: Final = 103
"""UDP_SEGMENT, which Python does not name."""
MOST_SEGMENTS: Final = 64
MOST_BYTES: Final = 65_000
_NEVER: Final = frozenset((errno.EIO, errno.ENOPROTOOPT, errno.EOPNOTSUPP))
"""The device cannot: it will not later either."""


class Outlet:
    """Sends on an asyncio datagram transport."""

    def __init__(self, transport: asyncio.DatagramTransport) -> None:
        self._transport = transport
        self._socket = _duplicate(transport.get_extra_info("socket"))

    def send(self, datagrams: Datagrams) -> None:
        """Send all; what the kernel does not take waits in the transport."""
        at, end = 0, len(datagrams)
        if end == 1:
            # As nearly always: a short answer.
            self._transport.sendto(*datagrams[0])
            return
        while at < end:
            stop = _run(datagrams, at, end) if self._socket is not None and end - at > 1 else at + 1
            if stop - at > 1 and self._sent(datagrams[at:stop]):
                at = stop
            while at < stop:
                self._transport.sendto(*datagrams[at])
                at += 1

    def _sent(self, run: Datagrams) -> bool:
        """Whether the kernel took all of `run`, which goes to one address."""
        assert self._socket is not None
        first, addr = run[0]
        size = len(first).to_bytes(2, sys.byteorder)
        try:
            self._socket.sendmsg([data for data, _ in run], [(_LEVEL, _OPTION, size)], 0, addr)
        except OSError as error:
            if error.errno in _NEVER:
                self.close()
            return False
        return True

    def close(self) -> None:
        """Let go of the socket; the transport closes itself."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _run(datagrams: Datagrams, at: int, end: int) -> int:
    """Where those end that may leave with the one at `at`: as long as it, the last one may be shorter."""
    data, addr = datagrams[at]
    size = len(data)
    most = min(end, at + min(MOST_SEGMENTS, MOST_BYTES // size))
    stop = at + 1
    while stop < most:
        data, to = datagrams[stop]
        length = len(data)
        if to is not addr or length > size:
            break
        stop += 1
        if length < size:
            break
    return stop


def _duplicate(raw: Any) -> socket.socket | None:
    """A socket of our own beside the transport's, whose own lets nobody write; None without UDP_SEGMENT."""
    if raw is None:
        return None
    ours = socket.socket(fileno=os.dup(raw.fileno()))
    try:
        ours.getsockopt(_LEVEL, _OPTION)
    except OSError:
        ours.close()
        return None
    ours.setblocking(False)
    return ours
