"""Hostile rows that are a conversation or about time: 41, 43, 44, 46, slow clients."""

from __future__ import annotations

from edge.errors import DownstreamTimeout
from edge.exchange.seams import Downstream
from edge.head import RequestHead, ResponseHead
from tests.hostile.cases_h1 import get, post
from tests.hostile.fake_h1 import AnsweringExchange, Edge, FakeExchange, responses

UPGRADE = get(b"Connection: Upgrade", b"Upgrade: websocket")


class DenyingExchange(FakeExchange):
    """Answers 401 to the head, whatever follows."""

    def __init__(self, downstream: Downstream, head: RequestHead, end: bool) -> None:
        super().__init__(downstream, head, end)
        downstream.send_head(ResponseHead(401, [], 2), False)
        downstream.send_data(b"no", True)


def _answer(exchange: FakeExchange, status: int = 200) -> None:
    exchange.downstream.send_head(ResponseHead(status, [], 2), False)
    exchange.downstream.send_data(b"ok", True)


def test_case_41_a_denied_expectation_gets_no_100_and_is_closed() -> None:
    edge = Edge(DenyingExchange)
    written = edge.feed(post(b"Content-Length: 5", b"Expect: 100-continue"))
    assert b"100 Continue" not in written
    ((status, fields, _),) = responses(written)
    assert status == 401
    assert (b"connection", b"close") in fields
    assert edge.ended


def test_case_41_an_expectation_is_met_only_when_the_exchange_says_so() -> None:
    edge = Edge(FakeExchange)
    assert edge.feed(post(b"Content-Length: 5", b"Expect: 100-continue")) == b""
    edge.exchanges[0].downstream.send_informational(ResponseHead(100, []))
    assert edge.transport.written == b"HTTP/1.1 100 Continue\r\n\r\n"
    edge.feed(b"hello")
    _answer(edge.exchanges[0])
    assert responses(edge.transport.written)[0][0] == 200
    assert not edge.ended


def test_case_41_http_1_0_never_sees_a_100() -> None:
    edge = Edge(FakeExchange)
    edge.feed(get(b"Content-Length: 5", b"Expect: 100-continue", method=b"POST", version=b"HTTP/1.0"))
    assert not edge.exchanges[0].head.expect_continue
    edge.exchanges[0].downstream.send_informational(ResponseHead(100, []))
    assert edge.transport.written == b""


def test_case_43_bytes_after_an_upgrade_wait_for_the_101() -> None:
    edge = Edge(FakeExchange)
    edge.feed(UPGRADE + b"early")
    edge.feed(b" bird")
    (exchange,) = edge.exchanges
    assert exchange.head.upgrade == b"websocket"
    assert exchange.body == b""
    exchange.downstream.send_head(ResponseHead(101, [(b"upgrade", b"websocket")]), False)
    assert exchange.body == b"", "never inside the call"
    edge.turn()
    assert exchange.body == b"early bird"
    edge.feed(b"\x00\xffraw")
    assert exchange.body == b"early bird\x00\xffraw"
    exchange.downstream.send_data(b"back", False)
    assert edge.transport.written.endswith(b"\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nback")
    exchange.downstream.send_data(b"", True)
    assert edge.ended


def test_case_43_bytes_after_a_refused_upgrade_are_nobodys() -> None:
    edge = Edge(FakeExchange)
    edge.feed(UPGRADE + get(target=b"/smuggled"))
    _answer(edge.exchanges[0], 200)
    edge.turn()
    ((status, fields, _),) = responses(edge.transport.written)
    assert status == 200
    assert (b"connection", b"close") in fields
    assert len(edge.exchanges) == 1
    assert edge.ended


def test_case_43_a_flood_behind_an_upgrade_stops_the_reading() -> None:
    edge = Edge(FakeExchange)
    edge.feed(UPGRADE + b"x" * 70_000)
    assert not edge.transport.reading
    edge.exchanges[0].downstream.send_head(ResponseHead(101, [(b"upgrade", b"websocket")]), False)
    edge.turn()
    assert edge.transport.reading
    assert len(edge.exchanges[0].body) == 70_000


def test_a_101_nobody_asked_for_breaks_the_connection() -> None:
    edge = Edge(FakeExchange)
    edge.feed(get())
    edge.exchanges[0].downstream.send_head(ResponseHead(101, []), False)
    assert edge.transport.written == b""
    assert edge.ended


