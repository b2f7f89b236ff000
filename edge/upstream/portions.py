"""A long answer is read in small portions at first: a client that reads none of it leaves little behind.

By itself uvloop reads up to 250 KiB at a time, and all of it is on its way before anybody can be paused.
That is cheaper for large bodies, so it is done for the rest of an answer that somebody has read so much of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

PORTION_BYTES: Final = 64 << 10
CAREFUL_BYTES: Final = 512 << 10
"""More than the kernel takes for a client that does not read; see `edge.room`."""

_buffer: Final = memoryview(bytearray(PORTION_BYTES))
"""Of the process: between filling it and taking from it nothing else runs."""


class Portions(asyncio.BufferedProtocol):
    """Stands for the protocol `reader`; calls `over` after so many bytes."""

    __slots__ = ("_left", "_over", "_received", "eof_received", "lost", "pause_writing", "resume_writing")

    def __init__(self, reader: asyncio.Protocol, over: Callable[[], None]) -> None:
        self._left = CAREFUL_BYTES
        self._over = over
        self._received = reader.data_received
        self.eof_received = reader.eof_received  # type: ignore[method-assign]
        self.lost = reader.connection_lost
        self.pause_writing = reader.pause_writing  # type: ignore[method-assign]
        self.resume_writing = reader.resume_writing  # type: ignore[method-assign]

    def get_buffer(self, sizehint: int) -> memoryview:
        return _buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._left -= nbytes
        if self._left < 0:
            self._over()
        self._received(bytes(_buffer[:nbytes]))

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost(exc)
