"""One connection: turns, framing of answers, back-pressure, drain, faults of our own."""

from __future__ import annotations

import h11
import pytest

from edge.codec.h1.server import HALF_CLOSED_S
from edge.errors import BadRequest, DownstreamClosed, UpstreamClosed
from edge.exchange.seams import Downstream
from edge.head import RequestHead, ResponseHead
from edge.model import Limits
from tests.hostile.cases_h1 import chunked, get, post
from tests.hostile.fake_h1 import AnsweringExchange, Edge, FakeExchange, Seen, responses


def _open(*lines: bytes, **how: bytes) -> tuple[Edge, FakeExchange]:
    edge = Edge(FakeExchange)
    edge.feed(get(*lines, **how))
    return edge, edge.exchanges[0]


def test_a_request_is_answered_and_the_connection_kept() -> None:
    edge = Edge()
    written = edge.feed(get(b"X-B: c"))
    assert written == b"HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: 2\r\n\r\nok"
    edge.feed(get())
    assert len(responses(edge.transport.written)) == 2
    assert not edge.ended


def test_what_an_exchange_may_know_of_the_connection() -> None:
    server = Edge().server
    assert (server.id, server.peer, server.local, server.client) == (
        1,
        ("192.0.2.7", 4711),
        ("192.0.2.1", 443),
        b"192.0.2.7:4711",
    )
    assert (server.tls_version, server.sni) == ("", "")


def test_a_body_is_passed_on_as_it_comes() -> None:
    edge = Edge()
    edge.feed(post(b"Content-Length: 10", body=b"hel"))
    assert edge.exchanges[0].body == b"hel"
    edge.feed(b"lo")
    edge.feed(b"world" + get(target=b"/next"))
    assert edge.exchanges[0].body == b"helloworld"
    assert [exchange.head.path for exchange in edge.exchanges] == [b"/", b"/next"]


def test_chunks_are_made_anew_and_trailers_follow() -> None:
    edge = Edge()
    edge.feed(chunked(b"5;x=y\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"))
    seen = Seen(edge.exchanges[0].upstream)
    assert (seen.body, seen.trailers) == (b"hello", [(b"x-sum", b"1")])
    assert b"x=y" not in edge.exchanges[0].upstream


def test_a_malformed_body_fails_the_exchange_and_gets_400() -> None:
    edge = Edge()
    edge.feed(chunked(b"5\r\nhello\r\nXX\r\n"))
    assert isinstance(edge.exchanges[0].failed, BadRequest)
    assert responses(edge.transport.written)[0][0] == 400
    assert not Seen(edge.exchanges[0].upstream).complete


def test_a_malformed_body_behind_an_answer_under_way_ends_uncleanly() -> None:
    edge = Edge(FakeExchange)
    edge.feed(chunked(b"5\r\nhello\r\n"))
    exchange = edge.exchanges[0]
    exchange.downstream.send_head(ResponseHead(200, []), False)
    exchange.downstream.send_data(b"part", False)
    edge.feed(b"XX\r\n")
    assert edge.ended
    assert isinstance(exchange.failed, BadRequest)
    assert not edge.transport.written.endswith(b"0\r\n\r\n")


def test_an_answer_without_a_length_is_chunked() -> None:
    edge, exchange = _open()
    exchange.downstream.send_head(ResponseHead(200, []), False)
    exchange.downstream.send_data(b"one", False)
    exchange.downstream.send_data(b"", False)
    exchange.downstream.send_data(b"two", True)
    ((status, _, body),) = responses(edge.transport.written)
    assert (status, body) == (200, b"onetwo")
    edge.feed(get())
    assert len(edge.exchanges) == 2


def test_trailers_of_an_answer_are_sent_where_they_can_be() -> None:
    edge, exchange = _open()
    exchange.downstream.send_head(ResponseHead(200, []), False)
    exchange.downstream.send_trailers([(b"x-sum", b"1")])
    assert edge.transport.written.endswith(b"0\r\nx-sum: 1\r\n\r\n")
    edge, exchange = _open()
    exchange.downstream.send_head(ResponseHead(200, [], 2), False)
    exchange.downstream.send_data(b"ok", False)
    exchange.downstream.send_trailers([(b"x-sum", b"1")])
    assert edge.transport.written.endswith(b"\r\n\r\nok")
    assert not edge.ended


