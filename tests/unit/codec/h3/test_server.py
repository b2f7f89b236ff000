"""Whole conversations with an HTTP/3 connection, in memory."""

from __future__ import annotations

import pytest
from aioquic.h3.connection import encode_frame
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection

from edge.codec.h3.answer import HIGH_BYTES
from edge.codec.h3.transport import START_WINDOW
from edge.codec.h3.wire import Code
from edge.codec.websocket import accept_of
from edge.errors import DownstreamClosed, UpstreamClosed, UpstreamTimeout
from edge.head import Field, ResponseHead
from edge.model import Limits
from tests.conformance.h3 import packets
from tests.hostile.fake_h1 import FakeExchange
from tests.unit.codec.h3.world import GET, Client, World

POST = [(b":method", b"POST"), *GET[1:]]


def _opened(fields: list[Field] = GET, body: bytes | None = None) -> tuple[World, Client, int, FakeExchange]:
    """A request whose exchange waits for the test to answer."""
    world = World(FakeExchange)
    client = world.client()
    stream_id = client.request(fields, body)
    world.settle()
    (exchange,) = world.exchanges
    return world, client, stream_id, exchange


def test_a_request_arrives_as_a_head_like_any_other() -> None:
    fields = [*GET[:3], (b":path", b"/a?b=c"), (b"x-a", b"1"), (b"cookie", b"a=1"), (b"cookie", b"b=2")]
    world, _, _, exchange = _opened([*fields, (b"te", b"trailers"), (b"x-a", b"2")])
    head = exchange.head
    assert (head.method, head.scheme, head.authority, head.path) == (b"GET", b"https", b"a", b"/a?b=c")
    assert head.protocol == "HTTP/3" and head.length is None and head.upgrade is None
    assert head.fields == [
        (b"x-a", b"1"),
        (b"x-a", b"2"),
        (b"te", b"trailers"),
        (b"cookie", b"a=1; b=2"),
    ]
    assert exchange.ended
    (connection,) = world.connections
    assert (connection.tls_version, connection.sni, connection.local) == ("TLSv1.3", "a", ("192.0.2.1", 443))
    assert connection.client == b"%b:%d" % (connection.peer[0].encode(), connection.peer[1])


@pytest.mark.parametrize(("length", "waits"), [(b"0", False), (b"1", True)])
def test_an_expectation_without_a_body_means_nothing(length: bytes, waits: bool) -> None:
    world = World(FakeExchange)
    expectation = [(b"expect", b"100-continue"), (b"content-length", length)]
    world.client().request([*POST, *expectation], b"", end=False)
    world.settle()
    assert world.exchanges[0].head.expect_continue is waits


def test_a_head_said_again_is_the_same_head_and_an_own_copy() -> None:
    world = World()
    client = world.client()
    for _ in range(3):
        client.request([*GET, (b"x-a", b"b")])
        world.settle()
    first, second, third = (exchange.head for exchange in world.exchanges)
    second.add(b"x-b", b"c")
    assert first.fields == third.fields == [(b"x-a", b"b")]


def test_body_and_trailers_of_a_request_arrive_in_order() -> None:
    world = World(FakeExchange)
    client = world.client()
    stream_id = client.request(POST, b"hello ", end=False)
    world.settle()
    assert client.h3 is not None
    client.quic.send_stream_data(stream_id, encode_frame(0, b"world"))
    client.quic.send_stream_data(
        stream_id, encode_frame(1, client.h3._encode_headers(stream_id, [(b"x-sum", b"1")])), True
    )
    world.settle()
    (exchange,) = world.exchanges
    assert (exchange.body, exchange.trailers, exchange.ended) == (b"hello world", [(b"x-sum", b"1")], True)


def test_an_end_that_comes_alone_makes_no_body() -> None:
    world = World(FakeExchange)
    client = world.client()
    stream_id = client.request(GET, end=False)
    seat = next(iter(world.host._by_cid.values()))
    frame = client.quic._streams[stream_id].sender
    data = bytes(frame._buffer)

    packets.inject(
        client, packets.stream(stream_id, data) + packets.stream(stream_id, b"", len(data), fin=True)
    )
    assert seat.client
    (exchange,) = world.exchanges
    assert exchange.ended and exchange.upstream == b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


def test_trailers_without_fields_are_no_section() -> None:
    """A filter may have taken the last one away; ls-qpack takes an empty section for a broken one."""
    world, client, stream_id, exchange = _opened()
    down = exchange.downstream
    down.send_head(ResponseHead(200, []), False)
    down.send_data(b"hello", False)
    down.send_trailers([])
    world.settle()
    assert client.body(stream_id) == b"hello" and client.ended(stream_id)
    assert (len(client.heads(stream_id)), client.closed) == (1, None)


