"""Long answers: many packets at a time, and what is acknowledged of them, mean what they mean to aioquic."""

from __future__ import annotations

from math import inf
from random import Random
from typing import Any

import pytest
from aioquic._crypto import AEAD, HeaderProtection
from aioquic.h3.events import DataReceived
from aioquic.quic.packet_builder import QuicDeliveryState

from edge.codec.h3.acked import SentData
from edge.codec.h3.transport import Transport
from edge.codec.h3.wire import varint
from edge.head import ResponseHead
from tests.hostile.fake_h1 import AnsweringExchange, FakeExchange
from tests.unit.codec.h3.test_short_packets import _by_aioquic, _get, _Large, _outcome, _transport
from tests.unit.codec.h3.world import Client, World


def _under_way(seed: int = 1) -> tuple[World, Transport]:
    """A connection with a window full of two long answers, none of it acknowledged."""
    random = Random(seed)
    world = World(FakeExchange)
    client = world.client(max_data=1 << 24, max_stream_data=1 << 24)
    for _ in range(2):
        client.request()
    world.settle()
    transport = _transport(world)
    world.network.drop = lambda data: True
    loss = transport._loss
    loss._rtt_initialized, loss._rtt_smoothed, loss._rtt_variance, loss._rtt_min = True, 0.01, 0.002, 0.008
    loss._cc.congestion_window = 120_000
    loss._cc.ssthresh = random.choice((None, 60_000, 130_000))
    transport._pacer.update_rate(120_000, 0.01)
    for exchange in world.exchanges:
        exchange.downstream.send_head(ResponseHead(200, []), False)
        exchange.downstream.send_data(bytes(100_000), False)
    for _ in range(100):
        world.loop.now += 0.001
        world.host.wake(next(iter(set(world.host._by_cid.values()))))
        world.loop.turn()
    # Signatures differ in length, and with them what else is in flight.
    for packet in transport._one.sent_packets.values():
        if type(packet) is not SentData:
            packet.sent_bytes = 100
    loss._cc.bytes_in_flight = sum(each.sent_bytes for each in transport._one.sent_packets.values())
    return world, transport


