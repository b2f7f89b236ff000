"""The window of a connection, which may live for days, comes back whatever became of what was sent."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge.codec.h2 import native, pure
from edge.codec.h2.native import NativeEngine
from edge.codec.h2.pure import PureEngine
from edge.errors import UpstreamClosed
from edge.head import ResponseHead
from tests.hostile.fake_h1 import FakeExchange
from tests.hostile.fake_h2 import POST, H2Edge, data, rst

WINDOW = 100_000
PIECE = bytes(1_500)
ROUNDS = 200
"""More than the window, if half a piece of each is forgotten."""


class _Line:
    """A client that counts its credit."""

    def __init__(self, edge: H2Edge) -> None:
        self.edge = edge
        self.window = WINDOW
        self.last = -1

    def open(self, *fields: tuple[bytes, bytes]) -> FakeExchange:
        self.last += 2
        self.edge.send(self.edge.head(self.last, [*POST, *fields], False))
        return self.edge.exchanges[-1]

    def data(self, body: bytes = PIECE, end: bool = False) -> bytes:
        self.window -= len(body)
        return data(self.last, body, end)

    def settle(self) -> None:
        self.edge.wait(1)
        for frame in self.edge.frames:
            if type(frame).__name__ == "WindowUpdateFrame" and not frame.stream_id:
                self.window += frame.window_increment
        self.edge.frames.clear()
        self.edge.exchanges.clear()


def _answered_in_the_middle_of_a_frame(line: _Line) -> None:
    exchange, piece = line.open(), line.data()
    line.edge.send(piece[:700])
    exchange.downstream.send_whole(ResponseHead(413, [], 2), b"no")
    line.edge.settle()
    line.edge.send(piece[700:800])
    line.edge.send(piece[800:], line.data(end=True))


def _reset_in_the_middle_of_a_frame(line: _Line) -> None:
    exchange, piece = line.open(), line.data()
    line.edge.send(piece[:700])
    exchange.downstream.reset(UpstreamClosed("gone"))
    line.edge.settle()
    line.edge.send(piece[700:], line.data(end=True))


def _reset_by_the_client_after_half_a_body(line: _Line) -> None:
    line.open().downstream.pause_request()
    line.edge.send(line.data())
    line.edge.send(line.data(), rst(line.last))


def _held_until_the_answer(line: _Line) -> None:
    exchange = line.open()
    exchange.downstream.pause_request()
    line.edge.send(line.data())
    exchange.downstream.send_whole(ResponseHead(200, [], 2), b"ok")
    line.edge.settle()
    line.edge.send(line.data(end=True))


def _taken_whole(line: _Line) -> None:
    exchange = line.open()
    line.edge.send(line.data(end=True))
    exchange.downstream.send_whole(ResponseHead(200, [], 2), b"ok")
    line.edge.settle()


def _fails_on_it(line: _Line) -> None:
    def fail(body: bytes, end: bool) -> None:
        raise RuntimeError("ours")

    line.open().request_data = fail  # type: ignore[method-assign]
    line.edge.send(line.data(), line.data(end=True))


Kind = Callable[[_Line], None]


@pytest.mark.parametrize("engine", [NativeEngine, PureEngine])
@pytest.mark.parametrize(
    "kind",
    [
        _answered_in_the_middle_of_a_frame,
        _reset_in_the_middle_of_a_frame,
        _reset_by_the_client_after_half_a_body,
        _held_until_the_answer,
        _taken_whole,
        _fails_on_it,
    ],
)
def test_all_credit_comes_back(kind: Kind, engine: type, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (native, pure):
        monkeypatch.setattr(module, "CONNECTION_WINDOW_BYTES", WINDOW)
    line = _Line(H2Edge(FakeExchange, engine=engine))
    for _ in range(ROUNDS):
        kind(line)
        line.settle()
        assert line.window > WINDOW // 3
        assert not line.edge.goaways


def test_credit_that_is_lost_costs_a_connection_and_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """libnghttp2 resets a body that ends short, and what its last frame held is never given back."""
    monkeypatch.setattr(native, "CONNECTION_WINDOW_BYTES", WINDOW)
    line = _Line(H2Edge(FakeExchange))
    for _ in range(ROUNDS):
        line.open((b"content-length", b"4000"))
        line.edge.send(line.data(end=True))
        line.settle()
        if line.edge.goaways:
            break
    assert line.edge.goaways == [(line.last, 0)]
    assert line.window > WINDOW // 3
    line.edge.wait(5)
    assert line.edge.transport.closed


def test_others_are_served_to_their_end_when_it_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "CONNECTION_WINDOW_BYTES", WINDOW)
    line = _Line(H2Edge(FakeExchange))
    other, stream_id = line.open(), line.last
    while not line.edge.goaways:
        assert line.last < 2 * ROUNDS
        line.open((b"content-length", b"4000"))
        line.edge.send(line.data(end=True))
        line.settle()
    line.edge.send(data(stream_id, b"late", True))
    assert other.body == b"late"
    other.downstream.send_whole(ResponseHead(200, [], 2), b"ok")
    line.edge.settle()
    assert line.edge.status(stream_id) == 200
    assert line.edge.goaway == 0


@pytest.mark.parametrize("engine", [NativeEngine, PureEngine])
def test_what_comes_after_the_last_stream_is_not_served_and_costs_no_window(
    engine: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One exchange of a connection that drains may last for hours, and is not to run dry."""
    for module in (native, pure):
        monkeypatch.setattr(module, "CONNECTION_WINDOW_BYTES", WINDOW)
    line = _Line(H2Edge(FakeExchange, engine=engine))
    standing, stream_id = line.open(), line.last
    line.edge.h2.shutdown()
    line.edge.wait(2)
    assert line.edge.goaways[-1] == (stream_id, 0)
    line.settle()
    for _ in range(ROUNDS):
        line.last += 2
        line.edge.send(line.edge.head(line.last, POST, False), line.data(end=True))
        assert not line.edge.exchanges
        line.settle()
        assert line.window > WINDOW // 3
    assert len(line.edge.goaways) == 2
    line.edge.send(data(stream_id, b"late", True))
    assert standing.body == b"late"


@pytest.mark.parametrize("engine", [NativeEngine, PureEngine])
def test_a_request_that_ends_after_its_answer_gives_back_its_place(engine: type) -> None:
    """An answer without a body ends with its head; its exchange goes on until upstream has all."""
    line = _Line(H2Edge(FakeExchange, engine=engine))
    for _ in range(ROUNDS):
        exchange = line.open()
        exchange.downstream.send_head(ResponseHead(204, []), False)
        line.edge.settle()
        line.edge.send(line.data(end=True))
        exchange.downstream.send_data(b"", True)
        line.settle()
        assert not line.edge.h2._streams


def test_h2_forgets_streams_that_are_over() -> None:
    line = _Line(H2Edge(FakeExchange, engine=PureEngine))
    for _ in range(ROUNDS):
        exchange = line.open()
        line.edge.send(line.data(end=True))
        exchange.downstream.send_whole(ResponseHead(200, [], 2), b"ok")
        line.settle()
    engine = line.edge.h2.engine
    assert isinstance(engine, PureEngine)
    assert len(engine._connection.streams) < 10
