"""Packets that we take apart and write ourselves mean what they mean to aioquic."""

from __future__ import annotations

import re
from random import Random
from typing import Any

import pytest
from aioquic import tls
from aioquic.quic.connection import QuicConnection, QuicConnectionError, QuicReceiveContext

from edge.codec.h3.transport import Transport
from edge.codec.h3.wire import varint
from edge.errors import UpstreamClosed
from edge.head import ResponseHead
from tests.hostile.fake_h1 import AnsweringExchange, FakeExchange
from tests.unit.codec.h3.world import GET, Client, World

_VALUES = (0, 1, 2, 3, 4, 5, 8, 12, 63, 64, 100, 400, 404, 16_383, 16_384, 70_000, 1 << 30, (1 << 62) - 1)


def _transport(world: World) -> Transport:
    (seat,) = set(world.host._by_cid.values())
    return seat.transport


# ---- frames, beside aioquic's own judgement


def _connected() -> tuple[World, Transport]:
    """A connection that has been used, and has packets under way."""
    world = World(FakeExchange)
    client = world.client()
    for _ in range(3):
        client.request(body=b"some", end=False)
    world.settle()
    transport = _transport(world)
    assert transport._steady
    world.exchanges[0].downstream.send_head(ResponseHead(200, []), False)
    world.exchanges[1].downstream.send_head(ResponseHead(200, []), False)
    world.network.drop = lambda data: True
    world.loop.turn()
    world.exchanges[1].downstream.reset(UpstreamClosed("gone"))
    world.loop.turn()
    transport._local_max_streams_bidi.value = 8
    # Signatures differ in length, and with them what is in flight.
    for packet in transport._one.sent_packets.values():
        packet.sent_bytes = 100
    transport._loss._cc.bytes_in_flight = 100 * len(transport._one.sent_packets)
    transport._loss._cc.congestion_window = 20_000
    transport._pacer.update_rate(20_000, 0.01)
    return world, transport


def _frame(random: Random, transport: Transport) -> bytes:
    """One that may be right, or nearly."""

    def some() -> bytes:
        return varint(random.choice(_VALUES))

    sent = list(transport._one.sent_packets) or [0]
    kind = random.choice((0x2, 0x2, 0x8, 0x8, 0x8, 0x0, 0x1, 0x3, 0x4, 0x5, 0x10, 0x11, 0x14, 0x1A, 0x21))
    if kind == 0x2:
        largest = random.choice((sent[-1], sent[0], random.choice(_VALUES)))
        first = random.choice((0, 0, 0, 1, min(2, largest), largest, largest + 1))
        ranges = random.choice((b"\x00", b"\x00", b"\x01", b"\x02"))
        more = b"".join(some() for _ in range(2 * ranges[0]))
        return b"\x02" + varint(largest) + some() + ranges + varint(min(first, (1 << 62) - 1)) + more
    if kind == 0x8:
        flags = random.randrange(8)
        following = transport._local_max_streams_bidi.used << 2
        stream_id = random.choice((0, 0, 4, 8, following, following, following + 4, random.choice(_VALUES)))
        stream = transport._streams.get(stream_id)
        start = stream.receiver._buffer_start if stream is not None else 0
        near = max(0, start + random.choice((-2, 0, 0, 0, 1, 3, 40)))
        offset = random.choice((near, near, near, near, near, random.choice(_VALUES))) if flags & 4 else 0
        data = bytes(random.choice((0, 1, 3, 40)))
        size = len(data) if random.random() < 0.9 else random.choice(_VALUES)
        words = [varint(stream_id), varint(offset) if flags & 4 else b"", varint(size) if flags & 2 else b""]
        return b"%c%b%b" % (kind | flags, b"".join(words), data)
    values = {0x0: 0, 0x1: 0, 0x3: 7, 0x4: 3, 0x1A: 8}.get(kind, 2)
    return bytes((kind,)) + b"".join(some() for _ in range(values))


def _packet(random: Random, transport: Transport) -> bytes:
    made = b"".join(_frame(random, transport) for _ in range(random.choice((1, 1, 2, 3))))
    return made[: random.randrange(len(made) + 1)] if random.random() < 0.2 else made


def _by_aioquic(transport: Transport, plain: bytes, now: float) -> bool:
    context = QuicReceiveContext(
        tls.Epoch.ONE_RTT, transport.host_cid, transport._network_paths[0], None, now, None
    )
    transport._handlers.left = 1000
    return QuicConnection._payload_received(transport, context, plain)[0]


