"""A whole answer in one call of the engine is what its parts would be, by both HTTP/2 engines."""

from __future__ import annotations

import pytest

from edge.codec.h2.engine import Engine, MakeEngine
from edge.codec.h2.native import NativeEngine
from edge.codec.h2.pure import PureEngine
from edge.head import Field
from tests.contract.test_h2_engines import OK, Client
from tests.hostile.fake_h2 import POST, data, frame, rst, window

TRAILERS: list[Field] = [(b"grpc-status", b"0")]
ENGINES = pytest.mark.parametrize("make", [NativeEngine, PureEngine])
KINDS = pytest.mark.parametrize("trailers", [None, TRAILERS], ids=["body", "trailers"])


def _in_parts(engine: Engine, stream_id: int, body: bytes, trailers: list[Field] | None) -> None:
    engine.send_head(stream_id, OK, False)
    engine.send_data(stream_id, body, trailers is None)
    if trailers is not None:
        engine.send_trailers(stream_id, trailers)


@ENGINES
@KINDS
@pytest.mark.parametrize("size", [1, 5, 16_384, 65_535, 100_000])
def test_the_client_sees_the_same(make: MakeEngine, trailers: list[Field] | None, size: int) -> None:
    """Also where its window takes only a part at first."""
    seen = []
    for send in (_in_parts, lambda engine, *answer: engine.send_whole(answer[0], OK, *answer[1:])):
        client = Client(make)
        client.send(client.head(1) + client.head(3, POST, False))
        for stream_id in (1, 3):
            send(client.engine, stream_id, b"x" * size, trailers)
        client.take()
        client.send(window(0, 1 << 20) + window(1, 1 << 20) + window(3, 1 << 20))
        client.send(data(3, b"end", True))
        seen.append((client.seen(), client.told()))
    assert seen[0] == seen[1]
    frames = seen[0][0]
    assert ("head", 1, OK, False) in frames
    assert sum(len(one[2]) for one in frames if one[0] == "data") == 2 * size
    assert [one[1] for one in frames if one[-1] is True] == [1, 3]
    assert (("head", 1, TRAILERS, True) in frames) is (trailers is not None)


@ENGINES
@KINDS
def test_of_a_stream_that_is_over_nothing_is_sent(make: MakeEngine, trailers: list[Field] | None) -> None:
    client = Client(make)
    client.send(client.head(1) + client.head(3))
    client.send(rst(1))
    client.engine.send_whole(1, OK, b"late", trailers)
    client.engine.send_whole(5, OK, b"never asked for", trailers)
    client.engine.send_whole(3, OK, b"hello", trailers)
    client.take()
    assert {one[1] for one in client.seen() if one[0] in ("head", "data")} == {3}
    assert client.engine.over is None


@ENGINES
@KINDS
def test_a_client_may_measure_the_line_by_each_answer(make: MakeEngine, trailers: list[Field] | None) -> None:
    client = Client(make)
    for number in range(700):
        stream_id = 1 + 2 * number
        client.send(client.head(stream_id) + frame(6, b"12345678") * 2 + window(0, 5) * 2)
        client.engine.send_whole(stream_id, OK, b"hello", trailers)
        client.take()
    assert client.engine.over is None
