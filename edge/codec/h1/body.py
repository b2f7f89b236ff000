"""The chunked transfer coding, read strictly and in any pieces. Spec: RFC 9112 §7.1."""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Final

from edge.codec.h1.fields import MakeError, split_line
from edge.head import Fields
from edge.syntax import NEVER_IN_TRAILERS, is_forwarding

EXTENSION_BYTES: Final = 4 << 10
"""Of a whole body; nobody here reads extensions, so more can only be an attack."""
BYTES_AN_EXTENSION_BYTE: Final = 4
"""Decoded, they allow one more: a sender that signs its chunks may go on for days."""
TRAILER_BYTES: Final = 16 << 10
TRAILER_FIELDS: Final = 100
FREE_CHUNKS: Final = 10_000
LEAST_AVERAGE_BYTES: Final = 4
"""After FREE_CHUNKS a body whose chunks are smaller than this on average is a flood."""

# Sixteen digits are 2**64: larger sizes overflow somewhere, so no sender means them.
_size_line: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(;[\t\x20-\x7e\x80-\xff]*+)?\r\n").match
_size_line_so_far: Final = re.compile(rb"(?:[0-9A-Fa-f]{1,16}(?:;[\t\x20-\x7e\x80-\xff]*+)?\r?)?").fullmatch
_trailer_so_far: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*+\r?").fullmatch


class _State(IntEnum):
    SIZE = 0
    DATA = 1
    DATA_END = 2
    TRAILERS = 3
    DONE = 4


class ChunkedReader:
    """Decodes one chunked body; `error` makes what is raised for a malformed one.

    After `feed` has said done, `trailers` holds the trailer fields that may be forwarded and
    `rest` the bytes behind the body. Nothing may be fed after done or after an error.
    """

    __slots__ = (
        "_chunks",
        "_decoded",
        "_error",
        "_extension",
        "_held",
        "_left",
        "_state",
        "_trailer_bytes",
        "rest",
        "trailers",
    )

    def __init__(self, error: MakeError) -> None:
        self.trailers: Fields = []
        self.rest = b""
        self._error = error
        self._state = _State.SIZE
        self._held = b""
        self._left = 0
        self._chunks = 0
        self._decoded = 0
        self._extension = 0
        self._trailer_bytes = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """Decoded bytes of what came, and whether the body (with trailers) is complete."""
        if self._state is _State.DATA and len(data) < self._left:
            self._left -= len(data)
            return data, False
        if self._held:
            data = self._held + data
            self._held = b""
        parts: list[bytes] = []
        at = 0
        end = len(data)
        while at < end:
            state = self._state
            if state is _State.SIZE:
                at = self._size(data, at)
            elif state is _State.DATA:
                part = data[at : at + self._left]
                parts.append(part)
                at += len(part)
                self._left -= len(part)
                if not self._left:
                    self._state = _State.DATA_END
            elif state is _State.DATA_END:
                at = self._data_end(data, at)
            elif state is _State.TRAILERS:
                at = self._trailer(data, at)
            else:
                self.rest = data[at:]
                break
        return parts[0] if len(parts) == 1 else b"".join(parts), self._state is _State.DONE

    def _size(self, data: bytes, at: int) -> int:
        match = _size_line(data, at)
        if match is None:
            return self._hold(data, at, _size_line_so_far(data, at) is not None, EXTENSION_BYTES)
        self._extension += match.end(2) - match.start(2)
        if self._extension > EXTENSION_BYTES + self._decoded // BYTES_AN_EXTENSION_BYTE:
            raise self._error("too many chunk extension bytes")
        size = int(match[1], 16)
        if not size:
            self._state = _State.TRAILERS
            return match.end()
        self._chunks += 1
        self._decoded += size
        if self._chunks > FREE_CHUNKS and self._decoded < self._chunks * LEAST_AVERAGE_BYTES:
            raise self._error("flood of tiny chunks")
        self._left = size
        self._state = _State.DATA
        return match.end()

    def _data_end(self, data: bytes, at: int) -> int:
        found = data[at : at + 2]
        if found == b"\r\n":
            self._state = _State.SIZE
            return at + 2
        return self._hold(data, at, found == b"\r", 2)

    def _trailer(self, data: bytes, at: int) -> int:
        end = data.find(b"\r\n", at)
        if end < 0:
            return self._hold(data, at, _trailer_so_far(data, at) is not None, TRAILER_BYTES)
        if end == at:
            self._state = _State.DONE
            self.rest = data[end + 2 :]
            return len(data)
        self._trailer_bytes += end - at
        if self._trailer_bytes > TRAILER_BYTES or len(self.trailers) >= TRAILER_FIELDS:
            raise self._error("too many or too large trailers")
        name, value = split_line(data[at:end], self._error)
        if name.replace(b"_", b"-") not in NEVER_IN_TRAILERS and not is_forwarding(name):
            self.trailers.append((name, value))
        return end + 2

    def _hold(self, data: bytes, at: int, plausible: bool, limit: int) -> int:
        """Keep an incomplete line for the next feed."""
        if not plausible or len(data) - at > limit + 32:
            raise self._error("malformed chunked body")
        self._held = data[at:]
        return len(data)
