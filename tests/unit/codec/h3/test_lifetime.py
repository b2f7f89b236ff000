"""What is left of a connection: nothing, at once; and of an answer nobody reads: nothing, in time."""

from __future__ import annotations

import weakref

import pytest

from edge.codec.h3.answer import CROWDED_BYTES
from edge.codec.h3.wire import Code
from edge.head import ResponseHead
from edge.model import Limits
from tests.hostile.fake_h1 import FakeExchange
from tests.hostile.test_h3_conversations import _half_open, _stingy
from tests.unit.codec.h3.world import World


def _transports(world: World) -> list[weakref.ref[object]]:
    return [weakref.ref(seat.transport) for seat in set(world.host._by_cid.values())]


@pytest.mark.usefixtures("no_collector")
def test_a_closed_connection_is_freed_without_the_collector() -> None:
    world = World()
    client = world.client()
    client.get()
    (transport,) = _transports(world)
    world.connections.clear()
    world.exchanges.clear()
    client.quic.close(0x100)
    world.advance(5)
    assert world.host.seats() == 0
    assert transport() is None


@pytest.mark.usefixtures("no_collector")
def test_a_handshake_that_never_ends_is_freed_too() -> None:
    world = World()
    _half_open(world, 1)
    (transport,) = _transports(world)
    world.network.sent.clear()
    world.advance(11)
    assert world.host.half_open == 0
    assert transport() is None


def test_a_whole_answer_that_nobody_reads_is_reset() -> None:
    world = World(FakeExchange, limits=Limits(body_idle_timeout_s=20, rate_window_s=20, min_rate_bytes_s=10))
    client = world.client(quic=_stingy, max_stream_data=1_000)
    stream_id = client.request()
    world.settle()
    size = 4 * CROWDED_BYTES
    world.exchanges[0].downstream.send_whole(ResponseHead(200, [], size), bytes(size))
    world.advance(19)
    assert client.resets == {}
    # What came at first was progress; nothing came since.
    world.advance(25)
    assert client.resets == {stream_id: Code.REQUEST_CANCELLED}
    assert client.closed is None
