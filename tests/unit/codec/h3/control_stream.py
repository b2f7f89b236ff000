"""What a server says on its control stream, frame by frame: aioquic's client reads past GOAWAY."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from aioquic.buffer import Buffer, BufferReadError
from aioquic.quic.events import QuicEvent, StreamDataReceived

_UNIDIRECTIONAL_OF_SERVER = 3
"""Last two bits of the stream's id. Spec: RFC 9000 §2.1."""
_CONTROL = b"\x00"
_GOAWAY = 0x7


class ControlStream:
    """`frames` = (type, payload) in the order in which they came."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, bytes]] = []
        self._id: int | None = None
        self._came = bytearray()

    @property
    def goaways(self) -> list[int]:
        """The id in each GOAWAY: requests on it and on later streams are not taken. Spec: RFC 9114 §5.2."""
        return [_one_number(payload) for kind, payload in self.frames if kind == _GOAWAY]

    def receive(self, event: QuicEvent) -> None:
        """Any event of the connection."""
        if not isinstance(event, StreamDataReceived) or event.stream_id & 3 != _UNIDIRECTIONAL_OF_SERVER:
            return
        data = event.data
        if self._id is None and data[:1] == _CONTROL:
            self._id, data = event.stream_id, data[1:]
        if event.stream_id == self._id:
            self._came += data
            self.frames += self._whole_frames()

    def _whole_frames(self) -> Iterator[tuple[int, bytes]]:
        with suppress(BufferReadError):
            while self._came:
                buffer = Buffer(data=bytes(self._came))
                kind, size = buffer.pull_uint_var(), buffer.pull_uint_var()
                payload = buffer.pull_bytes(size)
                del self._came[: buffer.tell()]
                yield kind, payload


def _one_number(payload: bytes) -> int:
    buffer = Buffer(data=payload)
    number = buffer.pull_uint_var()
    assert buffer.eof(), f"more than an id in {payload!r}"
    return number
