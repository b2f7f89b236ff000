"""A client of raw frames and a transport for `H2Server`, without sockets.

What the server writes is taken apart with hyperframe and hpack; what goes upstream is judged as
for HTTP/1 by a strict parser.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from hpack import Decoder, Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from edge.codec.h2.engine import MakeEngine
from edge.codec.h2.native import NativeEngine
from edge.codec.h2.server import H2Server
from edge.exchange.seams import Downstream
from edge.head import RequestHead
from edge.model import Limits
from tests.hostile.fake_h1 import AnsweringExchange, Edge, FakeExchange, FakeTransport

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
Pairs = list[tuple[bytes, bytes]]

GET: Pairs = [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/"), (b":authority", b"a")]
POST: Pairs = [(b":method", b"POST"), *GET[1:]]


def frame(kind: int, payload: bytes, stream_id: int = 0, flags: int = 0) -> bytes:
    """Any frame, however wrong."""
    return b"%b%c%c%b%b" % (
        len(payload).to_bytes(3, "big"),
        kind,
        flags,
        stream_id.to_bytes(4, "big"),
        payload,
    )


def settings(values: dict[int, int] | None = None) -> bytes:
    made: bytes = SettingsFrame(0, values or {}).serialize()
    return made


def data(stream_id: int, body: bytes, end: bool = False) -> bytes:
    return frame(0, body, stream_id, 1 if end else 0)


def rst(stream_id: int, code: int = 8) -> bytes:
    return frame(3, code.to_bytes(4, "big"), stream_id)


def window(stream_id: int, increment: int) -> bytes:
    return frame(8, increment.to_bytes(4, "big"), stream_id)


class Heads:
    """Header blocks of one client; the HPACK table goes with it."""

    def __init__(self) -> None:
        self._encoder = Encoder()

    def block(self, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
        made: bytes = self._encoder.encode(list(fields))
        return made

    def __call__(
        self, stream_id: int, fields: Iterable[tuple[bytes, bytes]] = tuple(GET), end: bool = True
    ) -> bytes:
        return frame(1, self.block(fields), stream_id, 5 if end else 4)


class H2Edge(Edge):
    """One connection to an `H2Server`; `goaway`, `resets`, `heads`, `bodies` are what the client saw."""

    def __init__(
        self,
        make: Callable[[Downstream, RequestHead, bool], FakeExchange] = AnsweringExchange,
        limits: Limits | None = None,
        tls: bool = True,
        engine: MakeEngine = NativeEngine,
        client_settings: dict[int, int] | None = None,
        greet: bool = True,
        draining: bool = False,
    ) -> None:
        super().__init__(make, limits, tls, draining)
        self.context.connections.clear()
        self.context.deadlines.forget(self.server)
        self.transport = FakeTransport(tls)
        self.h2 = self.server = H2Server(self.context, engine)  # type: ignore[assignment]
        self.h2.connection_made(self.transport)
        self.turn()
        self._parsed = 0
        self._decoder = Decoder()
        self.goaways: list[tuple[int, int]] = []
        self.resets: dict[int, int] = {}
        self.heads: dict[int, list[Pairs]] = {}
        self.bodies: dict[int, bytes] = {}
        self.ended_streams: set[int] = set()
        self.frames: list[Any] = []
        self.head = Heads()
        if greet:
            self.send(PREFACE + settings(client_settings) + frame(4, b"", 0, 1))

    def send(self, *pieces: bytes) -> None:
        """Bytes from the client in one piece, and a turn of the loop."""
        self.feed(b"".join(pieces))
        self._parse()

    def send_bytewise(self, piece: bytes) -> None:
        self.feed_bytewise(piece)
        self._parse()

    def settle(self) -> None:
        self.turn()
        self._parse()

    def wait(self, seconds: float) -> None:
        super().wait(seconds)
        self._parse()

    @property
    def goaway(self) -> int | None:
        """Code of the last GOAWAY."""
        return self.goaways[-1][1] if self.goaways else None

    def status(self, stream_id: int) -> int:
        """Of the final head; 0 when there is none."""
        for fields in self.heads.get(stream_id, []):
            status = int(dict(fields)[b":status"])
            if status >= 200:
                return status
        return 0

    def _parse(self) -> None:
        written = self.transport.written
        while len(written) - self._parsed >= 9:
            start = self._parsed
            one, length = Frame.parse_frame_header(memoryview(written[start : start + 9]))
            assert len(written) >= start + 9 + length, "half a frame"
            one.parse_body(memoryview(written[start + 9 : start + 9 + length]))
            self._parsed = start + 9 + length
            self._see(one)

    def _see(self, one: Any) -> None:
        self.frames.append(one)
        stream_id = one.stream_id
        if isinstance(one, GoAwayFrame):
            self.goaways.append((one.last_stream_id, one.error_code))
        elif isinstance(one, RstStreamFrame):
            self.resets[stream_id] = one.error_code
        elif isinstance(one, HeadersFrame):
            assert "END_HEADERS" in one.flags
            pairs = [(bytes(n), bytes(v)) for n, v in self._decoder.decode(one.data, raw=True)]
            self.heads.setdefault(stream_id, []).append(pairs)
        elif isinstance(one, DataFrame):
            self.bodies[stream_id] = self.bodies.get(stream_id, b"") + one.data
        if isinstance(one, HeadersFrame | DataFrame) and "END_STREAM" in one.flags:
            self.ended_streams.add(stream_id)


__all__ = [
    "GET",
    "POST",
    "PREFACE",
    "ContinuationFrame",
    "H2Edge",
    "Heads",
    "PingFrame",
    "WindowUpdateFrame",
    "data",
    "frame",
    "rst",
    "settings",
    "window",
]
