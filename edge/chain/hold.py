"""What lies at one filter's place in one direction."""

from __future__ import annotations

from typing import Final

from edge.head import Fields

NOTHING: Final = 0
HEAD: Final = 1
DATA: Final = 2
TRAILERS: Final = 3
"""Which event is held: `Hold.stage`."""


class HeldBody:
    """Body bytes at a place; what `Port.body` shows. One chunk that only passes is never copied."""

    __slots__ = ("_data", "_limit", "growth", "overflowed")

    def __init__(self, limit: int) -> None:
        self._data: bytes | bytearray = b""
        self._limit = limit
        self.growth = 0
        """Bytes that splices added less those they removed, since the last `take`."""
        self.overflowed = False
        """A splice would have passed the limit, and was not carried out."""

    def __len__(self) -> int:
        return len(self._data)

    def read(self, start: int, size: int) -> bytes:
        start = max(start, 0)
        return bytes(self._data[start : start + max(size, 0)])

    def splice(self, start: int, size: int, data: bytes) -> None:
        old = self._data
        start = min(max(start, 0), len(old))
        stop = min(start + max(size, 0), len(old))
        growth = len(data) - (stop - start)
        if growth > 0 and len(old) + growth > self._limit:
            self.overflowed = True
            return
        self.growth += growth
        if stop - start == len(old):
            self._data = bytes(data)
            return
        if isinstance(old, bytes):
            old = self._data = bytearray(old)
        old[start:stop] = data

    def append(self, data: bytes) -> None:
        """More arrived from the side before."""
        held = self._data
        if not held:
            self._data = data
        elif data:
            if isinstance(held, bytes):
                held = self._data = bytearray(held)
            held += data

    def take(self) -> bytes:
        """Everything; nothing stays."""
        data = self._data
        self._data = b""
        self.growth = 0
        return data if isinstance(data, bytes) else bytes(data)


class Hold:
    """The event that is held at a place (`stage`), and what came after it.

    While the head is held, `body`, `end` and `trailers` are what the filter has not seen yet;
    later they are what it has seen and keeps back.
    """

    __slots__ = ("body", "end", "held_ns", "spent_s", "stage", "stalled_since", "trailers")

    def __init__(self, limit: int) -> None:
        self.stage = NOTHING
        self.body = HeldBody(limit)
        self.end = False
        """The end of the stream has come, by data or trailers."""
        self.trailers: Fields | None = None
        self.stalled_since: float | None = None
        self.spent_s = 0.0
        self.held_ns = 0

    def stalled(self) -> bool:
        """Held, and no body is to come that the filter may still see."""
        stage = self.stage
        return stage != NOTHING and (stage != DATA or self.end)

    def begin(self, stage: int, now_ns: int) -> None:
        """Hold the event of `stage`; holding more data goes on with the same clock."""
        if self.stage == NOTHING:
            self.stalled_since = None
            self.spent_s = 0.0
            self.held_ns = now_ns
        self.stage = stage