def _outcome(transport: Transport, take: Any, plain: bytes, now: float) -> object:
    try:
        asks = take(plain, now)
    except QuicConnectionError as error:
        return error.error_code
    space, loss = transport._one, transport._loss
    streams = {
        stream_id: (
            each.receiver.highest_offset, each.receiver._buffer_start, bytes(each.receiver._buffer),
            each.receiver._final_size, each.receiver.is_finished, each.sender.is_finished,
            each.sender._buffer_start, bytes(each.sender._buffer), list(each.sender._pending),
        )
        for stream_id, each in transport._streams.items()
    }  # fmt: skip
    events = [(type(event), vars(event)) for event in transport._events]
    transport._events.clear()
    return (
        asks, events, streams, {stream.stream_id for stream in transport._streams_queue},
        transport._local_max_data.used, transport._local_max_streams_bidi.used,
        list(space.sent_packets), space.ack_eliciting_in_flight, space.largest_acked_packet, space.loss_time,
        list(space.ack_queue), loss.bytes_in_flight, loss.congestion_window, loss._rtt_smoothed,
        loss._rtt_variance, loss._rtt_min, loss._pacer.packet_time,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(100))
def test_frames_are_judged_and_taken_as_by_aioquic(seed: int) -> None:
    random = Random(seed)
    (world, ours), (_, theirs) = _connected(), _connected()
    now = world.loop.now
    for _ in range(30):
        now += 0.01
        plain = _packet(random, ours)
        outcome = _outcome(ours, ours._frames, plain, now)
        assert outcome == _outcome(theirs, lambda p, n: _by_aioquic(theirs, p, n), plain, now), plain.hex()
        if not isinstance(outcome, tuple):
            return


def _stream(stream_id: int, offset: int, data: bytes, fin: bool = False) -> bytes:
    words = varint(stream_id), varint(offset), varint(len(data)), data
    return b"%c%b" % (0x0E | fin, b"".join(words))


_SEQUENCES = {
    "gap then its filling": [_stream(12, 5, b"fghij"), _stream(12, 0, b"abc"), _stream(12, 3, b"de")],
    "overlap": [_stream(12, 0, b"abcdef"), _stream(12, 3, b"defghi"), _stream(12, 9, b"j", True)],
    "in order beside what waits": [_stream(12, 6, b"g"), _stream(12, 0, b"abc"), _stream(12, 3, b"def")],
    "the same twice": [_stream(12, 0, b"abc", True)] * 2,
    "more after the end": [_stream(12, 0, b"abc", True), _stream(12, 3, b"d")],
    "an end before what came": [_stream(12, 0, b"abc"), _stream(12, 1, b"b", True)],
    "an end ahead, then data": [_stream(12, 4, b"", True), _stream(12, 0, b"abcd")],
    "an end alone": [_stream(12, 0, b"abc"), _stream(12, 3, b"", True)],
    "nothing at all": [_stream(12, 0, b"")],
    "too much for a stream": [_stream(12, 900 * n, bytes(900)) for n in range(40)],
    "too much for the connection": [_stream(12, 900 * n, bytes(900)) for n in range(40)],
    "too much for a stream, behind a gap": [_stream(12, 9, b"a"), _stream(12, 19_990, bytes(11))],
    "too much for the connection, behind a gap": [_stream(12, 9, b"a"), _stream(12, 19_978, bytes(11))],
    "all that is let, behind a gap": [_stream(12, 9, b"a"), _stream(12, 19_978, bytes(10))],
    "too many streams": [_stream(12 + 4 * n, 0, b"a") for n in range(9)],
    "a stream ahead of others": [_stream(20, 0, b"a"), _stream(12, 0, b"a"), _stream(16, 0, b"a")],
    "a stream of ours": [_stream(1, 0, b"a")],
    "a reset stream": [b"\x04\x0c\x00\x03", _stream(12, 0, b"abc")],
    "a reset, then data beyond": [b"\x04\x0c\x00\x03", _stream(12, 0, b"abcd")],
}


@pytest.mark.parametrize("name", _SEQUENCES)
def test_a_sequence_of_frames_ends_as_with_aioquic(name: str) -> None:
    (world, ours), (_, theirs) = _connected(), _connected()
    for transport in (ours, theirs):
        if name.startswith("too much for a stream"):
            transport._local_max_stream_data_bidi_remote = 20_000
        elif re.match("too much for the connection|all", name):
            transport._local_max_data.value = transport._local_max_data.used + 19_988
    for plain in _SEQUENCES[name]:
        outcome = _outcome(ours, ours._frames, plain, world.loop.now)
        assert outcome == _outcome(theirs, lambda p, n: _by_aioquic(theirs, p, n), plain, world.loop.now)
        if not isinstance(outcome, tuple):
            break
    assert isinstance(outcome, tuple) == (not re.search("too|end before|of ours|after|beyond", name))


def test_a_packet_full_of_frames_is_an_attack() -> None:
    _, transport = _connected()
    transport._frames(_stream(12, 0, b"a") * 160, 2000.0)
    with pytest.raises(QuicConnectionError, match="Too many frames"):
        transport._frames(_stream(16, 0, b"a") * 161, 2000.0)


def test_right_packets_are_taken_to_their_end() -> None:
    """Beside the random ones, of which many end early."""
    _, transport = _connected()
    largest = list(transport._one.sent_packets)[-1]
    plain = b"\x02" + varint(largest) + b"\x05\x00\x00" + b"\x0b\x0c\x03abc" + b"\x0f\x10\x00\x02hi" + b"\x01"
    assert transport._frames(plain, 2000.0)
    assert [vars(event) for event in transport._events] == [
        {"data": b"abc", "end_stream": True, "stream_id": 12},
        {"data": b"hi", "end_stream": True, "stream_id": 16},
    ]
    assert largest not in transport._one.sent_packets


