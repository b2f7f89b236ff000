"""Hostile HTTP/3 streams that had begun when they turned out to be hostile: rows 73, 83 and 86."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from aioquic.h3.connection import encode_frame

from edge.codec.h3 import stream as stream_module
from edge.codec.h3.wire import Code, varint
from edge.errors import BadRequest, DownstreamClosed
from edge.head import REPEAT_BYTES
from tests.conformance.h3 import packets
from tests.conformance.h3.packets import inject
from tests.hostile.fake_h1 import FakeExchange
from tests.unit.codec.h3.world import GET, Client, World

POST = [(b":method", b"POST"), *GET[1:]]
_LINES = b"\0\0" + b"\xd1" * 50_000


def _begin(world: World, client: Client) -> int:
    """A request that its exchange has seen, as soon as the client may open another stream."""
    while client.quic._remote_max_streams_bidi <= client.quic._local_next_stream_id_bidi // 4:
        world.advance(0.03)
    stream_id = client.request(POST, b"hello", end=False)
    world.settle()
    return stream_id


@pytest.mark.parametrize(
    "cut",
    [
        lambda client, stream_id: client.quic.reset_stream(stream_id, 0x10C),
        lambda client, stream_id: client.quic.stop_stream(stream_id, 0x10C),
    ],
    ids=["reset", "stop"],
)
def test_case_86_a_storm_of_requests_that_had_begun_ends_the_connection(
    cut: Callable[[Client, int], None],
) -> None:
    world = World(FakeExchange)
    client = world.client()
    for _ in range(400):
        if client.closed is not None:
            break
        cut(client, _begin(world, client))
        world.settle()
    assert client.closed is not None and client.closed.error_code == Code.EXCESSIVE_LOAD
    assert 250 <= len(world.exchanges) <= 300
    assert {type(exchange.failed) for exchange in world.exchanges} == {DownstreamClosed}
    assert all(exchange.body == b"hello" for exchange in world.exchanges)
    assert world.unhandled == []
    assert world.client().h3 is not None


def test_case_73_more_than_the_length_is_seen_at_once() -> None:
    """Not only at the end of the stream: until then upstream would have been told too much."""
    world = World(FakeExchange)
    client = world.client()
    stream_id = client.request([*POST, (b"content-length", b"3")], b"abc", end=False)
    world.settle()
    client.quic.send_stream_data(stream_id, encode_frame(0, b"d"))
    world.settle()
    (exchange,) = world.exchanges
    assert client.resets == {stream_id: Code.MESSAGE_ERROR}
    assert exchange.body == b"abc" and isinstance(exchange.failed, BadRequest)


@pytest.mark.parametrize("more", ["data", "headers"])
def test_case_78_nothing_follows_trailers(more: str) -> None:
    world = World(FakeExchange)
    client = world.client()
    stream_id = _begin(world, client)
    assert client.h3 is not None
    trailers = encode_frame(1, client.h3._encode_headers(stream_id, [(b"x-a", b"b")]))
    client.quic.send_stream_data(stream_id, trailers)
    world.settle()
    (exchange,) = world.exchanges
    assert (exchange.ended, exchange.trailers) == (True, [(b"x-a", b"b")])
    client.quic.send_stream_data(stream_id, encode_frame(0, b"x") if more == "data" else trailers)
    world.settle()
    assert client.closed is not None and client.closed.error_code == Code.FRAME_UNEXPECTED
    assert isinstance(exchange.failed, DownstreamClosed)
    assert world.unhandled == []


@pytest.mark.parametrize("trailers", [False, True])
def test_case_83_lines_are_counted_before_they_are_decoded(
    monkeypatch: pytest.MonkeyPatch, trailers: bool
) -> None:
    world = World(FakeExchange)
    client = world.client()
    stream_id = _begin(world, client) if trailers else client.raw(b"", end=False)
    monkeypatch.setattr(stream_module, "decode", None)
    client.quic.send_stream_data(stream_id, b"\x01" + varint(len(_LINES)) + _LINES, True)
    world.settle()
    assert world.unhandled == [] and client.closed is None
    if trailers:
        assert client.resets == {stream_id: Code.MESSAGE_ERROR}
        assert world.exchanges[0].failed is not None
    else:
        assert client.status(stream_id) == 431


def test_a_long_head_is_not_kept_for_its_next_time() -> None:
    world = World()
    client = world.client()
    plain, long = [*GET, (b"x-a", b"b")], [*GET, (b"x-long", b"\xff" * REPEAT_BYTES)]
    (seat,) = set(world.host._by_cid.values())
    for number, fields in enumerate((plain, plain, long, long, long, plain)):
        stream_id = client.request(fields)
        world.settle()
        assert world.exchanges[number].head.fields == fields[4:] and client.status(stream_id) == 200
        assert len(seat._last) < 100
    assert seat._repeat is not None and seat._repeat[2].fields == plain[4:]


@pytest.mark.parametrize("how", ["ended", "reset"])
def test_case_67_unidirectional_streams_that_come_and_go_are_a_flood(how: str) -> None:
    world = World()
    client = world.client()
    (seat,) = set(world.host._by_cid.values())
    opened = 3
    while client.closed is None and opened < 1_000:
        streams = seat.transport._local_max_streams_uni
        ids = [4 * number + 2 for number in range(opened, opened + streams.sent - streams.used)]
        opened += len(ids)
        frames = [
            packets.stream(i, b"", 0, fin=True) if how == "ended" else packets.reset_stream(i) for i in ids
        ]
        inject(client, b"".join(frames) or b"\x01")
        world.settle()
        world.advance(0.05)
    assert client.closed is not None and client.closed.error_code == Code.EXCESSIVE_LOAD
    assert 100 < opened <= 300
    assert world.unhandled == []
    assert world.client().get() == (200, b"ok")
