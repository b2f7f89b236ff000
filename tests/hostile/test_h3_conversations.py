"""Hostile rows of HTTP/3 that are a conversation, or about time, memory and other clients: 82, 85-90."""

from __future__ import annotations

from typing import Any

from aioquic import tls
from aioquic.h3.connection import encode_frame
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated

from edge.codec.h3.transport import START_CONNECTION_WINDOW, START_WINDOW
from edge.codec.h3.wire import Code, varint
from edge.errors import DownstreamClosed, DownstreamTimeout
from edge.exchange.seams import Downstream
from edge.head import RequestHead, ResponseHead
from edge.listen.quic_door import RETRY_ABOVE
from edge.model import Limits
from tests.conformance.h3 import packets
from tests.conformance.h3.packets import inject
from tests.hostile.fake_h1 import AnsweringExchange, FakeExchange, Seen
from tests.unit.codec.h3.world import GET, Client, World

POST = [(b":method", b"POST"), *GET[1:]]
_STORM = 250 + 1
"""The list says 250; one is forgiven for the tenth of a second in which the client waits for more streams."""


class _Denying(FakeExchange):
    """Answers 401 to the head, whatever follows."""

    def __init__(self, downstream: Downstream, head: RequestHead, end: bool) -> None:
        super().__init__(downstream, head, end)
        downstream.send_head(ResponseHead(401, [], 2), False)
        downstream.send_data(b"no", True)


class _Broken(FakeExchange):
    """Has a fault of its own."""

    def body_progress(self) -> int | None:
        """Nobody is in a hurry here."""

    def request_data(self, data: bytes, end: bool) -> None:
        raise RuntimeError("a bug")


class _Stingy(QuicConnection):
    """A client that never grants more than it did at first: a reader that does not read."""

    def _write_stream_limits(self, **arguments: Any) -> None: ...

    def _write_connection_limits(self, **arguments: Any) -> None: ...


def _stingy(configuration: QuicConfiguration) -> QuicConnection:
    return _Stingy(configuration=configuration)


def _half_open(world: World, number: int, data: bytes | None = None) -> None:
    """The first datagram of a client that never answers, from an address of its own."""
    if data is None:
        quic = QuicConnection(configuration=QuicConfiguration(is_client=True, alpn_protocols=["h3"]))
        quic.connect(("192.0.2.1", 443), world.loop.now)
        data = quic.datagrams_to_send(world.loop.now)[0][0]
    world.host.datagram_received(data, ("203.0.113.9", 1000 + number))
    world.loop.turn()


def test_case_82_an_early_answer_survives_the_body_that_still_comes() -> None:
    world = World(_Denying)
    client = world.client()
    stream_id = client.request(POST, b"x" * 200_000)
    world.settle()
    world.advance(1)
    assert (client.status(stream_id), client.body(stream_id)) == (401, b"no")
    assert client.stops == {stream_id: Code.NO_ERROR}
    assert client.resets == {} and client.closed is None
    assert client.get()[0] == 401
    assert world.unhandled == []


def test_case_85_gaps_cost_no_more_than_the_first_window() -> None:
    world = World(FakeExchange)
    client = world.client()
    inject(client, packets.stream(0, b"x", START_WINDOW - 1))
    inject(client, packets.stream(4, b"x", START_CONNECTION_WINDOW - START_WINDOW - 400))
    seat = next(iter(world.host._by_cid.values()))
    held = sum(len(stream.receiver._buffer) for stream in seat.transport._streams.values())
    assert held <= 128 << 10
    inject(client, packets.stream(8, b"x", START_WINDOW - 1))
    world.settle()
    assert client.closed is not None
    assert client.closed.error_code == 0x3
    assert world.exchanges == [] and world.unhandled == []


def _storm(world: World, client: Client, cut: Any, most: int) -> int:
    """Requests that are cut at once; how many there were when the connection ended."""
    for number in range(most):
        if client.closed is not None:
            return number
        cut(_open(world, client, POST))
        world.settle()
    return most


def _open(world: World, client: Client, fields: list[tuple[bytes, bytes]]) -> int:
    """A request without its end, as soon as the client may open another stream."""
    while client.quic._remote_max_streams_bidi <= client.quic._local_next_stream_id_bidi // 4:
        world.advance(0.03)
    return client.request(fields, end=False)


def test_case_86_a_storm_of_resets_ends_the_connection_and_every_exchange() -> None:
    world = World(FakeExchange)
    client = world.client()
    started = _storm(world, client, lambda stream_id: client.quic.reset_stream(stream_id, 0x10C), 400)
    _check_storm(world, client, started)


def test_case_86_a_storm_of_stop_sending_ends_the_connection_and_every_exchange() -> None:
    world = World(FakeExchange)
    client = world.client()
    started = _storm(world, client, lambda stream_id: client.quic.stop_stream(stream_id, 0x10C), 400)
    _check_storm(world, client, started)


def _check_storm(world: World, client: Client, started: int) -> None:
    assert started <= _STORM
    assert client.closed is not None
    assert client.closed.error_code == Code.EXCESSIVE_LOAD
    assert all(exchange.failed is not None for exchange in world.exchanges)
    assert world.unhandled == []
    assert world.client().h3 is not None