def test_an_answer_with_informational_heads_body_and_trailers() -> None:
    world, client, stream_id, exchange = _opened()
    down = exchange.downstream
    down.send_informational(ResponseHead(103, [(b"link", b"</a>")]))
    down.send_head(ResponseHead(200, [(b"x-a", b"b"), (b"connection", b"close")]), False)
    down.send_data(b"hello ", False)
    down.send_data(b"world", False)
    down.send_trailers([(b"x-sum", b"1")])
    world.settle()
    assert client.heads(stream_id) == [
        [(b":status", b"103"), (b"link", b"</a>")],
        [(b":status", b"200"), (b"x-a", b"b")],
        [(b"x-sum", b"1")],
    ]
    assert client.body(stream_id) == b"hello world"
    assert client.ended(stream_id) and client.resets == {}


@pytest.mark.parametrize(
    ("method", "head", "fields"),
    [
        (b"HEAD", ResponseHead(200, [], 5), [(b":status", b"200"), (b"content-length", b"5")]),
        (b"GET", ResponseHead(204, [], None), [(b":status", b"204")]),
        (b"GET", ResponseHead(304, [], 5), [(b":status", b"304"), (b"content-length", b"5")]),
    ],
)
def test_answers_that_have_no_body(method: bytes, head: ResponseHead, fields: list[Field]) -> None:
    world, client, stream_id, exchange = _opened([(b":method", method), *GET[1:]])
    assert client.h3 is not None
    # aioquic's client does not know that these have a length and no body.
    client.h3._check_content_length = lambda stream: None  # type: ignore[method-assign]
    exchange.downstream.send_head(head, False)
    exchange.downstream.send_data(b"hello", True)
    world.settle()
    assert client.heads(stream_id) == [fields]
    assert (client.body(stream_id), client.ended(stream_id)) == (b"", True)


def test_an_answer_without_a_body_says_so() -> None:
    world, client, stream_id, exchange = _opened()
    exchange.downstream.send_head(ResponseHead(200, [], None), True)
    world.settle()
    assert client.heads(stream_id) == [[(b":status", b"200"), (b"content-length", b"0")]]
    assert client.ended(stream_id)


@pytest.mark.parametrize("body", [b"hell", b"hello!"])
def test_an_answer_of_another_length_than_announced_is_reset(body: bytes) -> None:
    world, client, stream_id, exchange = _opened()
    exchange.downstream.send_head(ResponseHead(200, [], 5), False)
    exchange.downstream.send_data(body, True)
    world.settle()
    assert client.resets == {stream_id: Code.INTERNAL_ERROR}
    assert not client.ended(stream_id) and client.closed is None


@pytest.mark.parametrize(
    ("error", "code"),
    [(UpstreamClosed(), Code.INTERNAL_ERROR), (UpstreamTimeout(), Code.REQUEST_CANCELLED)],
)
def test_an_answer_that_breaks_off_never_ends_cleanly(error: UpstreamClosed, code: Code) -> None:
    world, client, stream_id, exchange = _opened()
    exchange.downstream.send_head(ResponseHead(200, [], 50), False)
    exchange.downstream.send_data(b"hello", False)
    world.settle()
    exchange.downstream.reset(error)
    exchange.downstream.send_data(b"late", True)
    world.settle()
    assert client.body(stream_id) == b"hello"
    assert client.resets == {stream_id: code} and not client.ended(stream_id)


def test_a_client_that_resets_or_goes_is_told_to_the_exchange() -> None:
    world, client, stream_id, exchange = _opened(POST, None)
    client.quic.stop_stream(stream_id, 0x10C)
    world.settle()
    assert isinstance(exchange.failed, DownstreamClosed)
    client.request()
    world.settle()
    client.quic.close(0x100)
    world.settle()
    assert isinstance(world.exchanges[1].failed, DownstreamClosed)
    assert world.context.connections == set()


def test_a_reader_that_pauses_holds_the_client_back_and_loses_nothing() -> None:
    world = World(FakeExchange)
    client = world.client()
    body = bytes(range(256)) * 2_000
    stream_id = client.request(POST, end=False)
    world.settle()
    (exchange,) = world.exchanges
    exchange.downstream.pause_request()
    client.quic.send_stream_data(stream_id, encode_frame(0, body), True)
    world.settle()
    world.advance(1)
    assert exchange.body == b""
    stream = next(iter(world.host._by_cid.values()))._streams[stream_id]
    assert 0 < stream.held_bytes <= START_WINDOW
    exchange.downstream.resume_request()
    assert exchange.body == b"", "never inside the call"
    world.advance(5)
    assert exchange.ended and exchange.body == body
    assert stream.held_bytes == 0


