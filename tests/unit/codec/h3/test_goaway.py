"""The two GOAWAYs of a drain, as the client reads them: none is taken back, and the last one is true."""

from __future__ import annotations

import pytest
from aioquic.buffer import encode_uint_var

from edge.codec.h3.wire import Code
from edge.head import ResponseHead
from tests.hostile.fake_h1 import FakeExchange
from tests.unit.codec.h3.world import Client, World

WARNING = (1 << 62) - 4
"""The highest id a client may use for a request. Spec: RFC 9000 §2.1, RFC 9114 §5.2."""
_SETTINGS, _GOAWAY = 4, 7


def test_a_drain_warns_then_counts_and_closes_after_the_last_answer() -> None:
    world = World(FakeExchange)
    client = world.client()
    first = client.request()
    world.settle()
    assert client.control.goaways == []
    world.context.drain()
    world.settle()
    assert client.control.goaways == [WARNING]
    second = client.request()
    world.settle()
    assert len(world.exchanges) == 2, "after the warning requests are still taken"
    world.advance(0.4)
    assert client.control.goaways == [WARNING]
    world.advance(0.6)
    assert client.control.goaways == [WARNING, second + 4]
    late = client.request()
    world.settle()
    assert client.resets == {late: Code.REQUEST_REJECTED}
    assert len(world.exchanges) == 2 and client.closed is None
    for each in world.exchanges:
        each.downstream.send_whole(ResponseHead(200, [], 2), b"ok")
    world.settle()
    assert client.body(first) == client.body(second) == b"ok"
    world.advance(1)
    assert client.closed is not None and client.closed.error_code == Code.NO_ERROR
    assert client.control.goaways == [WARNING, second + 4], "nothing is said twice"


def test_an_idle_connection_hears_both_before_its_end() -> None:
    world = World()
    client = world.client()
    world.context.drain()
    world.advance(1)
    assert client.control.goaways == [WARNING, 0]
    assert client.closed is not None and client.closed.error_code == Code.NO_ERROR


def test_goaways_are_whole_frames_behind_the_settings() -> None:
    world = World()
    client = world.client()
    assert client.get() == (200, b"ok")
    world.context.drain()
    world.advance(1)
    assert client.control.frames[0][0] == _SETTINGS
    assert client.control.frames[1:] == [
        (_GOAWAY, encode_uint_var(WARNING)),
        (_GOAWAY, encode_uint_var(4)),
    ]


@pytest.mark.parametrize("lost", [1, 2])
def test_a_goaway_that_is_lost_on_its_way_is_said_again(lost: int) -> None:
    world = World(FakeExchange)
    client = world.client()
    client.request()
    world.settle()
    if lost == 2:
        world.context.drain()
        world.settle()
    world.network.drop = lambda data: True
    if lost == 1:
        world.context.drain()
    world.advance(0.6)
    assert len(client.control.goaways) == lost - 1
    world.network.drop = lambda data: False
    world.advance(2)
    assert client.control.goaways == [WARNING, 4]


@pytest.mark.parametrize("whole", [True, False], ids=["the listener drains", "only its HTTP/3 does"])
def test_a_handshake_under_way_when_a_drain_begins_ends_with_a_goaway(whole: bool) -> None:
    world = World()
    client = Client(world)
    client.connect()
    (first, _) = client.quic.datagrams_to_send(world.loop.now)[0]
    world.host.datagram_received(first, client.address)
    world.host.accepting = False
    if whole:
        world.context.drain()
    else:
        world.host.drain()
    world.settle()
    assert client.established and client.closed is None
    assert client.get() == (200, b"ok"), "what was on its way is served"
    world.advance(1)
    assert client.closed is not None and client.closed.error_code == Code.NO_ERROR
    assert (client.control.goaways, world.context.connections) == ([WARNING, 4], set())
