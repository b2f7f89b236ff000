"""Reads frame headers on their way to the engine: rules and floods that engines let pass.

Only the client's side of a stream is tracked here, so that frames which crossed a RST of ours
are never punished. Every counter decays, or an honest connection would die of old age.
"""

from __future__ import annotations

from collections import deque
from struct import Struct
from typing import Final

from edge.codec.h2.codes import Code
from edge.codec.h2.portions import Portions

RESETS: Final = 250
"""Streams ended by a reset, the client's or one it provoked. Spec: CVE-2023-44487, CVE-2025-8671."""
CONTROLS: Final = 1000
"""SETTINGS, PING, PRIORITY and unknown frames."""
WINDOW_UPDATES: Final = 1000
EMPTY_DATA: Final = 10
CONTINUATIONS: Final = 8
PADDING_BYTES: Final = 64 << 10
"""Padding beyond the data it came with."""
LEAST_BYTES: Final = 4
"""What a DATA frame should hold on average; each costs us, and upstream, as much as one of a kilobyte."""
TINY_BYTES: Final = 3000
"""How much less all together may hold: a thousand frames of one byte."""

RESETS_PER_S: Final = 33.0
CONTROLS_PER_S: Final = 200.0
WINDOW_UPDATES_PER_S: Final = 1000.0
EMPTY_DATA_PER_S: Final = 1.0
PADDING_BYTES_PER_S: Final = 16384.0
TINY_BYTES_PER_S: Final = 300.0
DECAY_S: Final = 0.25
_FORGIVEN_PER_STREAM: Final = 0.5
"""A stream that was served to its end makes up for half a reset."""
_FORGIVEN_PER_ANSWER: Final = 2
"""A piece of body we sent makes up for so many PINGs, and for as many WINDOW_UPDATEs."""
_SENT_BYTES_PER_UPDATE: Final = 256
"""What we sent allows a WINDOW_UPDATE for each so many bytes."""
_ABANDONED: Final = 256
_SKIPPED_RANGES: Final = 16

PREFACE_BYTES: Final = 24
_HEADER_BYTES: Final = 9
_header: Final = Struct(">HBBBi").unpack_from
"""A stream with the reserved bit set is below 0 until it is masked: no quick way takes it for another."""
_word: Final = Struct(">I").unpack_from
_ID: Final = 0x7FFFFFFF
_HUGE_INCREMENT: Final = 1 << 30
_FRAME_BYTES: Final = 16 << 10
"""What we take of one frame. Spec: RFC 9113 §6.5.2."""
_LATE_PIECES: Final = 64
"""Of a frame that comes in crumbs; each costs more memory than its bytes."""

_DATA: Final = 0
_HEADERS: Final = 1
_PRIORITY: Final = 2
_RST_STREAM: Final = 3
_PUSH_PROMISE: Final = 5
_WINDOW_UPDATE: Final = 8
_CONTINUATION: Final = 9
_END_STREAM: Final = 1
_END_HEADERS: Final = 4
_PADDED: Final = 8

Fault = tuple[int, int]
"""(0, code): the connection ends with this code. (stream, increment): a WINDOW_UPDATE to be judged."""


