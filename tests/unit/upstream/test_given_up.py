"""Requests that are given up: one of which nothing has left costs no connection, any other does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edge.outgoing import SMALL_BYTES, Outgoing, _Together
from edge.upstream.request import PooledRequest
from tests.unit.upstream.fakes import OK, OK_CALLS, Bench, FakeTransport, get, post


class Line:
    """A bench with one idle connection, whose writes leave when the turn ends."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.soon: list[Callable[[], None]] = []
        together = _Together(self)  # type: ignore[arg-type]
        self.bench.send(get())
        self.protocol: Any = self.bench.dialer.dials[-1].protocol
        self.transport = FakeTransport()
        self.protocol.connection_made(Outgoing(self.transport, together))
        self.end_turn()
        self.protocol.data_received(OK)
        self.transport.take()

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def end_turn(self) -> None:
        soon, self.soon[:] = list(self.soon), []
        for callback in soon:
            callback()

    def is_as_it_was(self) -> bool:
        return (self.bench.open, self.bench.idle, self.transport.aborted) == (1, 1, False)


def _whole(bench: Bench) -> PooledRequest:
    return bench.send(get())[0]


def _begun(bench: Bench) -> PooledRequest:
    request, _ = bench.send(post(10), False)
    request.send_data(b"hello", False)
    return request


def _chunked(bench: Bench) -> PooledRequest:
    request, _ = bench.send(post(), False)
    request.send_data(b"hello", True)
    return request


@pytest.mark.parametrize("ask", [_whole, _begun, _chunked])
def test_a_request_that_has_not_left_keeps_its_connection_for_the_next(
    ask: Callable[[Bench], PooledRequest],
) -> None:
    line = Line()
    ask(line.bench).cancel()
    assert line.is_as_it_was()
    line.end_turn()
    assert line.transport.take() == b""
    _, exchange = line.bench.send(get(b"/next"))
    line.end_turn()
    assert line.transport.take().startswith(b"GET /next HTTP/1.1\r\n")
    line.protocol.data_received(OK)
    assert exchange.calls == OK_CALLS
    assert line.is_as_it_was()
    assert len(line.bench.dialer.dials) == 1


def test_in_the_same_turn_too() -> None:
    line = Line()
    _begun(line.bench).cancel()
    _, exchange = line.bench.send(get(b"/next"))
    line.end_turn()
    assert line.transport.take().startswith(b"GET /next HTTP/1.1\r\n")
    line.protocol.data_received(OK)
    assert exchange.calls == OK_CALLS


@pytest.mark.parametrize("ask", [_whole, _begun, _chunked])
def test_a_request_that_has_left_costs_its_connection(ask: Callable[[Bench], PooledRequest]) -> None:
    line = Line()
    request = ask(line.bench)
    line.end_turn()
    request.cancel()
    assert (line.bench.open, line.transport.aborted) == (0, True)


def test_so_does_one_of_which_a_part_has_left() -> None:
    line = Line()
    request, _ = line.bench.send(post(SMALL_BYTES + 10), False)
    request.send_data(b"x" * (SMALL_BYTES + 1), False)
    request.send_data(b"y" * 9, True)
    request.cancel()
    assert (line.bench.open, line.transport.aborted) == (0, True)


def test_the_end_of_the_request_before_is_never_taken_back() -> None:
    line = Line()
    first, exchange = line.bench.send(post(5), False)
    line.end_turn()
    line.transport.take()
    first.send_data(b"hello", True)
    line.protocol.data_received(OK)
    assert exchange.calls == OK_CALLS
    line.bench.send(get())[0].cancel()
    line.end_turn()
    assert (line.bench.open, line.transport.aborted, line.transport.take()) == (0, True, b"")


def test_what_comes_unasked_on_such_a_connection_still_closes_it() -> None:
    line = Line()
    _whole(line.bench).cancel()
    line.protocol.data_received(OK)
    assert (line.bench.open, line.transport.aborted) == (0, True)


def test_an_answer_under_way_is_no_reason_to_keep_it() -> None:
    line = Line()
    request = _whole(line.bench)
    line.protocol.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe")
    request.cancel()
    assert (line.bench.open, line.transport.aborted) == (0, True)


@pytest.mark.parametrize("come", [b"HTTP/1.1 200", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
def test_half_a_head_of_an_answer_neither(come: bytes) -> None:
    line = Line()
    request = _whole(line.bench)
    line.protocol.data_received(come)
    request.cancel()
    assert (line.bench.open, line.transport.aborted) == (0, True)


def test_a_connection_that_is_being_made_is_given_up() -> None:
    bench = Bench()
    request, _ = bench.send(get())
    request.cancel()
    assert (bench.open, bench.dialer.dials[0].given_up) == (0, True)
    bench.dialer.dials[0].protocol.connection_made(transport := FakeTransport())
    assert transport.aborted


def test_who_waits_for_a_connection_gets_one_that_was_kept() -> None:
    line = Line()
    request = _whole(line.bench)
    request.cancel()
    asked = line.bench.send(get(b"/waiting"))[0]
    assert asked.reused
    line.end_turn()
    assert line.transport.take().startswith(b"GET /waiting ")