def test_trailers_wait_for_a_paused_body() -> None:
    world = World(FakeExchange)
    client = world.client()
    stream_id = client.request(POST, end=False)
    world.settle()
    (exchange,) = world.exchanges
    exchange.downstream.pause_request()
    assert client.h3 is not None
    client.quic.send_stream_data(stream_id, encode_frame(0, b"hello"))
    section = client.h3._encode_headers(stream_id, [(b"x-sum", b"1")])
    client.quic.send_stream_data(stream_id, encode_frame(1, section), True)
    world.settle()
    assert exchange.body == b"" and exchange.trailers == []
    exchange.downstream.resume_request()
    world.settle()
    assert (exchange.body, exchange.trailers) == (b"hello", [(b"x-sum", b"1")])


def test_a_client_that_reads_slowly_pauses_the_producer_until_it_has_read() -> None:
    world, client, stream_id, exchange = _opened()
    exchange.downstream.send_head(ResponseHead(200, [], None), False)
    sent = 0
    while not exchange.paused:
        exchange.downstream.send_data(bytes(1 << 14), False)
        sent += 1 << 14
    assert sent <= HIGH_BYTES + (1 << 14)
    world.advance(3)
    assert not exchange.paused, "everything was read"
    exchange.downstream.send_data(b"end", True)
    world.advance(1)
    assert client.body(stream_id) == bytes(sent) + b"end" and client.ended(stream_id)


def test_a_large_upload_and_a_large_answer_pass_whole() -> None:
    world = World(FakeExchange)
    client = world.client()
    body = bytes(range(251)) * 8_000
    stream_id = client.request(POST, body)
    world.advance(5)
    (exchange,) = world.exchanges
    assert exchange.ended and exchange.body == body
    exchange.downstream.send_whole(ResponseHead(200, [], len(body)), body)
    world.advance(10)
    assert client.body(stream_id) == body and client.ended(stream_id)


def test_nothing_is_lost_when_datagrams_are() -> None:
    world = World(FakeExchange)
    client = world.client()
    counter = iter(range(1_000_000))
    world.network.drop = lambda data: next(counter) % 7 == 0
    body = bytes(range(253)) * 400
    stream_id = client.request(POST, body)
    world.advance(5)
    (exchange,) = world.exchanges
    assert exchange.body == body
    exchange.downstream.send_whole(ResponseHead(200, [], len(body)), body)
    world.advance(20)
    assert client.body(stream_id) == body and client.ended(stream_id)


def test_small_requests_are_acknowledged_without_packets_of_their_own() -> None:
    world = World()
    client = world.client()
    client.get()
    world.advance(1)
    sent: list[int] = []
    world.network.drop = lambda data: bool(sent.append(len(data)))
    for _ in range(10):
        client.get()
        world.loop.now += 0.001
    assert len(sent) <= 11


# ---- WebSocket

CONNECT = [
    (b":method", b"CONNECT"),
    (b":protocol", b"websocket"),
    *GET[1:],
    (b"sec-websocket-version", b"13"),
]


def test_an_extended_connect_becomes_an_upgrade_and_a_tunnel() -> None:
    world = World(FakeExchange)
    client = world.client()
    stream_id = client.request(CONNECT, b"early", end=False)
    world.settle()
    (exchange,) = world.exchanges
    head = exchange.head
    assert (head.method, head.upgrade, exchange.ended) == (b"GET", b"websocket", False)
    assert len(head.get(b"sec-websocket-key") or b"") == 24
    assert exchange.body == b"", "held until the upgrade is granted"
    chosen = (b"sec-websocket-protocol", b"chat")
    accept = accept_of(head.get(b"sec-websocket-key") or b"")
    switching = [(b"upgrade", b"websocket"), (b"sec-websocket-accept", accept), chosen]
    exchange.downstream.send_head(ResponseHead(101, switching), False)
    world.settle()
    assert exchange.body == b"early"
    assert client.heads(stream_id) == [[(b":status", b"200"), chosen]]
    client.quic.send_stream_data(stream_id, encode_frame(0, b" bird"))
    exchange.downstream.send_data(b"\x81\x02hi", False)
    world.settle()
    assert (exchange.body, client.body(stream_id)) == (b"early bird", b"\x81\x02hi")
    client.quic.send_stream_data(stream_id, b"", True)
    world.settle()
    assert exchange.ended
    exchange.downstream.send_data(b"", True)
    world.settle()
    assert client.ended(stream_id)