def _ack(random: Random, sent: list[int]) -> bytes:
    """Acknowledges some of `sent`, in up to six ranges."""
    largest = at = random.choice(sent)
    first = random.randrange(min(30, at))
    at -= first
    ranges = b""
    for _ in range(random.choice((0, 0, 1, 2, 5))):
        gap, more = random.randrange(3), random.randrange(12)
        if at < gap + 2 + more + 1:
            break
        at -= gap + 2 + more
        ranges += varint(gap) + varint(more)
    return b"\x02" + varint(largest) + varint(300) + varint(len(ranges) // 2) + varint(first) + ranges


def _more_outcome(transport: Transport) -> tuple[Any, ...]:
    loss = transport._loss
    congestion: Any = loss._cc
    return (
        loss._pto_count, loss._rtt_latest, loss._pacer.bucket_max, congestion._congestion_stash,
        congestion._congestion_recovery_start_time, congestion.ssthresh,
        [(each.sender.buffer_is_empty, each.sender._acked._RangeSet__ranges)
         for each in transport._streams.values()],
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_what_is_acknowledged_or_lost_of_long_answers_is_so_to_aioquic(seed: int) -> None:
    random = Random(seed)
    (world, ours), (_, theirs) = _under_way(seed), _under_way(seed)
    assert sum(type(each) is SentData for each in ours._one.sent_packets.values()) > 50
    now = world.loop.now
    recovering = random.choice([0.0, *(each.sent_time for each in ours._one.sent_packets.values())])
    for each in (ours, theirs):
        each._loss._cc.__dict__["_congestion_recovery_start_time"] = recovering
    while ours._one.sent_packets:
        now += random.choice((0.0001, 0.001, 0.01))
        plain = _ack(random, list(ours._one.sent_packets))
        outcome = _outcome(ours, ours._frames, plain, now), _more_outcome(ours)
        expected = _outcome(theirs, lambda p, n: _by_aioquic(theirs, p, n), plain, now), _more_outcome(theirs)
        assert outcome == expected, plain.hex()


def _readable(transport: Transport, data: bytes) -> bytes:
    """The payload of a packet we sent."""
    send: Any = transport._pair.send
    header, _ = send.hp.remove(data, 1 + len(transport._peer_cid.cid))
    number = int.from_bytes(header[-2:], "big")
    return send.aead.decrypt(data[len(header) :], header, number)  # type: ignore[no-any-return]


@pytest.mark.parametrize("cipher", ["aes-128-gcm", "aes-256-gcm", "chacha20-poly1305"])
def test_trains_are_sealed_with_whatever_cipher_was_agreed(cipher: str) -> None:
    world, transport = _under_way()
    send: Any = transport._pair.send
    size = 16 if cipher == "aes-128-gcm" else 32
    send.aead = AEAD(cipher.encode(), bytes(range(size)), bytes(range(12)))
    block = "chacha20" if cipher.startswith("chacha") else cipher.replace("gcm", "ecb")
    send.hp = HeaderProtection(block.encode(), bytes(range(size)))
    transport._loss._cc.congestion_window += 100_000
    made: list[tuple[bytes, Any]] = []
    stream = transport._streams[0]
    start = stream.sender.next_offset
    transport._pacer.packet_time = None
    assert transport._train(stream, 7, world.loop.now, made) == len(made) == 7
    for data, _ in made:
        plain = _readable(transport, data)
        head = b"\x0c\x00" + (start | 0x8000_0000).to_bytes(4, "big")
        assert plain.startswith(head)
        assert len(data) == transport._max_datagram_size
        start += len(plain) - len(head)
    assert start == stream.sender.next_offset == stream.sender.highest_offset


def test_offsets_past_a_gibibyte_are_written_in_full() -> None:
    world, transport = _under_way()
    stream = transport._streams[0]
    sender, far = stream.sender, (1 << 30) - 2_000
    sender._pending.subtract(0, 1 << 20)
    sender._buffer_start = sender.highest_offset = sender._buffer_stop = far
    sender._buffer.clear()
    sender.write(bytes(10_000))
    transport._remote_max_data = stream.max_stream_data_remote = 1 << 40
    transport._loss._cc.congestion_window += 100_000
    transport._pacer.packet_time = None
    made: list[tuple[bytes, Any]] = []
    assert transport._train(stream, 40, world.loop.now, made) == len(made) == 7
    plain = _readable(transport, made[-1][0])
    room = len(plain) - 10
    assert plain[:10] == b"\x0c\x00" + ((far + 6 * room) | 3 << 62).to_bytes(8, "big")


def test_a_train_keeps_to_the_window_the_pace_and_the_credit() -> None:
    world, transport = _under_way()
    stream, loss, made = transport._streams[0], transport._loss, list[tuple[bytes, Any]]()
    size = transport._max_datagram_size
    pacer = transport._pacer

    def train() -> int:
        return transport._train(stream, 40, world.loop.now, made)

    loss._cc.congestion_window = loss._cc.bytes_in_flight + size - 1
    assert train() == -1
    loss._cc.congestion_window = loss._cc.bytes_in_flight + 3 * size + 5
    pacer.packet_time, pacer.bucket_time = 0.001, 1.0
    assert train() == 3
    loss._cc.congestion_window += 100 * size
    pacer.bucket_time = 0.0041
    assert train() == 5
    assert pacer.bucket_time == 0.0
    pacer.bucket_time = 1.0
    stream.max_stream_data_remote = stream.sender.highest_offset + 2 * size
    assert train() == 2
    stream.max_stream_data_remote += 1 << 20
    transport._remote_max_data = transport._remote_max_data_used + 4 * size
    assert train() == 4
    assert train() == 0
    assert loss._cc.bytes_in_flight == sum(each.sent_bytes for each in transport._one.sent_packets.values())
    assert transport._one.ack_eliciting_in_flight == len(transport._one.sent_packets)


def test_what_is_sent_again_is_no_new_data() -> None:
    world, transport = _under_way()
    stream, now = transport._streams[0], world.loop.now + 1.0
    transport._loss._cc.congestion_window += 1 << 20
    transport._pacer.packet_time = None
    transport._ack_eliciting_sent_since_receipt = False
    before, used = stream.sender.highest_offset, transport._remote_max_data_used
    assert stream.sender._pending[0].start == before > 30_000
    stream.sender.on_data_delivery(QuicDeliveryState.LOST, 5_000, 30_000, False)
    made: list[tuple[bytes, Any]] = []
    assert transport._train(stream, 40, now, made) == 18
    assert stream.sender.highest_offset == before
    assert transport._remote_max_data_used == used
    assert transport._close_at == now + transport._idle_s > 0
    assert [each.start for each in stream.sender._pending][1] == before


def test_a_train_leaves_the_end_to_the_packet_that_says_so() -> None:
    world, transport = _under_way()
    stream, sender = transport._streams[0], transport._streams[0].sender
    transport._loss._cc.congestion_window += 1 << 20
    transport._pacer.packet_time = None
    room = transport._max_datagram_size - 33
    left = sender._buffer_stop - sender.next_offset
    sender.write(bytes(-left % room), end_stream=True)
    packets = (sender._buffer_stop - sender.next_offset) // room
    assert transport._train(stream, 400, world.loop.now, []) == packets - 1
    assert sender._buffer_stop - sender.next_offset == room


def test_data_waits_for_its_pace_and_not_for_ever() -> None:
    _, transport = _under_way()
    for at, waits in ((None, False), (10.0, False), (10.5, True), (inf, False)):
        transport._pacing_at = at
        assert transport.held_back(10.0) == waits


def test_the_end_of_an_answer_comes_with_its_last_packet() -> None:
    """Also where that packet would be full to the byte."""
    world = World(_Large)
    client = world.client(max_data=1 << 24, max_stream_data=1 << 24)
    for size in range(20_000, 20_000 + 1_400, 25):
        asked = _get(client, size)
        _sees(world, client, [asked])
        assert client.body(asked) == b"z" * size
    assert not any(type(event) is DataReceived and not event.data for event in client.events)
    assert not world.unhandled


class _Slow(AnsweringExchange):
    """Writes its answer in pieces, as an upstream that has more each time it is asked."""

    def answer(self) -> None:
        self.downstream.send_head(ResponseHead(200, [], 700_000), False)
        for index in range(7):
            self.downstream.send_data(bytes((index,)) * 100_000, index == 6)


def _sees(world: World, client: Client, asked: list[int]) -> None:
    for _ in range(2_000):
        world.advance(0.005)
        if all(map(client.ended, asked)):
            return
    raise AssertionError("the answers never ended")


def test_long_answers_share_a_connection_with_short_ones() -> None:
    def choose(*arguments: Any) -> FakeExchange:
        return (_Large if arguments[1].path != b"/slow" else _Slow)(*arguments)

    world = World(choose)
    client = world.client(max_data=1 << 24, max_stream_data=1 << 24)
    long = [client.request([*_path(b"/slow")]) for _ in range(3)]
    world.advance(0.002)
    short = [_get(client, 10) for _ in range(5)]
    _sees(world, client, long + short)
    for each in long:
        assert client.body(each) == b"".join(bytes((index,)) * 100_000 for index in range(7))
    assert [client.body(each) for each in short] == [b"z" * 10] * 5
    assert not world.unhandled


def _path(path: bytes) -> list[tuple[bytes, bytes]]:
    return [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", path)]