def test_http_1_0_gets_a_body_that_ends_with_the_connection() -> None:
    edge, exchange = _open(b"Connection: keep-alive", version=b"HTTP/1.0")
    exchange.downstream.send_head(ResponseHead(200, []), False)
    exchange.downstream.send_data(b"abc", True)
    assert edge.transport.written == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabc"
    assert edge.ended


def test_http_1_0_is_kept_alive_only_when_asked() -> None:
    edge = Edge()
    edge.feed(get(b"Connection: keep-alive", version=b"HTTP/1.0"))
    assert (b"connection", b"keep-alive") in responses(edge.transport.written)[0][1]
    assert not edge.ended
    edge.feed(get(version=b"HTTP/1.0"))
    assert edge.ended


def test_informational_heads_come_before_the_final_one() -> None:
    edge, exchange = _open()
    exchange.downstream.send_informational(ResponseHead(103, [(b"link", b"</a>")]))
    exchange.downstream.send_head(ResponseHead(200, [], 0), True)
    exchange.downstream.send_informational(ResponseHead(103, []))
    assert edge.transport.written.startswith(
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n"
    )
    assert edge.transport.written.count(b" 103 ") == 1


@pytest.mark.parametrize("data", [b"o", b"okk"])
def test_an_answer_that_breaks_its_own_length_breaks_the_connection(data: bytes) -> None:
    edge, exchange = _open()
    exchange.downstream.send_head(ResponseHead(200, [], 2), False)
    exchange.downstream.send_data(data, True)
    assert edge.ended
    with pytest.raises((AssertionError, h11.RemoteProtocolError)):
        responses(edge.transport.written)


def test_a_reset_never_looks_like_an_end() -> None:
    for version, aborted in ((b"HTTP/1.1", False), (b"HTTP/1.0", True)):
        edge, exchange = _open(version=version)
        exchange.downstream.send_head(ResponseHead(200, []), False)
        exchange.downstream.send_data(b"part", False)
        exchange.downstream.reset(UpstreamClosed("gone"))
        assert edge.transport.closed
        assert edge.transport.aborted is aborted
        assert not edge.transport.written.endswith(b"0\r\n\r\n")


def test_whoever_cannot_take_more_holds_back_the_reader() -> None:
    edge = Edge(FakeExchange)
    edge.feed(post(b"Content-Length: 10"))
    edge.server.pause_request()
    assert not edge.transport.reading
    edge.server.resume_request()
    assert edge.transport.reading
    edge.server.pause_writing()
    assert edge.exchanges[0].paused
    edge.server.resume_writing()
    assert not edge.exchanges[0].paused


def test_a_reader_left_paused_reads_again_for_the_next_request() -> None:
    edge, exchange = _open()
    edge.server.pause_request()
    exchange.downstream.send_head(ResponseHead(200, [], 0), True)
    assert edge.transport.reading


def test_half_a_close_lets_complete_requests_be_answered() -> None:
    edge = Edge(FakeExchange)
    edge.feed(get() + get(target=b"/2"))
    assert edge.server.eof_received() is True
    for index in range(2):
        exchange = edge.exchanges[index]
        exchange.downstream.send_head(ResponseHead(200, [], 0), True)
        edge.turn()
    assert len(responses(edge.transport.written)) == 2
    assert edge.ended


def test_half_a_close_without_an_answer_in_time_ends_the_exchange() -> None:
    edge = Edge(FakeExchange)
    edge.feed(get())
    edge.server.eof_received()
    edge.wait(HALF_CLOSED_S + 0.2)
    assert isinstance(edge.exchanges[0].failed, DownstreamClosed)
    assert edge.ended


def test_half_a_close_inside_a_request_ends_it() -> None:
    edge = Edge()
    edge.feed(post(b"Content-Length: 10", body=b"he"))
    assert edge.server.eof_received() is False
    edge.server.connection_lost(None)
    assert isinstance(edge.exchanges[0].failed, DownstreamClosed)


