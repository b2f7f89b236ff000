"""What a client says while requests of its wait for their turn holds then too."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest
from aioquic import tls

from edge.codec.h3.accounts import CANCELLED_LIMIT
from edge.codec.h3.server import BEGUN_PER_TURN, H3Server
from edge.codec.h3.wire import Code
from tests.conformance.h3 import packets
from tests.conformance.h3.packets import inject
from tests.hostile.fake_h1 import FakeExchange
from tests.unit.codec.h3.world import GET, Client, World

MANY = 60


def _deliver(world: World, client: Client) -> None:
    """All that the client has to say, acknowledgements at once."""
    space = client.quic._spaces[tls.Epoch.ONE_RTT]
    if space.ack_at is not None:
        space.ack_at = world.loop.now
    for data, _ in client.quic.datagrams_to_send(world.loop.now):
        world.host.datagram_received(data, client.address)


def _a_turn(world: World) -> None:
    """The end of one turn of the loop; what it leaves for the next one waits."""
    for _ in range(len(world.loop.soon)):
        world.loop.soon.popleft()()


def _back(world: World, client: Client) -> None:
    while world.network.sent:
        client.receive(world.network.sent.popleft()[0])


def _turns(world: World, client: Client) -> None:
    """Turn by turn, with what the client says to each, until nothing waits."""
    while world.loop.soon:
        _a_turn(world)
        _back(world, client)
        _deliver(world, client)


def _seat(world: World) -> H3Server:
    (seat,) = set(world.host._by_cid.values())
    return seat


def _behind_a_crowd(client: Client) -> int:
    """A stream of which the client has said nothing; requests enough for some turns wait before it."""
    for _ in range(MANY):
        client.request(GET)
    _deliver(client.world, client)
    stream_id = client.quic.get_next_available_stream_id()
    client.quic._get_or_create_stream_for_send(stream_id)
    return stream_id


def test_a_request_cancelled_and_let_go_before_its_turn_ends_nothing_but_itself() -> None:
    world = World()
    client = world.client()
    asked = [client.request(GET) for _ in range(MANY)]
    client.quic.stop_stream(asked[-1], Code.REQUEST_CANCELLED)
    _deliver(world, client)
    _turns(world, client)
    world.settle()
    seat = _seat(world)
    assert (world.unhandled, client.closed) == ([], None)
    assert [client.status(stream_id) for stream_id in asked] == [200] * (MANY - 1) + [0]
    assert (len(world.exchanges), seat._next, seat._dead) == (MANY - 1, asked[-1] + 4, set())
    assert seat._cancelled == 1
    world.advance(0.1)  # for the pacer
    assert client.get() == (200, b"ok")


@pytest.mark.parametrize("end", [True, False], ids=["end", "reset"])
def test_in_whatever_pieces_it_came_it_counts_as_cancelled_once(end: bool) -> None:
    world = World(FakeExchange)
    client = world.client()
    stream_id = _behind_a_crowd(client)
    rest = packets.stream(stream_id, b"\x20x", 1, fin=True)
    if not end:
        rest = packets.reset_stream(stream_id, final_size=1)
    inject(client, packets.stream(stream_id, b"\x01") + rest + packets.stop_sending(stream_id))
    _turns(world, client)
    seat = _seat(world)
    assert stream_id not in seat.transport._streams
    assert (world.unhandled, client.closed) == ([], None)
    assert (len(world.exchanges), seat._cancelled, seat._dead) == (MANY, 1, set())


@pytest.mark.parametrize("crowd", [False, True], ids=["at-once", "late"])
def test_the_credit_of_a_reset_stream_comes_back_however_late_its_turn_is(crowd: bool) -> None:
    """60000 bytes of it never came: the connection's credit for them is the client's again."""
    world = World(FakeExchange)
    client = world.client()
    stream_id = _behind_a_crowd(client) if crowd else client.raw(b"", end=False)
    inject(
        client, packets.stream(stream_id, b"z", 60_000) + packets.reset_stream(stream_id, final_size=60_001)
    )
    inject(client, packets.stop_sending(stream_id))
    _turns(world, client)
    seat = _seat(world)
    assert (world.unhandled, client.closed) == ([], None)
    assert seat.transport._consumed == seat.transport._local_max_data.used
    assert (seat._cancelled, seat._dead) == (1, set())


def test_a_flood_of_resets_behind_crowds_ends_the_connection() -> None:
    world = World(FakeExchange)
    client = world.client()
    seat = _seat(world)
    seat._cancelled, seat._cancelled_at = CANCELLED_LIMIT - 1.0, world.loop.now
    stream_id = _behind_a_crowd(client)
    inject(client, packets.reset_stream(stream_id) + packets.stop_sending(stream_id))
    _turns(world, client)
    world.settle()
    assert client.closed is not None
    assert client.closed.error_code == Code.EXCESSIVE_LOAD
    assert (len(world.refused), world.unhandled) == (1, [])


def test_a_connection_id_is_known_when_it_is_announced_not_when_requests_had_their_turns() -> None:
    world = World()
    client = world.client()
    world.advance(0.1)
    asked = [client.request(GET) for _ in range(MANY)]
    _deliver(world, client)
    client.quic.change_connection_id()
    retired = client.quic._retire_connection_ids[:]
    _deliver(world, client)
    seat = _seat(world)
    assert retired and len(seat.transport._events) > BEGUN_PER_TURN
    assert (
        set(seat.transport.cids())
        <= seat.known_as
        == {  # type: ignore[attr-defined]
            cid for cid, known in world.host._by_cid.items() if known is seat
        }
    )
    while client.quic._peer_cid_available:
        client.quic.change_connection_id()
    _turns(world, client)
    world.settle()
    assert [client.status(stream_id) for stream_id in asked] == [200] * MANY
    assert (world.unhandled, client.closed) == ([], None)


class _Queue(deque[Any]):
    """Events that wait; notes when somebody walks through all of them."""

    walks = 0

    def __iter__(self) -> Iterator[Any]:
        self.walks += 1
        return super().__iter__()


def test_the_end_of_a_stream_is_cheap_however_much_waits() -> None:
    """Nobody walks through what waits for each stream that is over, nor for each datagram that comes."""
    world = World()
    client = world.client()
    queue = _seat(world).transport._events = _Queue()
    asked = [client.request(GET) for _ in range(MANY)]
    _deliver(world, client)
    assert queue
    _turns(world, client)
    assert [client.status(stream_id) for stream_id in asked] == [200] * MANY
    assert queue.walks == 0
