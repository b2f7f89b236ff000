"""One connection of many streams: answers, flow control, upgrades, drain, faults of our own."""

from __future__ import annotations

import base64
import hashlib

import pytest

from edge.errors import BadRequest, DownstreamClosed, DownstreamTimeout, UpstreamClosed
from edge.exchange.seams import Downstream
from edge.head import RequestHead, ResponseHead
from edge.model import Limits
from tests.hostile.fake_h1 import AnsweringExchange, FakeExchange
from tests.hostile.fake_h2 import GET, POST, H2Edge, data, rst, settings, window

WEBSOCKET = [
    (b":method", b"CONNECT"),
    (b":protocol", b"websocket"),
    (b":scheme", b"https"),
    (b":path", b"/chat"),
    (b":authority", b"a"),
    (b"sec-websocket-version", b"13"),
]


def _open(*streams: tuple[int, list[tuple[bytes, bytes]], bool]) -> tuple[H2Edge, list[FakeExchange]]:
    edge = H2Edge(FakeExchange)
    for stream_id, fields, end in streams or [(1, GET, True)]:
        edge.send(edge.head(stream_id, fields, end))
    return edge, edge.exchanges


def test_a_request_is_answered_and_others_may_follow() -> None:
    edge = H2Edge()
    edge.send(edge.head(1), edge.head(3))
    assert (edge.status(1), edge.bodies, edge.ended_streams) == (200, {1: b"ok", 3: b"ok"}, {1, 3})
    assert edge.heads[1] == [[(b":status", b"200"), (b"x-a", b"b"), (b"content-length", b"2")]]


def test_answers_of_one_turn_leave_in_one_write() -> None:
    edge, exchanges = _open((1, GET, True), (3, GET, True))
    writes: list[bytes] = []
    edge.transport.write = writes.append  # type: ignore[method-assign]
    edge.h2._write = writes.append
    for exchange in exchanges:
        exchange.downstream.send_whole(ResponseHead(200, [], 2), b"ok")
    edge.turn()
    assert len(writes) == 1


def test_what_an_exchange_may_know_of_the_connection() -> None:
    server = H2Edge().h2
    assert (server.peer, server.local, server.client) == (
        ("192.0.2.7", 4711),
        ("192.0.2.1", 443),
        b"192.0.2.7:4711",
    )
    assert (server.tls_version, server.sni) == ("", "")


def test_heads_say_where_they_came_from() -> None:
    _, exchanges = _open((1, [*GET, (b"x-a", b"b")], True))
    head = exchanges[0].head
    assert (head.protocol, head.scheme, head.authority, head.path) == ("HTTP/2", b"https", b"a", b"/")
    assert (head.fields, head.length, head.upgrade, exchanges[0].ended) == (
        [(b"x-a", b"b")],
        None,
        None,
        True,
    )


def test_a_repeated_head_shares_nothing_with_the_one_before() -> None:
    edge, exchanges = _open((1, [*GET, (b"x-a", b"b")], True), (3, [*GET, (b"x-a", b"b")], True))
    exchanges[0].head.add(b"x-c", b"d")
    edge.send(edge.head(5, [*GET, (b"x-a", b"b")]))
    assert exchanges[2].head.fields == [(b"x-a", b"b")]


def test_crumbs_are_joined() -> None:
    _, exchanges = _open((1, [*GET, (b"cookie", b"a=b"), (b"x", b"y"), (b"cookie", b"c=d")], True))
    assert exchanges[0].head.get_all(b"cookie") == [b"a=b; c=d"]


def test_bodies_and_trailers_go_both_ways() -> None:
    edge, exchanges = _open((1, POST, False))
    edge.send(data(1, b"abc"), data(1, b"def"), edge.head(1, [(b"x-sum", b"1")]))
    exchange = exchanges[0]
    assert (exchange.body, exchange.trailers) == (b"abcdef", [(b"x-sum", b"1")])
    down = exchange.downstream
    down.send_informational(ResponseHead(103, [(b"link", b"</a>")]))
    down.send_head(ResponseHead(200, []), False)
    down.send_data(b"ghi", False)
    down.send_trailers([(b"x-sum", b"2")])
    edge.settle()
    assert edge.heads[1] == [
        [(b":status", b"103"), (b"link", b"</a>")],
        [(b":status", b"200")],
        [(b"x-sum", b"2")],
    ]
    assert (edge.bodies[1], edge.ended_streams, edge.resets) == (b"ghi", {1}, {})