def test_case_86_malformed_requests_count_like_resets() -> None:
    world = World()
    client = world.client()
    bad = [*GET, (b"connection", b"x")]
    for _ in range(_STORM):
        if client.closed is None:
            _open(world, client, bad)
            world.settle()
    assert client.closed is not None
    assert client.closed.error_code == Code.EXCESSIVE_LOAD


def test_case_86_a_page_that_is_left_is_no_storm() -> None:
    world = World(FakeExchange)
    client = world.client()
    for _ in range(4):
        streams = [client.request(GET) for _ in range(60)]
        world.settle()
        for stream_id in streams:
            client.quic.reset_stream(stream_id, 0x10C)
            client.quic.stop_stream(stream_id, 0x10C)
        world.advance(10)
    assert client.closed is None
    assert {type(exchange.failed) for exchange in world.exchanges} == {DownstreamClosed}
    world.make = AnsweringExchange
    assert client.get() == (200, b"ok")


def test_case_87_above_a_number_of_half_open_connections_clients_must_answer_a_retry() -> None:
    world = World()
    for number in range(RETRY_ABOVE):
        _half_open(world, number)
    assert world.host.half_open == RETRY_ABOVE
    out = world.network.bytes_out
    for number in range(500):
        _half_open(world, RETRY_ABOVE + number)
    assert world.host.half_open == RETRY_ABOVE, "a Retry keeps nothing"
    assert world.network.bytes_out - out < 500 * 200
    assert all(data[0] & 0xF0 == 0xF0 for data, _ in list(world.network.sent)[-500:]), "all of them Retry"
    client = world.client()
    assert client.quic._retry_count == 1
    assert client.get() == (200, b"ok")
    world.advance(11)
    assert world.host.half_open == 0
    assert world.client().quic._retry_count == 0
    assert world.unhandled == []


def test_case_87_no_more_than_three_times_what_came_goes_to_an_address_not_shown() -> None:
    world = World()
    _half_open(world, 1)
    world.advance(9)
    assert 0 < world.network.bytes_out <= 3 * 1200


def test_case_87_a_token_of_somebody_else_is_worth_nothing() -> None:
    world = World()
    assert world.client(token=b"stolen").get() == (200, b"ok")
    for number in range(RETRY_ABOVE):
        _half_open(world, number)
    assert world.client(token=b"stolen").quic._retry_count == 1


def test_garbage_that_looks_like_a_first_packet_leaves_nothing_behind() -> None:
    world = World()
    head = b"\xc3\x00\x00\x00\x01\x08abcdefgh\x08ijklmnop\x00"
    for number in range(100):
        _half_open(world, number, head + b"\x44\x90" + bytes(1200))
    assert world.host.half_open == 0
    assert world.host.seats() == 0
    assert world.network.bytes_out == 0 and world.unhandled == []


def test_case_88_a_small_first_datagram_is_dropped() -> None:
    world = World()
    quic = QuicConnection(configuration=QuicConfiguration(is_client=True, alpn_protocols=["h3"]))
    quic.connect(("192.0.2.1", 443), world.loop.now)
    data = quic.datagrams_to_send(world.loop.now)[0][0]
    _half_open(world, 1, data[:1199])
    assert world.network.bytes_out == 0 and world.host.half_open == 0


def test_case_88_an_unknown_version_is_answered_by_those_we_speak() -> None:
    world = World()
    data = b"\xc0\x1a\x2a\x3a\x4a\x08abcdefgh\x08ijklmnop" + bytes(1200)
    _half_open(world, 1, data[:1199])
    assert not world.network.sent
    _half_open(world, 1, data)
    answer, _ = world.network.sent.pop()
    assert answer[1:] == b"\0\0\0\0\x08ijklmnop\x08abcdefgh\0\0\0\x01"
    _half_open(world, 1, answer + bytes(1200))
    assert not world.network.sent, "never to a version negotiation"


def test_case_88_a_stray_packet_gets_one_shorter_stateless_reset() -> None:
    world = World()
    stray = b"\x41deadbeef" + bytes(60)
    _half_open(world, 1, stray)
    (answer, _), *more = world.network.sent
    assert not more and len(answer) < len(stray) and answer[0] & 0xC0 == 0x40
    assert answer.endswith(world.door.settings.reset_token(b"deadbeef"))
    world.network.sent.clear()
    _half_open(world, 1, stray[:22])
    assert not world.network.sent, "too short for a shorter one"
    for _ in range(1_000):
        _half_open(world, 1, stray)
    assert len(world.network.sent) <= 100, "bounded in a second"


def test_case_88_a_client_whose_connection_we_lost_learns_it_from_a_reset() -> None:
    world = World()
    client = world.client()
    world.host._by_cid.clear()
    told = client.quic._peer_cid.stateless_reset_token
    client.request()
    for data, _ in client.quic.datagrams_to_send(world.loop.now):
        world.host.datagram_received(data, client.address)
    ((answer, _),) = world.network.sent
    assert told is not None and answer.endswith(told)