def test_draining_closes_idle_connections_now_and_busy_ones_after_their_answer() -> None:
    idle, served = _open()
    served.downstream.send_head(ResponseHead(200, [], 0), True)
    assert not idle.ended
    idle.context.drain()
    assert idle.ended
    busy, exchange = _open()
    busy.context.drain()
    assert not busy.ended
    exchange.downstream.send_head(ResponseHead(200, [], 0), True)
    assert (b"connection", b"close") in responses(busy.transport.written)[0][1]
    assert busy.ended


def test_draining_leaves_a_new_connection_time_for_its_first_request() -> None:
    edge = Edge()
    edge.context.drain()
    assert not edge.ended
    edge.feed(get())
    ((status, fields, _),) = responses(edge.transport.written)
    assert (status, (b"connection", b"close") in fields) == (200, True)
    assert edge.ended
    silent = Edge()
    silent.context.drain()
    silent.wait(2.0)
    assert silent.ended


def test_a_connection_that_comes_during_a_drain_has_one_request_and_a_second_for_it() -> None:
    asking, silent = Edge(draining=True), Edge(draining=True)
    asking.feed(get() + get())
    ((status, fields, _),) = responses(asking.transport.written)
    assert (status, (b"connection", b"close") in fields, asking.ended) == (200, True, True)
    silent.wait(0.9)
    assert not silent.ended
    silent.wait(1.0)
    assert (silent.ended, silent.transport.written) == (True, b"")


def test_one_connection_too_many_is_cut_at_once() -> None:
    edge = Edge(limits=Limits(max_connections=0))
    assert edge.ended
    assert edge.context.connections == set()


class FailingExchange(FakeExchange):
    def __init__(self, downstream: Downstream, head: RequestHead, end: bool) -> None:
        if head.path == b"/boom":
            raise RuntimeError("boom")
        super().__init__(downstream, head, end)

    def request_data(self, data: bytes, end: bool) -> None:
        raise RuntimeError("data")

    def pause_response(self) -> None:
        raise RuntimeError("pause")

    def body_progress(self) -> int | None:
        """Nobody is in a hurry here."""

    def downstream_failed(self, error: object) -> None:
        raise RuntimeError("failed")


def test_a_fault_of_ours_ends_its_connection_and_is_counted() -> None:
    edge = Edge(FailingExchange)
    edge.feed(get(target=b"/boom"))
    assert edge.ended
    assert [str(error) for error in edge.unhandled] == ["boom"]
    edge = Edge(FailingExchange)
    edge.feed(post(b"Content-Length: 1", body=b"x"))
    assert [str(error) for error in edge.unhandled] == ["data", "failed"]
    edge = Edge(FailingExchange)
    edge.feed(get())
    edge.server.pause_writing()
    assert edge.ended


def test_a_refusal_is_reported_and_says_little() -> None:
    edge = Edge()
    edge.feed(get(b"X-A: \0secret"))
    ((status, _, body),) = responses(edge.transport.written)
    assert (status, body) == (400, b"400 Bad Request\n")
    (error,) = edge.refused
    assert (error.status, error.flag) == (400, "DPE")
    assert edge.refused_clients == [(edge.server.client, "HTTP/1.1")]


def test_a_connection_too_many_is_cut_and_reported() -> None:
    edge = Edge(limits=Limits(max_connections=0))
    assert edge.transport.aborted and not edge.context.connections
    (error,) = edge.refused
    assert (error.status, error.flag) == (0, "LM")
    assert edge.refused_clients == [(edge.server.client, "")]
    assert edge.server.client.rpartition(b":")[0]


def test_one_empty_line_before_a_request_is_tolerated_and_no_more() -> None:
    edge = Edge()
    edge.feed_bytewise(b"\r\n" + get())
    edge.feed(b"\r\n" + get())
    assert len(responses(edge.transport.written)) == 2
    for edge in (Edge(), Edge()):
        edge.feed(b"\r\n\r\n" + get())
        assert responses(edge.transport.written)[0][0] == 400


def test_405_says_what_is_allowed() -> None:
    edge = Edge(AnsweringExchange)
    edge.feed(get(method=b"TRACE"))
    assert b"allow" in dict(responses(edge.transport.written)[0][1])