def test_empty_trailers_just_end_the_request_and_the_answer() -> None:
    edge, exchanges = _open((1, POST, False))
    edge.send(edge.head(1, [(b"authorization", b"x")]))
    assert (exchanges[0].ended, exchanges[0].trailers) == (True, [])
    exchanges[0].downstream.send_head(ResponseHead(200, []), False)
    exchanges[0].downstream.send_trailers([])
    edge.settle()
    assert edge.ended_streams == {1}


def test_a_client_that_waits_for_100_gets_it() -> None:
    edge, exchanges = _open((1, [*POST, (b"expect", b"100-continue")], False))
    assert exchanges[0].head.expect_continue
    exchanges[0].downstream.send_informational(ResponseHead(100, []))
    edge.settle()
    assert edge.heads[1] == [[(b":status", b"100")]]


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", 200), (b"GET", 204), (b"GET", 304)])
def test_answers_that_have_no_body_end_with_their_head(method: bytes, status: int) -> None:
    edge, exchanges = _open((1, [(b":method", method), *GET[1:]], True))
    exchanges[0].downstream.send_head(ResponseHead(status, [], 5), False)
    exchanges[0].downstream.send_data(b"abcde", True)
    edge.settle()
    told = [value for name, value in edge.heads[1][0] if name == b"content-length"]
    assert told == ([] if status == 204 else [b"5"])
    assert (edge.bodies, edge.ended_streams, exchanges[0].failed) == ({}, {1}, None)


@pytest.mark.parametrize("bodies", [[b"ab"], [b"abcd"]], ids=["short", "long"])
def test_an_answer_other_than_its_length_is_reset(bodies: list[bytes]) -> None:
    edge, exchanges = _open()
    exchanges[0].downstream.send_whole(ResponseHead(200, [], 3), bodies[0])
    edge.settle()
    assert edge.resets == {1: 2}
    assert isinstance(exchanges[0].failed, DownstreamClosed)


def test_trailers_before_the_length_is_reached_reset() -> None:
    edge, exchanges = _open()
    exchanges[0].downstream.send_head(ResponseHead(200, [], 3), False)
    exchanges[0].downstream.send_trailers([(b"x", b"y")])
    edge.settle()
    assert edge.resets == {1: 2}


def test_an_exchange_may_reset_its_stream_alone() -> None:
    edge, exchanges = _open((1, GET, True), (3, GET, True))
    exchanges[0].downstream.send_head(ResponseHead(200, []), False)
    exchanges[0].downstream.reset(UpstreamClosed("gone"))
    exchanges[1].downstream.send_whole(ResponseHead(200, [], 2), b"ok")
    edge.settle()
    assert (edge.resets, edge.status(3), exchanges[0].failed) == ({1: 2}, 200, None)


def test_a_reset_of_the_client_is_told_to_its_exchange_alone() -> None:
    edge, exchanges = _open((1, GET, True), (3, GET, True))
    edge.send(rst(1))
    assert isinstance(exchanges[0].failed, DownstreamClosed)
    assert exchanges[1].failed is None
    exchanges[0].downstream.send_whole(ResponseHead(200, [], 2), b"ok")
    edge.settle()
    assert edge.heads == {}


def test_a_lost_connection_is_told_to_every_exchange() -> None:
    edge, exchanges = _open((1, GET, True), (3, POST, False))
    edge.h2.connection_lost(None)
    assert all(isinstance(exchange.failed, DownstreamClosed) for exchange in exchanges)
    assert edge.context.connections == set()


def test_a_broken_connection_is_told_to_every_exchange() -> None:
    edge, exchanges = _open((1, GET, True), (3, POST, False))
    edge.send(window(0, 0))
    assert all(isinstance(exchange.failed, BadRequest) for exchange in exchanges)
    assert len(edge.refused) == 1