def test_case_89_a_client_may_change_its_address() -> None:
    world = World()
    client = world.client()
    assert client.get() == (200, b"ok")
    del world.clients[client.address]
    client.address = ("198.51.100.99", 5)
    world.clients[client.address] = client
    client.quic.change_connection_id()
    assert client.get() == (200, b"ok")
    world.advance(1)
    assert client.get() == (200, b"ok")
    assert world.connections[-1].client == b"198.51.100.99:5"


def test_case_89_a_client_on_many_addresses_harms_nobody() -> None:
    world = World()
    client = world.client()
    for number in range(30):
        del world.clients[client.address]
        client.address = ("198.51.100.99", 100 + number)
        world.clients[client.address] = client
        client.request()
        world.settle()
    world.advance(5)
    seat = next(iter(world.host._by_cid.values()), None)
    assert seat is None or len(seat.transport._network_paths) <= 8
    assert world.client().get() == (200, b"ok")
    assert world.unhandled == []


def test_case_90_there_is_no_early_data_because_there_are_no_tickets() -> None:
    world = World()
    tickets: list[tls.SessionTicket] = []
    client = world.client(
        quic=lambda c: QuicConnection(configuration=c, session_ticket_handler=tickets.append)
    )
    assert client.get() == (200, b"ok")
    world.advance(1)
    assert tickets == []


def test_a_slow_head_is_refused() -> None:
    world = World()
    client = world.client()
    stream_id = client.raw(b"\x01\x20abc", end=False)
    world.advance(9)
    assert client.status(stream_id) == 0
    client.quic.send_stream_data(stream_id, b"d")
    world.advance(2)
    assert client.status(stream_id) == 408
    assert client.get() == (200, b"ok")


def test_a_slow_body_is_refused() -> None:
    world = World(limits=Limits(body_idle_timeout_s=20))
    client = world.client()
    stream_id = client.request(POST, b"he", end=False)
    world.advance(15)
    client.quic.send_stream_data(stream_id, encode_frame(0, b"ll"))
    world.advance(15)
    assert client.status(stream_id) == 0
    world.advance(7)
    assert client.status(stream_id) == 408
    assert isinstance(world.exchanges[0].failed, DownstreamTimeout)


def test_a_client_that_does_not_read_is_cut_and_costs_little() -> None:
    world = World(FakeExchange, limits=Limits(body_idle_timeout_s=20))
    client = world.client(quic=_stingy, max_stream_data=1_000)
    stream_id = client.request()
    world.settle()
    (exchange,) = world.exchanges
    exchange.downstream.send_head(ResponseHead(200, [], None), False)
    sent = 0
    while not exchange.paused:
        exchange.downstream.send_data(bytes(16 << 10), False)
        sent += 16 << 10
    assert sent <= (256 + 16) << 10
    world.advance(21)
    assert client.resets == {stream_id: Code.REQUEST_CANCELLED}
    assert isinstance(exchange.failed, DownstreamTimeout)
    assert client.closed is None


def test_fifty_streams_that_nobody_reads_share_one_bound() -> None:
    world = World(FakeExchange)
    client = world.client(quic=_stingy, max_stream_data=1_000)
    for _ in range(50):
        client.request()
    world.settle()
    sent = 0
    for exchange in world.exchanges:
        exchange.downstream.send_head(ResponseHead(200, [], None), False)
        while not exchange.paused:
            exchange.downstream.send_data(bytes(16 << 10), False)
            sent += 16 << 10
    assert len(world.exchanges) == 50
    assert sent <= (2 << 20) + 50 * (32 << 10)


def test_a_fault_of_ours_ends_its_connection_and_no_other() -> None:
    world = World(_Broken)
    other = world.client()
    client = world.client()
    client.request(POST, b"hello")
    world.settle()
    assert client.closed is not None
    assert client.closed.error_code == Code.INTERNAL_ERROR
    assert [str(error) for error in world.unhandled] == ["a bug"]
    world.make = AnsweringExchange
    assert other.get() == (200, b"ok")
    assert world.exchanges[0].failed is not None


def test_a_packet_full_of_pings_ends_the_connection() -> None:
    world = World()
    client = world.client()
    inject(client, b"\x01" * 1_000)
    world.settle()
    assert client.closed == ConnectionTerminated(0xA, 1, "Too many frames in a packet")


def test_a_head_of_many_lines_is_refused_before_it_is_decoded() -> None:
    world = World()
    client = world.client()
    stream_id = client.raw(b"\x01" + varint(50_002) + b"\0\0" + b"\xd1" * 50_000)
    world.settle()
    assert client.status(stream_id) == 431
    assert world.exchanges == []


def test_nothing_of_a_request_cut_in_its_body_looks_complete_upstream() -> None:
    world = World(FakeExchange)
    client = world.client()
    stream_id = client.request(POST, b"hello", end=False)
    world.settle()
    client.quic.reset_stream(stream_id, 0x10C)
    world.settle()
    (exchange,) = world.exchanges
    assert not Seen(exchange.upstream).complete
    assert isinstance(exchange.failed, DownstreamClosed)
