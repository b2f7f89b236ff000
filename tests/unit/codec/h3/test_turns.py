"""Many requests that come at once are begun turn by turn, and none of them is lost."""

from __future__ import annotations

import pytest

from edge.codec.h3.server import BEGUN_PER_TURN
from edge.codec.h3.wire import Code
from edge.listen.quic_door import INITIAL_BYTES
from edge.listen.quic_host import STRANGERS, STRANGERS_PER_TURN
from tests.hostile.fake_h1 import FakeExchange
from tests.unit.codec.h3.world import GET, Client, World

MANY = 90


def _crowd(world: World, count: int = MANY) -> tuple[Client, list[int]]:
    """Of one client, delivered in one turn that has not ended yet."""
    client = world.client()
    asked = [client.request(GET) for _ in range(count)]
    _deliver(world, client)
    return client, asked


def _deliver(world: World, client: Client) -> None:
    for data, _ in client.quic.datagrams_to_send(world.loop.now):
        world.host.datagram_received(data, client.address)


def _a_turn(world: World) -> None:
    """The end of one turn of the loop; what it leaves for the next one waits."""
    for _ in range(len(world.loop.soon)):
        world.loop.soon.popleft()()


def test_each_turn_begins_a_few_until_all_are_served() -> None:
    world = World()
    client, asked = _crowd(world)
    begun = [len(world.exchanges)]
    while world.loop.soon:
        _a_turn(world)
        begun.append(len(world.exchanges))
    assert max(after - before for before, after in zip([0, *begun], begun, strict=False)) == BEGUN_PER_TURN
    assert begun[-1] == MANY
    world.settle()
    assert [client.status(stream_id) for stream_id in asked] == [200] * MANY
    assert [exchange.downstream.id for exchange in world.exchanges] == asked  # type: ignore[attr-defined]
    assert world.unhandled == []


def test_another_connection_is_served_in_between() -> None:
    world = World()
    other = world.client()
    _crowd(world)
    stream_id = other.request(GET)
    _deliver(world, other)
    assert len(world.exchanges) == BEGUN_PER_TURN + 1
    _a_turn(world)
    for data, addr in list(world.network.sent):
        if addr == other.address:
            other.receive(data)
    assert other.status(stream_id) == 200
    assert len(world.exchanges) < MANY


def test_bodies_come_to_their_requests_in_order() -> None:
    world = World()
    client = world.client()
    post = [(b":method", b"POST"), *GET[1:]]
    asked = [client.request(post, b"%d" % number) for number in range(MANY)]
    world.settle()
    assert [exchange.body for exchange in world.exchanges] == [b"%d" % number for number in range(MANY)]
    assert all(client.ended(stream_id) for stream_id in asked)


def test_a_connection_that_is_closed_in_between_begins_nothing_more() -> None:
    world = World(FakeExchange)
    client, _ = _crowd(world)
    client.quic.close(error_code=Code.NO_ERROR)
    _deliver(world, client)
    world.settle()
    assert len(world.exchanges) == BEGUN_PER_TURN
    assert all(exchange.failed is not None for exchange in world.exchanges)
    assert world.unhandled == []


def test_a_drain_in_between_serves_what_had_come() -> None:
    world = World()
    client, asked = _crowd(world)
    world.host.drain()
    world.advance(3.0)
    assert [client.status(stream_id) for stream_id in asked] == [200] * MANY
    assert client.closed is not None
    assert client.closed.error_code == Code.NO_ERROR


def test_what_waits_when_the_last_stream_is_named_is_not_cut_off_by_an_idle_moment() -> None:
    world = World()
    client, asked = _crowd(world)
    (seat,) = set(world.host._by_cid.values())
    seat._going = 4 * MANY  # as if a drain had waited long enough
    seat._close_if_idle()
    world.settle()
    assert [client.status(stream_id) for stream_id in asked] == [200] * MANY
    world.advance(5.0)
    assert client.closed is not None


@pytest.mark.parametrize("good", [0, MANY - 1])
def test_a_fault_behind_them_ends_the_connection_as_it_would_before_them(good: int) -> None:
    world = World(FakeExchange)
    client = world.client()
    for _ in range(good):
        client.request(GET)
    client.raw(b"\x04\x00")  # SETTINGS on a request stream
    world.settle()
    assert len(world.exchanges) == good
    assert client.closed is not None
    assert client.closed.error_code == Code.FRAME_UNEXPECTED
    assert (len(world.refused), world.unhandled) == (1, [])


def _newcomers(world: World, count: int) -> list[Client]:
    """Their first packets, delivered in one turn that has not ended yet."""
    made = [Client(world) for _ in range(count)]
    for client in made:
        client.connect()
        _deliver(world, client)
    return made


def test_of_a_crowd_of_newcomers_a_few_are_looked_at_in_each_turn_and_all_get_in() -> None:
    world = World()
    made = _newcomers(world, 3 * STRANGERS_PER_TURN + 1)
    seats = []
    while world.loop.soon:
        seats.append(world.host.seats())
        _a_turn(world)
    assert seats[0] == STRANGERS_PER_TURN
    assert (
        max(after - before for before, after in zip([0, *seats], seats, strict=False)) == STRANGERS_PER_TURN
    )
    world.settle()
    assert all(client.established for client in made)


def test_a_crowd_of_newcomers_holds_up_no_connection_there_is() -> None:
    world = World()
    known = world.client()
    _newcomers(world, 2 * STRANGERS_PER_TURN)
    known.request(GET)
    _deliver(world, known)
    assert len(world.exchanges) == 1


def test_beyond_those_that_may_wait_newcomers_are_forgotten_and_may_come_again() -> None:
    world = World()
    first = Client(world)
    first.connect()
    ((packet, _),) = first.quic.datagrams_to_send(world.loop.now)
    for number in range(STRANGERS_PER_TURN + STRANGERS + 50):
        cid = b"%08d" % number
        world.host.datagram_received(packet[:6] + cid + packet[14:], ("203.0.113.9", number + 1))
    assert len(world.host._strangers) == STRANGERS
    _deliver(world, first)
    world.settle()
    assert len(world.host._strangers) == 0
    late = world.client()
    assert late.established


def test_a_datagram_too_short_to_name_anybody_is_dropped() -> None:
    world = World()
    _newcomers(world, STRANGERS_PER_TURN)
    for size in range(1, 8):
        world.host.datagram_received(b"\xc0" * size, ("203.0.113.9", 1))
    world.settle()
    assert world.unhandled == []


def test_what_is_owed_no_answer_takes_no_newcomers_turn() -> None:
    world = World()
    honest = Client(world)
    honest.connect()
    ((packet, _),) = honest.quic.datagrams_to_send(world.loop.now)
    stray_handshake, too_small = bytes([packet[0] | 0x20]) + packet[1:], packet[: INITIAL_BYTES - 1]
    for number in range(2 * STRANGERS):
        for one in (stray_handshake, too_small):
            world.host.datagram_received(one[:6] + b"%08d" % number + one[14:], ("203.0.113.9", 1))
    assert (world.host._looked_at, len(world.host._strangers)) == (0, 0)
    world.host.datagram_received(packet, ("203.0.113.9", 2))
    assert world.host.seats() == 1


def test_newcomers_that_wait_when_the_socket_closes_begin_nothing() -> None:
    world = World()
    _newcomers(world, 3 * STRANGERS_PER_TURN)
    world.host.close()
    world.loop.turn()
    assert world.host.seats() <= STRANGERS_PER_TURN