def test_a_paused_request_is_held_and_gets_no_window() -> None:
    edge, exchanges = _open((1, POST, False), (3, POST, False))
    exchanges[0].downstream.pause_request()
    edge.frames.clear()
    edge.send(
        *(data(1, b"x" * 16000) for _ in range(4)),
        data(3, b"y" * 16000),
        data(3, b"y" * 16000),
        data(3, b"", True),
    )
    assert (exchanges[0].body, exchanges[1].body) == (b"", b"y" * 32000)
    assert [one for one in edge.frames if one.type == 8 and one.stream_id == 1] == []
    exchanges[0].downstream.resume_request()
    assert exchanges[0].body == b""
    edge.settle()
    assert exchanges[0].body == b"x" * 64000
    assert [one.stream_id for one in edge.frames if one.type == 8 and one.stream_id == 1] == [1]


def test_a_request_paused_again_while_it_is_resumed_stops_at_once() -> None:
    class Hesitant(FakeExchange):
        def body_progress(self) -> int | None:
            """Nobody is in a hurry here."""

        def request_data(self, body: bytes, end: bool) -> None:
            super().request_data(body, end)
            self.downstream.pause_request()

    edge = H2Edge(Hesitant)
    edge.send(edge.head(1, POST, False), data(1, b"a"), data(1, b"b"), data(1, b"c", True))
    exchange = edge.exchanges[0]
    for body in (b"a", b"ab", b"abc"):
        assert exchange.body == body
        exchange.downstream.resume_request()
        edge.settle()
    assert exchange.ended


def test_trailers_wait_behind_a_held_body() -> None:
    edge, exchanges = _open((1, POST, False))
    exchanges[0].downstream.pause_request()
    edge.send(data(1, b"a"), edge.head(1, [(b"x", b"y")]))
    assert not exchanges[0].ended
    exchanges[0].downstream.resume_request()
    edge.settle()
    assert (exchanges[0].body, exchanges[0].trailers) == (b"a", [(b"x", b"y")])


def test_a_body_nobody_takes_any_more_costs_no_window() -> None:
    """The held bytes of dropped streams are granted again, or uploads would come to a halt."""
    edge = H2Edge(FakeExchange)
    for i in range(30):
        stream_id = 1 + 2 * i
        edge.send(edge.head(stream_id, POST, False))
        edge.exchanges[-1].downstream.pause_request()
        edge.send(data(stream_id, b"x" * 16000) * 4, rst(stream_id))
        edge.wait(1.0)
    assert edge.goaway is None
    assert sum(one.window_increment for one in edge.frames if one.type == 8 and not one.stream_id) > 2 << 20


def test_a_slow_reader_holds_back_its_upstream_until_it_reads() -> None:
    edge, exchanges = _open()
    exchange = exchanges[0]
    exchange.downstream.send_head(ResponseHead(200, []), False)
    sent = 0
    while not exchange.paused:
        exchange.downstream.send_data(b"x" * 10_000, False)
        sent += 10_000
        edge.settle()
    assert sent <= 65_535 + (64 << 10) + 10_000
    edge.send(window(0, 1 << 20), window(1, 1 << 20))
    assert not exchange.paused
    assert len(edge.bodies[1]) == sent
    exchange.downstream.send_data(b"", True)
    edge.settle()
    assert edge.ended_streams == {1}


@pytest.mark.parametrize(("granted", "taken"), [(0, 120_000), (1 << 20, 320_000)])
def test_what_one_turn_brings_is_held_back_before_the_turn_is_over(granted: int, taken: int) -> None:
    """Beyond what the client has a window for, and not as much as it may have one for."""
    edge, exchanges = _open()
    if granted:
        edge.send(window(0, granted), window(1, granted))
    exchange = exchanges[0]
    exchange.downstream.send_head(ResponseHead(200, []), False)
    sent = 0
    while not exchange.paused and sent < 1 << 20:
        exchange.downstream.send_data(b"x" * 40_000, False)
        sent += 40_000
    assert sent == taken
    edge.send(window(0, 1 << 20), window(1, 1 << 20))
    assert not exchange.paused
    assert len(edge.bodies[1]) == sent


