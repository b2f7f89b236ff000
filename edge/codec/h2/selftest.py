"""Whether the ngh2 installed speaks as the engine expects: one request and its answer."""

from __future__ import annotations

from typing import Final

from edge.codec.h2.native import NativeEngine
from edge.head import Field
from edge.installed import version
from edge.model import Limits

EXPECTED_NGH2: Final = "0.3.0"

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
_GET: Final = b"\0\0\6\1\5\0\0\0\1" + b"\x82\x87\x84\x41\1a"
_FIELDS: Final = ((b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/"), (b":authority", b"a"))
_OK: Final = b"\0\0\1\1\5\0\0\0\1\x88"


class _Listener:
    """An `EngineSink` that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def on_request(self, stream_id: int, fields: tuple[Field, ...], end: bool) -> None:
        self.told.append((stream_id, fields, end))

    def on_data(self, stream_id: int, data: bytes, credit: int, end: bool) -> None:
        self.told.append((stream_id, data, credit, end))

    def on_trailers(self, stream_id: int, fields: tuple[Field, ...]) -> None:
        self.told.append((stream_id, fields))

    def on_closed(self, stream_id: int, code: int, by_peer: bool) -> None:
        self.told.append((stream_id, code, by_peer))

    def on_refused(self, count: int, code: int) -> None:
        self.told.append((count, code))

    def on_ping_answered(self) -> None:
        self.told.append("ping")

    def on_rest(self) -> None:
        self.told.append("rest")


def check() -> None:
    """Raises RuntimeError with what differs, if anything does. Takes well under a millisecond."""
    sink = _Listener()
    try:
        engine = NativeEngine(sink, Limits(), lambda: 0.0)
        engine.receive(_PREFACE + _GET)
        engine.take()
        engine.send_head(1, [(b":status", b"200")], True)
        answer = engine.take()
    except Exception as error:
        answer = repr(error).encode()
    if answer != _OK or sink.told != [(1, _FIELDS, True), (1, 0, False)]:
        found = version("ngh2")
        raise RuntimeError(f"HTTP/2 needs ngh2 {EXPECTED_NGH2}, {found} behaves otherwise: {answer!r}")
