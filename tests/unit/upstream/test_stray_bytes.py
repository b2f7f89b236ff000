"""Bytes on a reused connection that belong to no answer: an upstream that gives HEAD a body, late."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest

from edge.outgoing import Outgoing, _Together
from tests.unit.upstream.fakes import OK, OK_CALLS, Bench, FakeTransport, get, post

NO_BODY = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"
"""As an answer to HEAD it is whole."""


class Line:
    """A bench with one connection on a real socket that has answered a HEAD; `peer` is its other end."""

    def __init__(self, **fields: Any) -> None:
        self.bench = Bench(**fields)
        ours, self.peer = socket.socketpair()
        self.bench.send(get(method=b"HEAD"))
        self.transport = self.bench.connect()
        self.transport.socket = ours
        self.transport.take()
        self.protocol = self.bench.dialer.dials[0].protocol

    def answer(self) -> None:
        self.protocol.data_received(NO_BODY)

    def fresh(self) -> FakeTransport:
        """Connect the second dial."""
        assert len(self.bench.dialer.dials) == 2
        return self.bench.connect(1)

    def close(self) -> None:
        self.transport.socket.close()
        self.peer.close()


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    made.answer()
    yield made
    made.close()


@pytest.mark.parametrize("stray", [b"hello", b"h", b"hello\r\n\r\n", b"\r\n" + OK, b"HTTP/2 200\r\n"])
def test_a_request_that_gets_the_rest_of_an_earlier_answer_is_sent_again(line: Line, stray: bytes) -> None:
    request, exchange = line.bench.send(get())
    line.protocol.data_received(stray)
    assert line.transport.aborted
    assert exchange.calls == []
    assert line.fresh().take().startswith(b"GET / ")
    assert [failure[1:3] for failure in request.failures] == [(True, "StrayBytes")]
    line.bench.dialer.dials[1].protocol.data_received(OK)
    assert exchange.calls == OK_CALLS


def test_it_is_sent_again_once_and_what_a_new_connection_says_is_its_answer(line: Line) -> None:
    _, exchange = line.bench.send(get())
    line.protocol.data_received(b"hello")
    line.fresh()
    line.bench.dialer.dials[1].protocol.data_received(b"hello")
    assert exchange.calls == [("failed", "BadResponse", 502)]
    assert len(line.bench.dialer.dials) == 2


@pytest.mark.parametrize(
    ("method", "body", "stray", "error"),
    [
        (b"POST", b"", [b"hello"], "StrayBytes"),
        (b"PUT", b"x", [b"hello"], "StrayBytes"),
        (b"GET", b"", [b"H", b"ello"], "StrayBytes"),
        (b"GET", b"", [b"HTTP/1.1 103 Early Hints\r\n\r\n", b"hello"], "StrayBytes"),
        (b"GET", b"", [b"HTTP/1.1 2 OK\r\n\r\n"], "BadResponse"),
    ],
    ids=["POST", "a body byte was sent", "it began well", "a 1xx came", "a bad answer, but one"],
)
def test_what_may_have_been_done_is_not_sent_again(
    line: Line, method: bytes, body: bytes, stray: list[bytes], error: str
) -> None:
    request, exchange = line.bench.send(post(method=method), end=not body)
    request.send_data(body, False)
    for piece in stray:
        line.protocol.data_received(piece)
    assert exchange.calls[-1] == ("failed", error, 502)
    assert len(line.bench.dialer.dials) == 1


@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest.mark.parametrize("gone", [False, True], ids=["bytes", "end of file"])
def test_nothing_is_sent_where_unread_bytes_wait_behind_an_answer_to_head(
    line: Line, method: bytes, gone: bool
) -> None:
    """The loop has not told of them yet; a POST is safe as well, for nothing of it was sent."""
    if gone:
        line.peer.close()
    else:
        line.peer.send(OK)
    request, exchange = line.bench.send(post(3, method), end=False)
    request.send_data(b"abc", True)
    assert line.transport.take() == b""
    assert line.transport.aborted
    assert (line.bench.open, line.bench.idle) == (1, 0)
    assert line.fresh().take().endswith(b"\r\ncontent-length: 3\r\n\r\nabc")
    line.bench.dialer.dials[1].protocol.data_received(OK)
    assert exchange.calls == OK_CALLS
    assert request.attempts == 2


def test_without_such_bytes_the_connection_is_used_again(line: Line) -> None:
    for _ in range(3):
        _, exchange = line.bench.send(get(method=b"HEAD"))
        line.answer()
        assert exchange.calls == [("head", 200, True)]
    assert (len(line.bench.dialer.dials), line.bench.idle) == (1, 1)


def test_a_body_held_while_waiting_for_such_a_connection_is_not_lost() -> None:
    line = Line(max_connections=1)
    request, exchange = line.bench.send(post(), end=False)
    request.send_data(b"abc", False)
    request.send_trailers([(b"x-sum", b"3")])
    line.peer.send(b"hello")
    line.answer()
    assert line.fresh().take().endswith(b"\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 3\r\n\r\n")
    line.bench.dialer.dials[1].protocol.data_received(OK)
    assert exchange.calls == OK_CALLS
    line.close()


def test_a_request_given_up_before_it_left_does_not_use_up_the_doubt(line: Line) -> None:
    """On a transport whose writes leave at the end of a turn, as those of the loop do."""
    line.protocol._transport = Outgoing(line.transport, _Together(Mock()))
    line.bench.send(get(b"/given-up"))[0].cancel()
    assert (line.bench.idle, line.transport.aborted) == (1, False)
    line.peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret")
    _, exchange = line.bench.send(get(b"/next"))
    assert line.transport.aborted
    assert line.fresh().take().startswith(b"GET /next ")
    line.bench.dialer.dials[1].protocol.data_received(OK)
    assert exchange.calls == OK_CALLS