@pytest.mark.parametrize("accept", [[], [(b"sec-websocket-accept", accept_of(b"another key"))]])
def test_an_upgrade_that_is_no_answer_to_our_key_opens_no_tunnel(accept: list[tuple[bytes, bytes]]) -> None:
    world = World(FakeExchange)
    client = world.client()
    stream_id = client.request(
        [*CONNECT, (b"sec-websocket-key", b"chosen by the client")], b"early", end=False
    )
    world.settle()
    (exchange,) = world.exchanges
    (key,) = [value for name, value in exchange.head.fields if name == b"sec-websocket-key"]
    assert key != b"chosen by the client"
    exchange.downstream.send_head(ResponseHead(101, [(b"upgrade", b"websocket"), *accept]), False)
    world.settle()
    assert exchange.body == b""
    assert (client.heads(stream_id), client.resets) == ([], {stream_id: Code.CONNECT_ERROR})


def test_an_upgrade_that_upstream_refuses_is_an_ordinary_answer() -> None:
    world = World(FakeExchange)
    client = world.client()
    stream_id = client.request(CONNECT, b"early", end=False)
    world.settle()
    (exchange,) = world.exchanges
    exchange.downstream.send_head(ResponseHead(403, [], 2), False)
    exchange.downstream.send_data(b"no", True)
    world.settle()
    assert (client.status(stream_id), client.body(stream_id)) == (403, b"no")
    assert exchange.body == b"" and client.stops == {stream_id: Code.NO_ERROR}


def test_a_whole_200_in_place_of_the_upgrade_is_no_tunnel() -> None:
    world = World(FakeExchange)
    client = world.client()
    stream_id = client.request(CONNECT, end=False)
    world.settle()
    world.exchanges[0].downstream.send_whole(ResponseHead(200, [], 2), b"no")
    world.settle()
    assert (client.status(stream_id), client.body(stream_id), client.ended(stream_id)) == (502, b"", True)


@pytest.mark.parametrize("end", [True, False])
def test_a_200_in_place_of_the_upgrade_is_no_tunnel(end: bool) -> None:
    world = World(FakeExchange)
    client = world.client()
    stream_id = client.request(CONNECT, end=False)
    world.settle()
    (exchange,) = world.exchanges
    exchange.downstream.send_head(ResponseHead(200, []), end)
    if not end:
        exchange.downstream.send_data(b"a page", False)
    world.settle()
    assert (client.status(stream_id), client.body(stream_id)) == (502, b"")
    assert client.ended(stream_id)
    assert (exchange.failed is None) is end
    assert (client.closed, world.unhandled) == (None, [])


def test_settings_offer_what_is_served() -> None:
    world = World(limits=Limits(head_bytes=50_000))
    client = world.client()
    assert client.h3 is not None
    assert client.h3.received_settings is not None
    shown = {int(name): value for name, value in client.h3.received_settings.items() if name != 0x21}
    assert shown == {0x1: 0, 0x7: 0, 0x6: 50_000, 0x8: 1}


# ---- endings


def test_an_idle_connection_is_forgotten() -> None:
    world = World()
    client = world.client()
    del world.clients[client.address]
    assert world.context.connections
    world.advance(61)
    assert world.host.seats() == 0 and world.context.connections == set()


def test_a_full_listener_takes_nobody_else() -> None:
    world = World(limits=Limits(max_connections=1))
    world.client()
    late = Client(world)
    late.connect()
    world.settle()
    assert not late.established and world.host.half_open == 0


def test_a_stopped_listener_takes_nobody_and_keeps_who_is_there() -> None:
    world = World()
    client = world.client()
    world.host.accepting = False
    late = Client(world)
    late.connect()
    world.settle()
    assert not late.established
    assert client.get() == (200, b"ok")


def test_a_client_gets_larger_datagrams_only_when_it_takes_them() -> None:
    def size(quic: type[QuicConnection]) -> int:
        world = World(FakeExchange)
        client = world.client(quic=lambda configuration: quic(configuration=configuration))
        client.request()
        world.settle()
        sizes: list[int] = []
        world.network.drop = lambda data: bool(sizes.append(len(data)))
        world.exchanges[0].downstream.send_whole(ResponseHead(200, [], 9_000), bytes(9_000))
        world.settle()
        return max(sizes)

    assert size(QuicConnection) == 1350
    assert size(_Small) == 1200


class _Small(QuicConnection):
    """Announces that it takes no datagram over 1,200 bytes."""

    def __init__(self, configuration: QuicConfiguration) -> None:
        super().__init__(configuration=configuration)

    def _serialize_transport_parameters(self) -> bytes:
        return super()._serialize_transport_parameters() + b"\x03\x02\x44\xb0"