class Tap(Portions):
    """One connection's. `block_bytes` bounds a header block before it is decoded."""

    __slots__ = (
        "_abandoned",
        "_block",
        "_block_bytes",
        "_continuations",
        "_decay_at",
        "_empty",
        "_late",
        "_open",
        "_padding",
        "_skipped",
        "_tiny",
        "controls",
        "fault",
        "kind",
        "last",
        "opened",
        "resets",
        "rest",
        "saw_reset",
        "trailed",
        "updates",
    )

    def __init__(self, block_bytes: int) -> None:
        super().__init__(PREFACE_BYTES)
        self._block_bytes = block_bytes
        self._block = -1
        self._continuations = 0
        self._open: set[int] = set()
        self._abandoned: deque[int] = deque()
        self._late: list[bytes] = []
        """A DATA frame whose rest is still to come: ngh2 never gives back half of one, if its stream ends."""
        self._skipped: list[tuple[int, int]] = []
        self.controls = self.updates = self._empty = self._padding = self._tiny = 0.0
        self._decay_at = 0.0
        self.resets = 0.0
        self.saw_reset = False
        self.trailed = False
        """The piece holds a header block, or the rest of one, of a stream that was open already."""
        self.last = -1
        self.opened = 0
        self.kind = _HEADERS
        self.fault: Fault | None = None
        self.rest = b""

    def scan(self, data: bytes, now: float) -> bytes:
        """The bytes that may be fed to the engine; `fault` says why they end before `data` does.

        With a `fault` that is about a stream its frame is the first 13 bytes of `rest`, and
        what follows must be scanned again.
        """
        if now >= self._decay_at:
            self._decay(now)
        self.trailed = self.trailed and self.receiving_head()
        if self._held or self._late:
            data = self._whole(data)
        size, at, kind, length = len(data), self._skip, self.kind, 0
        open_ = self._open
        while at + _HEADER_BYTES <= size:
            high, low, kind, flags, stream_id = _header(data, at)
            length = high << 8 | low
            if self._block >= 0:
                fault = self._continue(kind, flags, length)
            elif kind == _HEADERS:
                if flags & _END_HEADERS and stream_id == self.last + 2:
                    # The next request, as nearly all are.
                    self.last = stream_id
                    self.opened += 1
                    if not flags & _END_STREAM:
                        open_.add(stream_id)
                    at += _HEADER_BYTES + length
                    continue
                fault = self._headers(flags, length, stream_id & _ID)
            elif kind == _DATA:
                if flags == _END_STREAM and stream_id in open_:
                    open_.discard(stream_id)  # a body in one frame, as most are
                    at += _HEADER_BYTES + length
                    continue
                if flags & _PADDED and length and at + _HEADER_BYTES >= size:
                    break
                padding = data[at + _HEADER_BYTES] + 1 if flags & _PADDED and length else 0
                fault = self._data(flags, length, stream_id & _ID, padding)
            elif (kind == _WINDOW_UPDATE and length == 4) or (kind == _PRIORITY and length == 5):
                if at + _HEADER_BYTES + 4 > size:
                    break
                word = _word(data, at + _HEADER_BYTES)[0] & _ID
                stream_id &= _ID
                fault = self._window(stream_id, word) if length == 4 else self._priority(stream_id, word)
            else:
                if kind == _RST_STREAM and length == 4 and at + _HEADER_BYTES + 4 > size:
                    # The engine must tell of it with the piece in which it is counted.
                    break
                fault = self._control(kind, length, stream_id & _ID)
            if fault is not None:
                self.fault = fault
                self.rest = data[at:]
                self._skip = 0
                return data[:at]
            at += _HEADER_BYTES + length
        self.kind = kind
        if at == size:
            self._skip = 0
            return data
        return self._cut(data, at, length)

    def _cut(self, data: bytes, at: int, length: int) -> bytes:
        """Without the frame header, or the DATA frame, that `data` ends in; other frames may come in parts.

        `at` = where the frame ends, and `length` of it when its header is in `data`.
        """
        if at < len(data):
            self._skip = 0
            self._held = data[at:]
            return data[:at]
        self._skip = at - len(data)
        if self.kind == _DATA and 0 < length <= _FRAME_BYTES:
            begin = at - length - _HEADER_BYTES
            self._late = [data[begin:]]
            return data[:begin]
        return data

    def _whole(self, data: bytes) -> bytes:
        """With what was held back before it; nothing while a DATA frame is not all there."""
        if self._held:
            data, self._held = self._held + data, b""
            return data
        late = self._late
        if len(data) < self._skip:
            late.append(data)
            if len(late) > _LATE_PIECES:
                self._late = [b"".join(late)]
            self._skip -= len(data)
            return b""
        self._skip += sum(map(len, late))
        self._late = []
        return b"".join((*late, data))

    def receiving_head(self) -> bool:
        """Whether a preface, header block or frame header is incomplete."""
        return (
            self._block >= 0
            or bool(self._held)
            or (self._skip > 0 and self.kind in (_HEADERS, _CONTINUATION))
        )

    def sent(self, size: int) -> None:
        """`size` bytes went out: the client may update its windows for them."""
        if self.updates:
            self.updates = max(0.0, self.updates - size / _SENT_BYTES_PER_UPDATE)

    def answering(self) -> None:
        """Body goes out: clients measure the line by a PING for each answer, and widen their windows."""
        self.controls = max(0.0, self.controls - _FORGIVEN_PER_ANSWER)
        self.updates = max(0.0, self.updates - _FORGIVEN_PER_ANSWER)

    def served(self) -> None:
        """A stream ended well."""
        if self.resets:
            self.resets = max(0.0, self.resets - _FORGIVEN_PER_STREAM)

    def charge(self, count: int = 1) -> bool:
        """The client made the engine reset `count` streams; True = that was one too many."""
        self.resets += count
        return self.resets > RESETS

    def abandon(self, stream_id: int) -> None:
        """We reset the stream: what the client still sends on it is late, not wrong, for a while."""
        if stream_id in self._open:
            self._abandoned.append(stream_id)
            if len(self._abandoned) > _ABANDONED:
                self._open.discard(self._abandoned.popleft())

    # ---- one frame each

    def _headers(self, flags: int, length: int, stream_id: int) -> Fault | None:
        if stream_id > self.last:
            if stream_id & 1:
                if stream_id != self.last + 2:
                    self._skipped = [*self._skipped[1 - _SKIPPED_RANGES :], (self.last + 2, stream_id - 2)]
                self.last = stream_id
                self.opened += 1
                if not flags & _END_STREAM:
                    self._open.add(stream_id)
        elif stream_id in self._open:
            self.trailed = True
            if flags & _END_STREAM:
                self._open.discard(stream_id)
        elif stream_id & 1:
            return self._ended(stream_id)
        if not flags & _END_HEADERS:
            self._block = length
            self._continuations = 0
        return None

    def _continue(self, kind: int, flags: int, length: int) -> Fault | None:
        if kind != _CONTINUATION:
            return (0, Code.PROTOCOL_ERROR)
        self._continuations += 1
        self._block += length
        if self._continuations > CONTINUATIONS or self._block > self._block_bytes:
            return (0, Code.ENHANCE_YOUR_CALM)
        if flags & _END_HEADERS:
            self._block = -1
        return None

    def _data(self, flags: int, length: int, stream_id: int, padding: int) -> Fault | None:
        if stream_id not in self._open:
            # Streams never opened, even ones and 0 are the engine's to judge.
            return self._ended(stream_id) if stream_id & 1 and stream_id <= self.last else None
        if flags & _END_STREAM:
            self._open.discard(stream_id)
        elif length <= padding:
            self._empty += 1
            if self._empty > EMPTY_DATA:
                return (0, Code.ENHANCE_YOUR_CALM)
        else:
            self._empty = 0.0
            lack = LEAST_BYTES - length + padding
            if lack > 0 or self._tiny:
                self._tiny = max(0.0, self._tiny + lack)
                if self._tiny > TINY_BYTES:
                    return (0, Code.ENHANCE_YOUR_CALM)
        if padding:
            self._padding = max(0.0, self._padding + 2 * padding - length)
            if self._padding > PADDING_BYTES:
                return (0, Code.ENHANCE_YOUR_CALM)
        return None

    def _window(self, stream_id: int, increment: int) -> Fault | None:
        self.updates += 1
        if self.updates > WINDOW_UPDATES:
            return (0, Code.ENHANCE_YOUR_CALM)
        if increment >= _HUGE_INCREMENT and 0 < stream_id <= self.last:
            return (stream_id, increment)
        return None

    def _priority(self, stream_id: int, dependency: int) -> Fault | None:
        if not stream_id or dependency == stream_id:
            return (0, Code.PROTOCOL_ERROR)
        return self._control(_PRIORITY, 5, stream_id)

    def _control(self, kind: int, length: int, stream_id: int) -> Fault | None:
        if kind == _RST_STREAM and length == 4 and 0 < stream_id <= self.last:
            self._open.discard(stream_id)
            self.saw_reset = True
            return (0, Code.ENHANCE_YOUR_CALM) if self.charge() else None
        self.controls += 1
        return (0, Code.ENHANCE_YOUR_CALM) if self.controls > CONTROLS else None

    def _ended(self, stream_id: int) -> Fault:
        """A frame for a stream on which the client has said its last. Spec: RFC 9113 §5.1, §5.1.1."""
        never_used = any(first <= stream_id <= last for first, last in self._skipped)
        return (0, Code.PROTOCOL_ERROR if never_used else Code.STREAM_CLOSED)

    def _decay(self, now: float) -> None:
        passed = now - self._decay_at + DECAY_S
        self._decay_at = now + DECAY_S
        self.resets = max(0.0, self.resets - passed * RESETS_PER_S)
        self.controls = max(0.0, self.controls - passed * CONTROLS_PER_S)
        self.updates = max(0.0, self.updates - passed * WINDOW_UPDATES_PER_S)
        self._empty = max(0.0, self._empty - passed * EMPTY_DATA_PER_S)
        self._padding = max(0.0, self._padding - passed * PADDING_BYTES_PER_S)
        self._tiny = max(0.0, self._tiny - passed * TINY_BYTES_PER_S)
