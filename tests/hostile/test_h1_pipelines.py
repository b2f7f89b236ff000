"""Clients that pipeline without reading, and long pipelines beside other clients."""

from __future__ import annotations

import pytest

from edge.codec.h1.intake import HEADS_PER_TURN, HELD_BYTES
from edge.errors import DownstreamClosed
from edge.exchange.seams import Downstream
from edge.head import RequestHead, ResponseHead
from edge.model import Limits
from tests.hostile.cases_h1 import chunked, get, post
from tests.hostile.fake_h1 import AnsweringExchange, Edge, FakeExchange, responses


class FullBuffer(AnsweringExchange):
    """Answers at once with so much that the transport's buffer passes its high mark."""

    edge: Edge

    def answer(self) -> None:
        super().answer()
        self.edge.server.pause_writing()


def _unread(limits: Limits | None = None) -> Edge:
    """A client that has one answer it does not read."""

    def make(downstream: Downstream, head: RequestHead, end: bool) -> FakeExchange:
        FullBuffer.edge = edge
        return FullBuffer(downstream, head, end)

    edge = Edge(make, limits)
    return edge


def test_no_request_begins_while_the_answers_before_it_are_not_read() -> None:
    edge = _unread()
    for _ in range(50):
        edge.feed(get() * 5)
    assert len(edge.exchanges) == 1
    edge.server.resume_writing()
    edge.turn()
    assert len(edge.exchanges) == 2, "one more filled the buffer again"
    assert edge.unhandled == []


def test_a_client_that_pipelines_and_never_reads_is_not_read_either() -> None:
    edge = _unread()
    sent = 0
    while edge.transport.reading:
        edge.feed(get() * 100)
        sent += len(get()) * 100
        assert sent < 4 * HELD_BYTES
    edge.server.resume_writing()
    edge.turn()
    assert len(edge.exchanges) == 2


def test_a_client_that_pipelines_and_never_reads_is_cut() -> None:
    edge = _unread(Limits(body_idle_timeout_s=10.0))
    edge.feed(get() * 3)
    edge.wait(9.0)
    assert not edge.ended
    edge.wait(1.2)
    assert edge.transport.aborted
    assert len(edge.exchanges) == 1


def test_what_waits_behind_unread_answers_is_served_after_half_a_close() -> None:
    edge = _unread()
    edge.feed(get() * 3)
    assert edge.server.eof_received() is True
    edge.turn()
    for _ in range(2):
        assert not edge.transport.closed
        edge.server.resume_writing()
        edge.turn()
    assert len(responses(edge.transport.written)) == 3
    assert edge.transport.closed


def test_a_long_pipeline_lets_others_run_between_its_requests() -> None:
    edge = Edge()
    edge.server.data_received(get() * (3 * HEADS_PER_TURN))
    assert len(edge.exchanges) == HEADS_PER_TURN
    edge.turn()
    assert len(edge.exchanges) == 3 * HEADS_PER_TURN


def test_a_long_pipeline_before_half_a_close_is_answered_whole() -> None:
    edge = Edge()
    edge.server.data_received(get() * (2 * HEADS_PER_TURN + 1))
    assert edge.server.eof_received() is True
    edge.turn()
    assert len(responses(edge.transport.written)) == 2 * HEADS_PER_TURN + 1
    assert edge.transport.closed


def test_an_answer_over_many_turns_does_not_lose_what_waits_behind_it() -> None:
    edge = Edge(FakeExchange)
    edge.feed(get() * 2)
    edge.server.pause_writing()
    edge.exchanges[0].downstream.send_head(ResponseHead(200, [], 2), False)
    edge.exchanges[0].downstream.send_data(b"ok", True)
    edge.turn()
    assert len(edge.exchanges) == 1
    edge.server.resume_writing()
    edge.turn()
    assert len(edge.exchanges) == 2


@pytest.mark.parametrize(
    "unfinished",
    [
        post(b"content-length: 5", body=b"hal"),
        chunked(b"5\r\nhal"),
        get(b"connection: upgrade", b"upgrade: websocket"),
    ],
)
def test_a_request_that_half_a_close_cut_short_ends_with_it(unfinished: bytes) -> None:
    """It waits behind another when the end comes: nothing of it can follow."""
    edge = Edge(FakeExchange)
    edge.feed(get() + unfinished)
    assert edge.server.eof_received() is True
    edge.exchanges[0].downstream.send_head(ResponseHead(204, []), True)
    edge.turn()
    assert len(responses(edge.transport.written)) == 1
    assert edge.transport.closed
    edge.server.connection_lost(None)
    assert len(edge.exchanges) == 2
    assert isinstance(edge.exchanges[1].failed, DownstreamClosed)
