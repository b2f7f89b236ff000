"""How much of what came at once is looked at in one turn of the loop.

A read can hold hundreds of request heads. Taken in one go they would be one long turn, in which nobody
else is served. So a large read is walked by its frame headers first, and cut where a turn has enough.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

SMALL_BYTES: Final = 512
"""Reads up to this are taken as they are; even of nothing but heads they hold few."""
SEGMENT_BYTES: Final = 1400
"""Reads up to this too where so few bytes are the kind of a HEADERS frame that no more heads than
`FEW_HEADS` can be among them: one look in C, instead of a walk over each frame."""
FEW_HEADS: Final = 32
TURN_UNITS: Final = 128
"""What a turn bears of one connection; a frame is at least one, about the work on a small piece of body."""
HEAD_UNITS: Final = 8
"""A HEADERS frame, which may begin a request."""
BYTES_PER_UNIT: Final = 32
"""Of a header block: each byte can name a field."""

_NEVER_LARGE: Final = -1
_HEADER_BYTES: Final = 9
_header: Final = Struct(">HBB").unpack_from
_HEADERS: Final = 1
_RST_STREAM: Final = 3
_CONTINUATION: Final = 9


class Portions:
    """Of one connection: where its next frame begins, and what of its input waits for the next turn."""

    __slots__ = ("_at", "_held", "_later", "_skip", "large")

    def __init__(self, skip: int) -> None:
        self._skip = skip
        """Bytes of the frame under way that are still to come."""
        self._held = b""
        """An incomplete frame header, when nothing is under way."""
        self._later = b""
        self._at = 0
        """Where in `_later` that begins which was not yet taken."""
        self.large = SMALL_BYTES
        """Input of more bytes than this goes through `portion`: all of it, while some waits."""

    @property
    def waits(self) -> bool:
        """Whether input is left for the next turn."""
        return self.large < 0

    def portion(self, data: bytes) -> bytes:
        """What may be taken now: all of `data` where a turn bears it, else nothing until called without it.

        Called with nothing it gives a portion of what waits, which ends between frames or with the input.
        Resets go with what they reset, so that a request which came with its reset never begins.
        """
        fresh = bool(data)
        if self.large > 0 and len(data) <= SEGMENT_BYTES and data.count(_HEADERS) <= FEW_HEADS:
            return data
        data, start = self._joined(data)
        size = len(data)
        at = start + self._skip
        left = TURN_UNITS
        while at + _HEADER_BYTES <= size:
            high, low, kind = _header(data, at)
            if left <= 0 and kind != _RST_STREAM:
                break
            length = high << 8 | low
            if kind == _HEADERS:
                left -= HEAD_UNITS + length // BYTES_PER_UNIT
            elif kind == _CONTINUATION:
                left -= 1 + length // BYTES_PER_UNIT
            else:
                left -= 1
            at += _HEADER_BYTES + length
        else:
            self.forget()
            return data[start:] if start else data
        self.large = _NEVER_LARGE
        self._later, self._at = data, start if fresh else at
        return b"" if fresh else data[start:at]

    def forget(self) -> None:
        """Nothing waits any more."""
        self._later, self._at = b"", 0
        self.large = SMALL_BYTES

    def _joined(self, data: bytes) -> tuple[bytes, int]:
        """All there is, and where it begins."""
        if self._later:
            return (self._later[self._at :] + data, 0) if data else (self._later, self._at)
        if self._held:
            data = self._held + data
            self._held = b""
        return data, 0