def test_in_a_crowd_of_slow_readers_each_leaves_less_behind() -> None:
    edge, exchanges = _open(*((1 + 2 * n, GET, True) for n in range(20)))
    edge.send(settings({4: 0}))
    sent = 0
    for exchange in exchanges:
        exchange.downstream.send_head(ResponseHead(200, []), False)
        for _ in range(2):
            assert not exchange.paused
            exchange.downstream.send_data(b"x" * 10_000, False)
            sent += 10_000
            edge.settle()
        assert exchange.paused
    edge.send(settings({4: 1 << 20}), window(0, 4 << 20))
    assert not any(exchange.paused for exchange in exchanges)
    assert sum(map(len, edge.bodies.values())) == sent


def test_while_the_transport_is_full_streams_are_held_back_and_nothing_is_written() -> None:
    edge, exchanges = _open((1, GET, True), (3, GET, True))
    edge.h2.pause_writing()
    written = len(edge.transport.written)
    slow = exchanges[0]
    slow.downstream.send_head(ResponseHead(200, []), False)
    sent = 0
    while not slow.paused and sent < 1 << 20:
        slow.downstream.send_data(b"x" * 10_000, False)
        sent += 10_000
        edge.settle()
    assert slow.paused
    assert len(edge.transport.written) == written
    edge.send(window(0, 1 << 20), window(1, 1 << 20))
    edge.h2.resume_writing()
    edge.settle()
    assert not slow.paused
    assert len(edge.bodies[1]) == sent


def test_a_client_that_never_reads_from_the_transport_is_cut_off() -> None:
    edge, exchanges = _open()
    edge.h2.pause_writing()
    edge.wait(301.0)
    assert edge.transport.aborted
    assert isinstance(exchanges[0].failed, DownstreamTimeout)


def test_a_client_that_does_not_read_gains_no_time_by_sending() -> None:
    edge, exchanges = _open()
    edge.h2.pause_writing()
    for i in range(31):
        piece = edge.head(3 + 2 * i)
        edge.send(piece[:5])
        edge.send(piece[5:])
        edge.wait(9.9)
    assert edge.transport.aborted
    assert isinstance(exchanges[0].failed, DownstreamTimeout)


def _accept_of(exchange: FakeExchange) -> bytes:
    key = exchange.head.get(b"sec-websocket-key")
    assert key is not None
    return base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())


def test_a_websocket_is_an_upgrade_upstream_and_a_200_here() -> None:
    edge, exchanges = _open((1, WEBSOCKET, False))
    exchange = exchanges[0]
    head = exchange.head
    assert (head.method, head.path, head.upgrade, exchange.ended) == (b"GET", b"/chat", b"websocket", False)
    assert exchange.upstream.startswith(b"GET /chat HTTP/1.1\r\n")
    assert b"connection: upgrade\r\nupgrade: websocket\r\n" in exchange.upstream
    edge.send(data(1, b"early"))
    assert exchange.body == b""
    fields = [(b"upgrade", b"websocket"), (b"sec-websocket-accept", _accept_of(exchange))]
    exchange.downstream.send_head(ResponseHead(101, [*fields, (b"sec-websocket-protocol", b"chat")]), False)
    edge.settle()
    assert edge.heads[1] == [[(b":status", b"200"), (b"sec-websocket-protocol", b"chat")]]
    assert exchange.body == b"early"
    exchange.downstream.send_data(b"hello", False)
    edge.send(data(1, b" bird"))
    assert (edge.bodies[1], exchange.body) == (b"hello", b"early bird")
    edge.wait(1000.0)
    assert edge.resets == {}
    edge.send(data(1, b"", True))
    exchange.downstream.send_data(b"", True)
    edge.settle()
    assert (exchange.ended, edge.ended_streams) == (True, {1})


