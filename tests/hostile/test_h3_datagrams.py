"""Datagrams that say more than one thing: what comes first must not change what the rest means."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from aioquic.h3.connection import encode_frame

from edge.codec.h1.fields import CACHE_LINE_BYTES
from edge.codec.h3.request import _request_lines
from edge.codec.h3.wire import Code, varint
from edge.errors import DownstreamClosed
from edge.exchange.seams import Downstream
from edge.head import RequestHead, ResponseHead
from tests.conformance.h3 import packets
from tests.conformance.h3.packets import inject
from tests.hostile.fake_h1 import FakeExchange
from tests.unit.codec.h3.world import GET, Client, World

POST = [(b":method", b"POST"), *GET[1:]]
_BODY = encode_frame(0, b"hello")


class _Denying(FakeExchange):
    """Answers 401 to the head, within the call that brings it."""

    def __init__(self, downstream: Downstream, head: RequestHead, end: bool) -> None:
        super().__init__(downstream, head, end)
        downstream.send_whole(ResponseHead(401, [], 2), b"no")


def _open(client: Client) -> int:
    """A stream of which the client knows, and of which nothing was sent."""
    stream_id = client.quic.get_next_available_stream_id()
    client.quic._get_or_create_stream_for_send(stream_id)
    return stream_id


def _code(client: Client) -> int | None:
    """With which the connection ended."""
    return None if client.closed is None else client.closed.error_code


def _section(client: Client, stream_id: int, fields: list[tuple[bytes, bytes]]) -> bytes:
    assert client.h3 is not None
    return encode_frame(1, client.h3._encode_headers(stream_id, fields))


@pytest.mark.parametrize(
    "rest",
    [
        lambda i, at, head: packets.stream(i, _BODY, at, fin=True),
        lambda i, at, head: packets.stream(i, head, at, fin=True),
        lambda i, at, head: packets.stream(i, _BODY, at) + packets.stream(i, b"", at + len(_BODY), fin=True),
        lambda i, at, head: packets.reset_stream(i, final_size=at),
        lambda i, at, head: packets.stream(i, _BODY, at) + packets.reset_stream(i, final_size=at + 7),
    ],
    ids=["body", "second-head", "body-and-end", "reset", "body-and-reset"],
)
def test_what_follows_an_answered_head_in_its_datagram_is_dropped(
    rest: Callable[[int, int, bytes], bytes],
) -> None:
    """Case 82: the answer was made before the rest of the datagram was looked at."""
    world = World(_Denying)
    client = world.client()
    stream_id = _open(client)
    head = _section(client, stream_id, POST)
    inject(client, packets.stream(stream_id, head) + rest(stream_id, len(head), head))
    world.settle()
    assert (client.status(stream_id), client.body(stream_id)) == (401, b"no")
    assert (client.closed, client.resets, len(world.exchanges)) == (None, {}, 1)
    assert client.get()[0] == 401
    (seat,) = set(world.host._by_cid.values())
    assert seat._dead == set() and world.unhandled == []


def test_what_follows_a_malformed_head_in_its_datagram_is_dropped() -> None:
    world = World()
    client = world.client()
    stream_id = _open(client)
    head = _section(client, stream_id, [*GET, (b"connection", b"x")])
    inject(client, packets.stream(stream_id, head) + packets.stream(stream_id, head, len(head), fin=True))
    world.settle()
    assert (client.resets, client.closed) == ({stream_id: Code.MESSAGE_ERROR}, None)
    (seat,) = set(world.host._by_cid.values())
    assert (seat._cancelled, seat._dead, world.exchanges) == (1, set(), [])
    assert client.get() == (200, b"ok")


def test_a_storm_that_goes_on_behind_its_end_is_one_refusal() -> None:
    """Case 86: the reset that ends the connection is not the last of its packet."""
    world = World(FakeExchange)
    client = world.client()
    client.request(POST, end=False)
    world.settle()
    (seat,) = set(world.host._by_cid.values())
    while client.closed is None:
        streams = seat.transport._local_max_streams_bidi
        room = min(100, streams.sent - streams.used)
        inject(client, b"".join(packets.reset_stream(_open(client)) for _ in range(room)))
        world.settle()
        world.advance(0.1)
    assert _code(client) == Code.EXCESSIVE_LOAD
    assert isinstance(world.exchanges[0].failed, DownstreamClosed)
    assert world.unhandled == []
    assert world.client().h3 is not None


@pytest.mark.parametrize("first", ["reset", "fault"])
def test_a_fault_in_front_of_other_streams_ends_them_all_once(first: str) -> None:
    world = World(FakeExchange)
    client = world.client()
    standing = client.request(POST, end=False)
    world.settle()
    bad, other = _open(client), _open(client)
    fault = packets.stream(bad, _BODY)
    rest = packets.reset_stream(standing, final_size=len(_section(client, standing, POST)))
    rest += packets.stream(other, _section(client, other, GET), fin=True) + packets.stop_sending(standing)
    inject(client, rest + fault if first == "reset" else fault + rest)
    world.settle()
    assert _code(client) == Code.FRAME_UNEXPECTED
    assert all(exchange.failed is not None for exchange in world.exchanges)
    assert len(world.exchanges) == (2 if first == "reset" else 1)
    assert world.unhandled == []
    assert world.client().h3 is not None


@pytest.mark.parametrize("ranges", [b"\0", b"\1\0\0"], ids=["one-range", "two-ranges"])
@pytest.mark.parametrize("ahead", [1, 1 << 40])
def test_an_acknowledgement_of_what_was_never_sent_ends_the_connection(ahead: int, ranges: bytes) -> None:
    """RFC 9000 §13.1: it is a guess, to be sent more than the network bears, or no QUIC at all."""
    world = World()
    client = world.client()
    assert client.get() == (200, b"ok")
    (seat,) = set(world.host._by_cid.values())
    last = seat.transport._packet_number - 1
    inject(client, b"\x02" + varint(last) + b"\0" + ranges + b"\0")
    world.settle()
    assert _code(client) is None
    sent = seat.transport._packet_number - 1
    inject(client, b"\x02" + varint(sent + ahead) + b"\0" + ranges + b"\0")
    world.settle()
    assert _code(client) == 0xA
    assert world.unhandled == []
    assert world.client().get() == (200, b"ok")


def test_lines_too_long_to_come_again_are_not_remembered() -> None:
    """Beside the target a method and a protocol are as long as a client likes."""
    world = World()
    client = world.client()
    for number in range(5):
        long = b"M%d-" % number + b"x" * 5_000
        stream_id = client.request([(b":method", long), *GET[1:]])
        extended = [(b":method", b"CONNECT"), (b":protocol", long), *GET[1:]]
        refused = client.request(extended)
        world.settle()
        assert (client.status(stream_id), client.status(refused)) == (200, 501)
    kept = [value for line in _request_lines for _, value in line]
    assert not [value for value in kept if len(value) > CACHE_LINE_BYTES]
