"""Clients that send little at a time, stop, or keep what costs memory: each must cost little."""

from __future__ import annotations

import sys

import pytest

from edge.codec.h1 import intake
from edge.errors import DownstreamTimeout
from edge.head import REPEAT_BYTES, ResponseHead
from edge.model import Limits
from tests.hostile.cases_h1 import chunked, get, post
from tests.hostile.fake_h1 import Edge, FakeExchange


def test_a_head_byte_by_byte_has_its_request_line_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long line of escapes costs milliseconds to judge: once, not once a byte."""
    judged = []
    judge = intake.parse_request_line

    def counted(line: bytes, limits: Limits) -> object:
        judged.append(line)
        return judge(line, limits)

    monkeypatch.setattr(intake, "parse_request_line", counted)
    edge = Edge()
    edge.feed_bytewise(get(b"x-a: " + b"b" * 500, target=b"/a%41" * 100))
    assert len(edge.exchanges) == 1
    assert len(judged) <= 4


def test_a_bad_request_line_is_refused_as_soon_as_it_ends() -> None:
    edge = Edge()
    edge.feed_bytewise(b"GET /%zz HTTP/1.1\r\n")
    assert edge.transport.written.startswith(b"HTTP/1.1 400 ")


def test_a_connection_keeps_no_large_head() -> None:
    edge = Edge()
    edge.feed(get(b"cookie: " + b"c" * 50_000, target=b"/" + b"a" * 10_000))
    assert len(edge.exchanges) == 1
    repeat = edge.server._repeat
    kept = sys.getsizeof(repeat.tail) + sys.getsizeof(repeat.line)
    if repeat.known is not None:
        kept += sum(sys.getsizeof(name) + sys.getsizeof(value) for name, value in repeat.known.fields)
    assert kept < 4 * REPEAT_BYTES
    edge.feed(get(b"cookie: d", target=b"/b"))
    assert (edge.exchanges[1].head.path, edge.exchanges[1].head.fields) == (b"/b", [(b"cookie", b"d")])


def _tunnel(limits: Limits) -> Edge:
    edge = Edge(FakeExchange, limits)
    edge.feed(get(b"connection: upgrade", b"upgrade: websocket"))
    edge.exchanges[0].downstream.send_head(ResponseHead(101, [(b"upgrade", b"websocket")]), False)
    return edge


def test_a_tunnel_whose_client_closed_its_half_does_not_stay_for_ever() -> None:
    edge = _tunnel(Limits(body_idle_timeout_s=10.0))
    assert edge.server.eof_received() is True
    assert edge.exchanges[0].ended
    for _ in range(5):
        edge.wait(9.0)
        edge.exchanges[0].downstream.send_data(b"more", False)
    assert not edge.ended
    edge.wait(10.2)
    assert isinstance(edge.exchanges[0].failed, DownstreamTimeout)
    assert edge.transport.aborted


def test_a_tunnel_in_which_nothing_moves_ends_with_the_idle_timeout() -> None:
    edge = _tunnel(Limits(idle_timeout_s=100.0, body_idle_timeout_s=10.0))
    for _ in range(3):
        edge.wait(90.0)
        edge.feed(b"ping")
        edge.wait(90.0)
        edge.exchanges[0].downstream.send_data(b"pong", False)
    assert not edge.ended
    edge.wait(100.2)
    assert isinstance(edge.exchanges[0].failed, DownstreamTimeout)
    assert edge.transport.aborted


def test_an_answer_that_does_not_come_does_not_end_a_connection_whose_client_is_there() -> None:
    edge = Edge(FakeExchange, Limits(idle_timeout_s=10.0, body_idle_timeout_s=10.0))
    edge.feed(post(b"content-length: 2", body=b"ok"))
    edge.wait(100.0)
    assert edge.exchanges[0].failed is None
    assert not edge.ended


def test_a_last_answer_that_is_not_read_does_not_keep_its_connection() -> None:
    """Too small to fill the buffer, so nobody was told that it does not leave."""
    edge = Edge(limits=Limits(idle_timeout_s=3600.0, body_idle_timeout_s=10.0))
    edge.feed(get())
    edge.wait(60.0)
    edge.feed(get(b"connection: close"))
    assert edge.transport.closed
    edge.wait(10.2)
    assert edge.transport.aborted


def test_the_rest_of_an_unread_body_is_no_reason_to_cut_the_answer_off() -> None:
    """A close with bytes unread is a RST, which takes the answer from a client that still sends."""
    edge = Edge(FakeExchange)
    edge.feed(chunked(b"5\r\nhello\r\n"))
    edge.exchanges[0].downstream.send_head(ResponseHead(413, [], 0), True)
    block = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    for _ in range(3):
        edge.feed(block)
    assert edge.transport.eof_written
    assert not edge.transport.closed
    edge.wait(1.2)
    assert edge.transport.aborted
