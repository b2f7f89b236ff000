"""A drain in two steps, and an end that lets the client read all it was sent."""

from __future__ import annotations

import pytest

from edge.head import ResponseHead
from edge.model import Limits
from tests.hostile.fake_h1 import FakeExchange
from tests.hostile.fake_h2 import H2Edge, frame, rst, window


def _drained(tls: bool = True, unsent: int = 0, limits: Limits | None = None) -> H2Edge:
    """It has named its last stream and written the last answer; `unsent` bytes of that are unread."""
    edge = H2Edge(FakeExchange, limits, tls)
    edge.send(edge.head(1))
    edge.context.drain()
    edge.settle()
    ping = next(one for one in edge.frames if one.type == 6)
    edge.send(frame(6, ping.opaque_data, 0, 1))
    assert [last for last, _ in edge.goaways] == [(1 << 31) - 1, 1]
    edge.transport.unsent = unsent
    edge.exchanges[0].downstream.send_whole(ResponseHead(200, [], 2), b"ok")
    edge.settle()
    assert edge.status(1) == 200
    return edge


def test_a_drain_announces_then_names_the_last_stream_then_closes() -> None:
    edge = H2Edge(FakeExchange)
    edge.send(edge.head(1))
    edge.context.drain()
    edge.settle()
    assert edge.goaways == [((1 << 31) - 1, 0)]
    ping = next(one for one in edge.frames if one.type == 6)
    edge.send(edge.head(3))
    edge.send(frame(6, ping.opaque_data, 0, 1))
    assert edge.goaways[1:] == [(3, 0)]
    for exchange in edge.exchanges:
        assert not edge.transport.closed
        exchange.downstream.send_whole(ResponseHead(200, [], 2), b"ok")
        edge.settle()
    assert (edge.status(1), edge.status(3)) == (200, 200)
    edge.wait(1.1)
    assert edge.transport.closed


def test_a_drain_does_not_wait_for_ever_for_a_ping() -> None:
    edge = H2Edge()
    edge.context.drain()
    edge.settle()
    edge.wait(0.9)
    assert edge.goaways == [((1 << 31) - 1, 0)]
    edge.wait(0.2)
    assert edge.goaways[1:] == [(0, 0)]
    edge.wait(1.1)
    assert edge.transport.closed


def test_a_connection_that_comes_during_a_drain_is_told_to_go_after_its_first_requests() -> None:
    edge = H2Edge(draining=True)
    edge.send(edge.head(1))
    assert (edge.status(1), edge.goaways) == (200, [])
    edge.wait(1.1)
    assert edge.goaways == [((1 << 31) - 1, 0)]
    edge.wait(1.1)
    assert edge.goaways[1:] == [(1, 0)]
    edge.wait(1.1)
    assert edge.transport.closed


def test_a_connection_that_comes_during_a_drain_and_asks_nothing_is_closed_with_a_goaway() -> None:
    edge = H2Edge(draining=True)
    edge.wait(1.1)
    ping = next(one for one in edge.frames if one.type == 6)
    edge.send(frame(6, ping.opaque_data, 0, 1))
    assert edge.goaways == [((1 << 31) - 1, 0), (0, 0)]
    edge.wait(1.1)
    assert edge.transport.closed


def test_after_the_last_answer_a_client_may_say_more_and_is_left_alone() -> None:
    edge = _drained()
    assert not edge.transport.closed
    edge.send(window(0, 1000), rst(1))
    edge.wait(0.9)
    assert not edge.transport.closed
    edge.wait(0.2)
    assert (edge.transport.closed, edge.transport.aborted) == (True, False)


def test_where_tcp_can_say_so_the_end_is_told_at_once() -> None:
    edge = _drained(tls=False)
    assert (edge.transport.eof_written, edge.transport.closed) == (True, False)
    edge.wait(1.1)
    assert (edge.transport.closed, edge.transport.aborted) == (True, False)


@pytest.mark.parametrize("limits", [Limits(), Limits(min_rate_bytes_s=0)], ids=["a rate", "none"])
def test_a_client_that_reads_its_last_answer_slowly_gets_it_whole(limits: Limits) -> None:
    edge = _drained(unsent=100_000, limits=limits)
    for _ in range(10):
        edge.wait(2.0)
        assert not edge.transport.closed
        edge.transport.unsent -= 10_000
    edge.wait(1.1)
    assert (edge.transport.closed, edge.transport.aborted) == (True, False)


@pytest.mark.parametrize("limits", [Limits(), Limits(min_rate_bytes_s=0)], ids=["a rate", "none"])
def test_one_that_does_not_read_it_is_cut_in_time(limits: Limits) -> None:
    edge = _drained(unsent=100_000, limits=limits)
    edge.wait(5.0)
    assert not edge.transport.closed
    edge.h2.resume_writing()
    edge.wait(limits.body_idle_timeout_s + limits.rate_window_s)
    assert (edge.transport.closed, edge.transport.aborted) == (True, True)


def test_one_that_goes_on_reading_has_no_end_of_time_where_no_rate_is_asked_for() -> None:
    """Each look that finds less unread than the last gives it the whole of the timeout again."""
    edge = _drained(unsent=100_000, limits=Limits(min_rate_bytes_s=0))
    for _ in range(9):
        edge.wait(edge.context.limits.body_idle_timeout_s - 2.0)
        assert not edge.transport.closed
        edge.transport.unsent -= 10_000
        edge.wait(1.1)
    edge.wait(edge.context.limits.body_idle_timeout_s + 1.1)
    assert (edge.transport.closed, edge.transport.aborted) == (True, True)


@pytest.mark.parametrize("flood", [True, False], ids=["a flood", "a drain"])
def test_the_end_of_an_idle_connection_lingers_as_long_as_any(flood: bool) -> None:
    edge = H2Edge(FakeExchange)
    edge.wait(edge.context.limits.idle_timeout_s - 0.1)
    if flood:
        edge.send(frame(6, b"12345678") * 1_001)
        edge.settle()
    else:
        edge.context.drain()
        edge.settle()
        ping = next(one for one in edge.frames if one.type == 6)
        edge.send(frame(6, ping.opaque_data, 0, 1))
    assert edge.goaways[-1] == (0, 11 if flood else 0)
    edge.wait(0.9)
    assert not edge.transport.closed
    edge.wait(0.2)
    assert (edge.transport.closed, edge.transport.aborted) == (True, flood)
