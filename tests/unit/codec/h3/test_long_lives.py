"""Connections that live for days keep nothing of what is over, whatever their clients leave unsaid."""

from __future__ import annotations

import weakref

import pytest
from aioquic import tls
from aioquic._buffer import Buffer
from aioquic.h3.connection import encode_frame
from aioquic.quic.connection import QuicNetworkPath, QuicReceiveContext

from edge.codec.h3 import transport as transport_module
from edge.codec.h3.answer import CROWDED_BYTES
from edge.codec.h3.leaving import SILENT
from edge.codec.h3.stream import FRAMES_AN_IDLE, IDLE_FRAMES
from edge.codec.h3.transport import PEER_CIDS_KNOWN, Transport
from edge.codec.h3.wire import varint
from edge.exchange.seams import Downstream
from edge.head import RequestHead, ResponseHead
from tests.hostile.fake_h1 import FakeExchange
from tests.unit.codec.h3.world import GET, Client, World, settings

POST = [(b":method", b"POST"), *GET[1:]]
TIMES = 8 * SILENT
SIZE = 2 * CROWDED_BYTES


def _transport(world: World) -> Transport:
    (seat,) = set(world.host._by_cid.values())
    return seat.transport


def _ping(world: World, client: Client, number: int) -> None:
    client.quic.send_ping(number)
    world.settle()
    world.loop.now += 0.03
    world.settle()


def test_acknowledgements_that_nobody_acknowledges_are_not_kept() -> None:
    """A client that only pings never needs to acknowledge our ACKs."""
    world = World()
    client = world.client()
    sent = _transport(world)._one.sent_packets
    longest = 0
    for number in range(TIMES):
        _ping(world, client, number)
        longest = max(longest, len(sent))
    assert longest <= SILENT + 1
    assert client.get() == (200, b"ok")


def test_a_client_that_acknowledges_nothing_makes_us_keep_one_window_at_most() -> None:
    """With gaps in what it sends our ACKs ask for an acknowledgement now and then."""
    world = World()
    client = world.client()
    transport = _transport(world)
    space = client.quic._spaces[tls.Epoch.ONE_RTT]
    for number in range(TIMES):
        space.ack_at = None
        client.quic.send_ping(number)
        for data, _ in client.quic.datagrams_to_send(world.loop.now):
            if number % 2:
                world.host.datagram_received(data, client.address)
        world.loop.turn()
        world.network.sent.clear()
        world.loop.now += 0.03
    assert len(transport._acks) > 1
    assert 0 < transport._one.ack_eliciting_in_flight < SILENT
    assert len(transport._one.sent_packets) <= SILENT + 1 + transport._one.ack_eliciting_in_flight
    assert transport._loss._cc.bytes_in_flight <= transport._loss._cc.congestion_window


class _Large(FakeExchange):
    def __init__(self, downstream: Downstream, head: RequestHead, end: bool) -> None:
        super().__init__(downstream, head, end)
        downstream.send_whole(ResponseHead(200, [], SIZE), bytes(SIZE))


def _filed(world: World) -> int:
    return sum(map(len, world.context.deadlines._slots.values()))


def test_answers_that_were_read_leave_nothing_to_look_at() -> None:
    world = World(_Large)
    client = world.client()
    for _ in range(20):
        client.request()
        world.advance(0.1)
    assert _transport(world).unacknowledged() is False
    assert _filed(world) == 1
    world.advance(world.context.limits.stall_s)
    assert _filed(world) == 0


@pytest.mark.usefixtures("no_collector")
def test_a_connection_that_left_an_answer_unread_is_freed_with_its_end() -> None:
    world = World(_Large)
    client = world.client()
    client.request()
    world.settle()
    transport = weakref.ref(_transport(world))
    world.connections.clear()
    world.exchanges.clear()
    client.quic.close(0x100)
    world.advance(5)
    assert (world.host.seats(), _filed(world)) == (0, 0)
    assert transport() is None


def test_a_client_that_moved_leaves_the_place_it_came_to() -> None:
    """Each address has so many places: one that is never given back is lost for good."""
    world = World()
    client = world.client()
    client.get()
    admission = world.context.admission
    before = dict(admission._by_address)
    world.clients.pop(client.address)
    client.address = ("203.0.113.9", 5)
    world.clients[client.address] = client
    assert client.get() == (200, b"ok")
    world.advance(1)
    assert client.get() == (200, b"ok")
    assert (world.connections[-1].peer, dict(admission._by_address)) == (client.address, before)
    client.quic.close(0x100)
    world.advance(5)
    assert (admission.total, admission._by_address, world.unhandled) == (0, {}, [])


def test_connection_ids_that_were_used_up_are_not_remembered_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A client may change its ids as often as it likes: aioquic walks all their numbers for each new one."""
    monkeypatch.setattr(transport_module, "PEER_CIDS_KNOWN", 24)
    world = World()
    client = world.client()
    transport = _transport(world)
    for _ in range(60):
        client.quic.change_connection_id()
        world.advance(0.2)
        assert len(transport._peer_cid_sequence_numbers) <= 24
        assert len(transport._peer_cid_available) == 7
    assert transport._peer_cid.sequence_number >= 60
    assert (client.get(), client.closed, world.unhandled) == ((200, b"ok"), None, [])


def test_a_connection_id_that_comes_again_long_after_is_no_new_one() -> None:
    transport = _transport(_greeted())
    transport._peer_cid_sequence_numbers = set(range(100, 100 + PEER_CIDS_KNOWN))
    available = list(transport._peer_cid_available)
    for number in (3, 100):
        frame = varint(number) + b"\0" + b"\x08" + bytes(8) + bytes(16)
        transport._handle_new_connection_id_frame(_any_context(), 0x18, Buffer(data=frame))
    assert transport._peer_cid_available == available


def test_what_a_client_says_beside_its_requests_does_not_add_up_over_days() -> None:
    """Unknown frames of the control stream, a few in an hour; nobody asks for anything meanwhile."""
    world = World(transport=settings(idle_timeout_s=10_000))
    client = world.client(idle_timeout=10_000.0)
    assert client.h3 is not None
    for _ in range(100):
        client.quic.send_stream_data(client.h3._local_control_stream_id, encode_frame(0x21, bytes(500)))
        world.settle()
        world.loop.now += 3600
    assert client.closed is None
    for _ in range(100):
        client.quic.send_stream_data(client.h3._local_control_stream_id, encode_frame(0x21, bytes(500)))
        world.settle()
    assert client.closed is not None


def test_idle_frames_of_a_long_stream_are_made_up_for_by_those_that_are_not() -> None:
    world = World(FakeExchange)
    client = world.client()
    stream_id = client.request(POST, b"begin", end=False)
    for _ in range(3 * IDLE_FRAMES):
        piece = encode_frame(0, b"something") * FRAMES_AN_IDLE + encode_frame(0x21, b"")
        client.quic.send_stream_data(stream_id, piece)
        world.advance(0.03)
    assert client.closed is None
    for _ in range(2 * IDLE_FRAMES):
        client.quic.send_stream_data(stream_id, encode_frame(0x21, b""))
        world.advance(0.03)
    assert client.closed is not None


def _greeted() -> World:
    world = World()
    world.client()
    return world


def _any_context() -> QuicReceiveContext:
    return QuicReceiveContext(
        epoch=tls.Epoch.ONE_RTT,
        host_cid=b"",
        network_path=QuicNetworkPath(("192.0.2.1", 443)),
        quic_logger_frames=None,
        time=0.0,
        version=None,
    )