# ---- whole connections


class _Large(AnsweringExchange):
    """Answers with as many bytes as the path says."""

    def answer(self) -> None:
        size = int(self.head.path[1:])
        self.downstream.send_whole(ResponseHead(200, [], size), b"z" * size)


def _get(client: Client, size: int) -> int:
    return client.request([*GET[:3], (b":path", b"/%d" % size)])


@pytest.mark.parametrize("seed", range(12))
def test_nothing_is_lost_or_kept_when_datagrams_are_lost_both_ways(seed: int) -> None:
    random = Random(seed)
    world = World(_Large)
    client = world.client()
    transport = _transport(world)
    network, host = world.network, world.host
    network.drop = lambda data: random.random() < 0.15
    take = host.datagram_received
    host.datagram_received = lambda data, addr: None if random.random() < 0.15 else take(data, addr)  # type: ignore[method-assign]
    asked: dict[int, int] = {}
    for _ in range(12):
        for _ in range(random.randrange(1, 6)):
            size = random.choice((0, 1, 100, 3_000, 40_000))
            asked[_get(client, size)] = size
        world.advance(random.choice((0.001, 0.05, 0.3)))
    network.drop = lambda data: False
    host.datagram_received = take  # type: ignore[method-assign]
    world.advance(20)
    assert all(client.ended(each) and len(client.body(each)) == size for each, size in asked.items())
    client.get(b"/1")
    world.advance(1)
    # A last look lets go of the last.
    transport._look_at_all = True
    assert transport._ready() is not None
    assert all(stream_id & 3 for stream_id in transport._streams)
    assert len(transport._streams_queue) == len(transport._streams)
    assert not world.unhandled


def test_requests_pass_without_the_builder_of_aioquic(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(_Large)
    client = world.client()
    client.get(b"/10")

    def never(*arguments: object, **keywords: object) -> None:
        raise AssertionError("a plain packet went the long way")

    transport = _transport(world)
    monkeypatch.setattr(transport, "datagrams_to_send", never)
    monkeypatch.setattr(transport, "_payload_received", never)
    for size in (0, 1, 10, 1_000, 5_000):
        assert client.get(b"/%d" % size) == (200, b"z" * size)
    assert not world.unhandled


def test_streams_share_what_may_be_sent() -> None:
    """Neither of two large answers waits for the other, or for a timer of lost packets."""
    world = World(_Large)
    client = world.client()
    transport = _transport(world)
    late: list[float] = []

    def timeout(*, now: float) -> None:
        late.append(now)

    transport._loss.on_loss_detection_timeout = timeout  # type: ignore[method-assign]
    asked = [_get(client, 200_000) for _ in range(2)]
    apart = 0
    for _ in range(1_000):
        world.advance(0.001)
        one, other = (len(client.body(each)) for each in asked)
        apart = max(apart, abs(one - other))
        if one == other == 200_000:
            break
    assert all(map(client.ended, asked))
    assert apart < 20_000
    assert not late


def test_an_answer_waits_for_credit_and_goes_on_with_it() -> None:
    world = World(_Large)
    client = world.client(max_stream_data=5_000, max_data=8_000)
    asked = [_get(client, 30_000) for _ in range(3)]
    world.advance(10)
    assert [len(client.body(each)) for each in asked] == [30_000] * 3


def test_new_keys_are_taken_up() -> None:
    world = World(_Large)
    client = world.client()
    for _ in range(3):
        client.quic.request_key_update()
        assert client.get(b"/5") == (200, b"zzzzz")
        assert client.get(b"/6") == (200, b"zzzzzz")
    assert not world.unhandled


def test_packets_that_are_forged_repeated_or_reserved() -> None:
    world = World(_Large)
    client = world.client()
    client.get(b"/1")
    transport = _transport(world)
    seen: list[bytes] = []
    take = world.host.datagram_received
    world.host.datagram_received = lambda data, addr: (seen.append(data), take(data, addr))[1]  # type: ignore[method-assign,func-returns-value]
    client.get(b"/2")
    taken: list[object] = []
    transport._packet = lambda *packet: taken.append(packet)  # type: ignore[method-assign]
    for data in list(seen):
        take(data, client.address)
        for index in range(len(data)):
            take(data[:index] + bytes((data[index] ^ 0x10,)) + data[index + 1 :], client.address)
            take(data[:index], client.address)
    assert not taken
    del transport._packet  # type: ignore[method-assign]
    assert client.get(b"/3") == (200, b"zzz")
    transport._packet(b"\x01", 0x58, 1 << 20, world.loop.now)
    world.host.wake(next(iter(set(world.host._by_cid.values()))))
    world.settle()
    assert client.closed is not None
    assert client.closed.error_code == 0xA