def test_a_websocket_that_upstream_refuses_is_refused() -> None:
    edge, exchanges = _open((1, WEBSOCKET, False))
    exchanges[0].downstream.send_whole(ResponseHead(403, [], 2), b"no")
    edge.settle()
    assert (edge.status(1), edge.bodies[1], edge.resets) == (403, b"no", {1: 0})


def test_a_200_of_upstream_opens_no_tunnel() -> None:
    """To an HTTP/2 client it would look like one."""
    edge, exchanges = _open((1, WEBSOCKET, False))
    edge.send(data(1, b"frames"))
    exchanges[0].downstream.send_head(ResponseHead(200, []), False)
    exchanges[0].downstream.send_data(b"page", True)
    edge.settle()
    assert (edge.status(1), edge.bodies, exchanges[0].body) == (502, {}, b"")
    assert exchanges[0].failed is not None


def test_a_101_with_the_wrong_key_opens_no_tunnel() -> None:
    edge, exchanges = _open((1, WEBSOCKET, False))
    exchanges[0].downstream.send_head(ResponseHead(101, [(b"sec-websocket-accept", b"x")]), False)
    edge.settle()
    assert (edge.heads, edge.resets) == ({}, {1: 10})


def test_a_101_nobody_asked_for_resets() -> None:
    edge, exchanges = _open()
    exchanges[0].downstream.send_head(ResponseHead(101, []), False)
    edge.settle()
    assert (edge.heads, edge.resets) == ({}, {1: 2})


def test_an_idle_connection_is_closed_with_a_goaway() -> None:
    edge = H2Edge()
    edge.send(edge.head(1))
    edge.wait(3599.0)
    assert not edge.transport.closed
    edge.wait(2.0)
    assert (edge.goaway, edge.transport.closed) == (0, True)


def test_a_connection_with_a_stream_is_not_idle() -> None:
    edge, _ = _open()
    edge.wait(10_000.0)
    assert not edge.transport.closed


def test_who_has_sent_all_may_wait_for_the_answer_as_long_as_it_takes() -> None:
    edge = H2Edge(FakeExchange)
    edge.send(edge.head(1, POST, False))
    edge.send(data(1, b"x"))
    edge.send(data(1, b"y", True))
    edge.wait(10_000.0)
    edge.exchanges[0].downstream.send_whole(ResponseHead(200, [], 2), b"ok")
    edge.settle()
    assert (edge.status(1), edge.resets, edge.exchanges[0].failed) == (200, {}, None)


def test_a_fault_of_ours_ends_its_stream_and_no_other() -> None:
    class Faulty(AnsweringExchange):
        def body_progress(self) -> int | None:
            """Nobody is in a hurry here."""

        def request_data(self, body: bytes, end: bool) -> None:
            raise RuntimeError("ours")

    edge = H2Edge(Faulty)
    edge.send(edge.head(1, POST, False), data(1, b"x"), edge.head(3))
    assert (edge.resets, edge.status(3)) == ({1: 2}, 200)
    assert [type(error) for error in edge.unhandled] == [RuntimeError]
    assert edge.exchanges[0].failed is not None


def test_a_fault_while_a_request_starts_ends_its_stream_alone() -> None:
    def refuse(downstream: Downstream, head: RequestHead, end: bool) -> FakeExchange:
        if head.path == b"/bad":
            raise RuntimeError("ours")
        return AnsweringExchange(downstream, head, end)

    edge = H2Edge(refuse)
    edge.send(edge.head(1, [*GET[:2], (b":path", b"/bad"), GET[3]]), edge.head(3))
    assert (edge.resets, edge.status(3), len(edge.unhandled)) == ({1: 2}, 200, 1)


def test_more_connections_than_allowed_are_cut_off() -> None:
    edge = H2Edge(limits=Limits(max_connections=0), greet=False)
    assert edge.transport.aborted
    edge.send(b"PRI")
    assert edge.exchanges == []


def test_after_a_goaway_only_so_much_is_read() -> None:
    edge = H2Edge()
    edge.send(window(0, 0))
    assert not edge.transport.closed
    edge.send(b"x" * 300_000)
    assert edge.transport.aborted
