"""Connections whose UDP transport is lost: they cost nothing, and go on by themselves with the next one."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from edge.codec.h3.wire import Code
from edge.head import ResponseHead
from edge.listen.quic_host import REVIVED_PER_TURN
from tests.hostile.fake_h1 import FakeExchange
from tests.hostile.test_h3_conversations import _half_open
from tests.unit.codec.h3.world import Client, FakeNetwork, World


def _lose(world: World) -> None:
    """What the host still tries to send goes to a network that nobody reads."""
    world.host.connection_lost(None)
    world.network = FakeNetwork()


def _revive(world: World) -> None:
    world.network = FakeNetwork()
    world.host.connection_made(world.network)  # type: ignore[arg-type]


def _deliver(world: World, client: Client) -> None:
    for data, _ in client.quic.datagrams_to_send(world.loop.now):
        world.host.datagram_received(data, client.address)


def _answer(world: World, number: int = 0) -> None:
    world.exchanges[number].downstream.send_whole(ResponseHead(200, [], 2), b"ok")


def _answered_meanwhile(many: int) -> tuple[World, list[Client], list[int]]:
    """As many clients, and the stream of each on which its answer waits for a transport."""
    world = World(FakeExchange)
    clients = [world.client() for _ in range(many)]
    asked = [client.request() for client in clients]
    world.advance(2)
    _lose(world)
    for number in range(many):
        _answer(world, number)
    return world, clients, asked


class _Timers:
    """Counts the timers the host asks for from now on."""

    def __init__(self, world: World) -> None:
        self.count = 0
        self._call_at = world.loop.call_at
        world.loop.call_at = self._counted  # type: ignore[method-assign]

    def _counted(self, when: float, callback: Callable[..., None], *arguments: Any) -> Any:
        self.count += 1
        return self._call_at(when, callback, *arguments)


def test_an_answer_made_meanwhile_is_sent_when_another_transport_comes() -> None:
    world = World(FakeExchange)
    client = world.client()
    stream_id = client.request()
    world.advance(2)
    _lose(world)
    _answer(world)
    world.advance(1)
    assert client.status(stream_id) == 0
    _revive(world)
    world.settle()
    assert (client.status(stream_id), client.body(stream_id)) == (200, b"ok")
    assert client.ended(stream_id)
    assert world.unhandled == []


def test_what_was_lost_with_the_transport_is_sent_again() -> None:
    world = World(FakeExchange)
    client = world.client()
    stream_id = client.request()
    world.settle()
    world.network.drop = lambda data: True
    _answer(world)
    world.loop.turn()
    _lose(world)
    world.advance(5)
    _revive(world)
    world.advance(1)
    assert (client.status(stream_id), client.body(stream_id)) == (200, b"ok")


def test_a_close_meanwhile_is_told_when_another_transport_comes() -> None:
    world = World()
    client = world.client()
    _lose(world)
    (seat,) = set(world.host._by_cid.values())
    seat.close(Code.INTERNAL_ERROR, "")
    world.advance(1)
    assert not client.closed
    _revive(world)
    world.settle()
    assert client.closed is not None
    assert client.closed.error_code == Code.INTERNAL_ERROR


def test_many_are_woken_over_some_turns() -> None:
    many = 3 * REVIVED_PER_TURN
    world, clients, asked = _answered_meanwhile(many)
    world.advance(1)
    _revive(world)
    had, told = [0], world.network
    while world.loop.soon:
        for _ in range(len(world.loop.soon)):
            world.loop.soon.popleft()()
        had.append(len({addr for _, addr in told.sent}))
    assert max(after - before for before, after in pairwise(had)) == REVIVED_PER_TURN
    assert had[-1] == many
    world.settle()
    statuses = [client.status(number) for client, number in zip(clients, asked, strict=True)]
    assert statuses == [200] * many


def test_those_that_wait_to_be_woken_may_end_and_the_transport_be_lost_again() -> None:
    many = 2 * REVIVED_PER_TURN
    world, clients, asked = _answered_meanwhile(many)
    world.loop.turn()
    _revive(world)
    world.loop.soon.popleft()()
    for seat in list(dict.fromkeys(world.host._by_cid.values()))[::2]:
        world.host._remove(seat)
    _lose(world)
    world.loop.turn()
    _revive(world)
    # Half of those that are left had sent by the transport that was lost.
    world.advance(5)
    statuses = [client.status(number) for client, number in zip(clients, asked, strict=True)]
    assert sorted(statuses) == [0] * REVIVED_PER_TURN + [200] * REVIVED_PER_TURN
    assert world.unhandled == []


def test_an_acknowledgement_that_is_owed_spins_no_timer() -> None:
    world = World()
    client = world.client()
    client.get()
    client.quic.send_ping(1)
    _deliver(world, client)
    _lose(world)
    world.clients.clear()
    timers = _Timers(world)
    world.advance(30)
    assert world.host.seats() == 1
    assert timers.count <= 30  # one a second
    # The one timer that counts is the idle timeout's.
    world.advance(40)
    assert world.host.seats() == 0
    assert timers.count <= 70
    assert world.unhandled == []


def test_an_answer_nobody_can_get_spins_no_timer() -> None:
    world = World(FakeExchange)
    client = world.client()
    client.request()
    world.settle()
    world.network.drop = lambda data: True
    _answer(world)
    world.loop.turn()
    _lose(world)
    world.clients.clear()
    timers = _Timers(world)
    world.advance(30)
    assert timers.count <= 30  # one a second


def test_timers_are_fine_again_with_another_transport() -> None:
    world = World()
    client = world.client()
    _lose(world)
    world.advance(3)
    _revive(world)
    world.advance(1)
    client.quic.send_ping(7)
    world.settle()
    before = client.bytes_in
    world.advance(0.05)
    assert client.bytes_in > before


@pytest.mark.usefixtures("no_collector")
def test_close_without_a_transport_leaves_nothing() -> None:
    world = World(FakeExchange)
    client = world.client()
    client.request()
    world.settle()
    _half_open(world, 1)
    assert (world.host.seats(), world.host.half_open) == (2, 1)
    client.quic.send_ping(1)
    _deliver(world, client)
    _lose(world)
    transports = [weakref.ref(seat.transport) for seat in set(world.host._by_cid.values())]
    world.clients.clear()
    world.host.close()
    assert (world.host.seats(), world.host._by_cid, world.host.half_open) == (0, {}, 0)
    assert world.exchanges[0].failed is not None
    timers = _Timers(world)
    world.advance(70)
    assert timers.count == 0
    world.connections.clear()
    world.exchanges.clear()
    assert [transport() for transport in transports] == [None, None]
    assert world.unhandled == []


def test_close_tells_a_client_where_there_is_a_transport() -> None:
    world = World()
    client = world.client()
    _lose(world)
    world.advance(1)
    _revive(world)
    sent = world.network.sent
    world.network.close = lambda: None  # type: ignore[method-assign]
    world.host.close()
    assert len(sent) == 1
    world.settle()
    assert client.closed is not None
    assert client.closed.error_code == Code.NO_ERROR


def test_close_meets_one_that_just_ended() -> None:
    world = World()
    world.client()
    _lose(world)
    (seat,) = set(world.host._by_cid.values())
    seat.discard()
    world.host.close()
    assert world.host.seats() == 0
    assert world.unhandled == []