def test_case_44_a_short_unread_body_is_drained_and_the_next_request_served() -> None:
    edge = Edge(DenyingExchange)
    edge.feed(post(b"Content-Length: 60000", body=b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"))
    edge.feed(b"x" * (60_000 - 35) + get(target=b"/next"))
    assert [exchange.head.path for exchange in edge.exchanges] == [b"/", b"/next"]
    assert len(responses(edge.transport.written)) == 2
    assert not edge.ended


def test_case_44_a_short_unread_chunked_body_is_drained() -> None:
    edge = Edge(DenyingExchange)
    edge.feed(post(b"Transfer-Encoding: chunked", body=b"5\r\nhel"))
    edge.feed(b"lo\r\n0\r\nX-A: b\r\n\r\n" + get(target=b"/next"))
    assert [exchange.head.path for exchange in edge.exchanges] == [b"/", b"/next"]


def test_case_44_a_long_unread_body_costs_the_connection() -> None:
    edge = Edge(DenyingExchange)
    written = edge.feed(post(b"Content-Length: %d" % ((64 << 10) + 1)))
    assert (b"connection", b"close") in responses(written)[0][1]
    assert edge.transport.eof_written
    for _ in range(3):
        edge.feed(b"x" * 40_000)
    assert edge.transport.closed
    assert len(edge.exchanges) == 1


def test_case_44_an_endless_unread_chunked_body_costs_the_connection() -> None:
    edge = Edge(DenyingExchange)
    edge.feed(post(b"Transfer-Encoding: chunked"))
    for _ in range(4):
        edge.feed(b"4e20\r\n" + b"x" * 20_000 + b"\r\n")
    assert edge.ended
    edge.wait(1.2)
    assert edge.transport.closed


def test_case_46_bodies_of_answers_that_have_none_are_dropped() -> None:
    for method, status in ((b"HEAD", 200), (b"GET", 204), (b"GET", 304)):
        edge = Edge(FakeExchange)
        edge.feed(get(method=method))
        _answer(edge.exchanges[0], status)
        assert b"ok" not in edge.transport.written
        edge.feed(get(method=method))
        _answer(edge.exchanges[1], status)
        answers = responses(edge.transport.written, (method, method))
        assert [(code, body) for code, _, body in answers] == [(status, b"")] * 2


def test_a_slow_head_gets_408() -> None:
    edge = Edge()
    for byte in b"GET / HTTP/1.1\r\nHost: a\r\n":
        edge.feed(bytes((byte,)))
        edge.wait(0.6)
    ((status, fields, _),) = responses(edge.transport.written)
    assert status == 408
    assert (b"connection", b"close") in fields
    assert edge.exchanges == []


def test_a_connection_that_sends_nothing_is_closed_silently() -> None:
    edge = Edge()
    edge.wait(11.0)
    assert edge.transport.closed
    assert edge.transport.written == b""


def test_a_body_that_stops_gets_408_and_fails_the_exchange() -> None:
    edge = Edge()
    edge.feed(post(b"Content-Length: 5", body=b"he"))
    edge.wait(301.0)
    assert responses(edge.transport.written)[0][0] == 408
    assert isinstance(edge.exchanges[0].failed, DownstreamTimeout)


def test_a_body_that_trickles_stays_alive_and_one_held_back_by_us_too() -> None:
    edge = Edge()
    edge.feed(post(b"Content-Length: 500"))
    for _ in range(10):
        edge.wait(290.0)
        edge.feed(b"x")
    edge.server.pause_request()
    edge.wait(2000.0)
    assert not edge.ended
    edge.server.resume_request()
    edge.wait(310.0)
    assert edge.ended


def test_a_client_that_never_reads_is_cut() -> None:
    edge = Edge(FakeExchange)
    edge.feed(get())
    exchange = edge.exchanges[0]
    exchange.downstream.send_head(ResponseHead(200, []), False)
    edge.server.pause_writing()
    assert exchange.paused
    edge.wait(301.0)
    assert edge.transport.aborted
    assert isinstance(exchange.failed, DownstreamTimeout)


def test_a_refused_client_that_goes_on_sending_is_cut_in_time() -> None:
    edge = Edge(tls=True)
    edge.feed(b"bad\r\n\r\n")
    assert not edge.transport.closed
    edge.wait(1.2)
    assert edge.transport.closed


def test_an_answer_after_the_client_has_gone_goes_nowhere() -> None:
    edge = Edge(FakeExchange)
    edge.feed(get())
    edge.server.connection_lost(None)
    exchange = edge.exchanges[0]
    assert exchange.failed is not None and exchange.failed.status == 499
    _answer(exchange)
    assert edge.transport.written == b""
    assert edge.context.connections == set()


def test_a_burst_of_a_thousand_pipelined_requests_waits_its_turn() -> None:
    edge = Edge(FakeExchange)
    edge.feed(get(b"X-A: " + b"a" * 100) * 1000)
    assert not edge.transport.reading
    for count in range(1, 1001):
        assert len(edge.exchanges) == count, "one exchange at a time"
        _answer(edge.exchanges[-1])
        edge.turn()
    assert len(responses(edge.transport.written)) == 1000
    assert edge.transport.reading


def test_one_answering_inside_accept_does_not_recurse() -> None:
    edge = Edge(AnsweringExchange)
    edge.feed(get() * 5000)
    assert len(edge.exchanges) == 5000
    assert edge.unhandled == []
