"""Callouts of filters: one answer each, never early, always bounded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edge.head import Fields, RequestHead, ResponseHead
from edge.upstream.callout import RESPONSE_MAX_BYTES, Callouts
from tests.unit.upstream.fakes import OK, Bench, get

Answer = tuple[int | None, bytes, Fields]


class Desk:
    """Callouts to one fake cluster, and the answers that came."""

    def __init__(self, **fields: Any) -> None:
        self.bench = Bench(**fields)
        self.later: list[Callable[[], None]] = []
        self.answers: list[Answer] = []
        self.callouts = Callouts(
            {"shop": self.bench.cluster}, self.bench.deadlines, self.bench.time.clock, self.later.append
        )

    def start(
        self,
        body: bytes = b"",
        trailers: Fields | None = None,
        timeout_s: float = 1.0,
        head: RequestHead | None = None,
    ) -> int:
        return self.callouts.start("shop", head or get(), body, trailers or [], timeout_s, self.done)

    def done(self, head: ResponseHead | None, body: bytes, trailers: Fields) -> None:
        self.answers.append((head.status if head else None, body, trailers))

    def receive(self, data: bytes) -> None:
        self.bench.dialer.dials[-1].protocol.data_received(data)


FAILED: Answer = (None, b"", [])


def test_a_callout_gets_head_body_and_trailers_once() -> None:
    desk = Desk()
    assert desk.start(b"question") == 1
    assert desk.bench.connect().take().endswith(b"content-length: 8\r\n\r\nquestion")
    desk.receive(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n")
    assert desk.answers == [(200, b"hello", [(b"x-sum", b"1")])]
    assert len(desk.callouts) == 0
    desk.bench.time.pass_by(5)
    assert len(desk.answers) == 1


def test_a_callout_with_trailers_is_chunked_and_one_without_body_has_none() -> None:
    desk = Desk()
    desk.start(b"q", [(b"x-sum", b"1")])
    assert desk.bench.connect().take().endswith(b"1\r\nq\r\n0\r\nx-sum: 1\r\n\r\n")
    desk.start()
    head = desk.bench.connect().take()
    assert b"chunked" not in head and b"content-length" not in head


def test_an_unknown_cluster_is_told_at_once() -> None:
    desk = Desk()
    assert desk.callouts.start("nowhere", get(), b"", [], 1.0, desk.done) == 0
    assert desk.answers == []


def test_a_failure_inside_start_is_told_only_after_start() -> None:
    desk = Desk(endpoints=0)
    assert desk.start() == 1
    assert desk.answers == []
    desk.later.pop()()
    assert desk.answers == [FAILED]
    assert len(desk.callouts) == 0


def test_a_callout_cancelled_before_its_failure_was_told_hears_nothing() -> None:
    desk = Desk(endpoints=0)
    desk.callouts.cancel(desk.start())
    desk.later.pop()()
    assert desk.answers == []


def test_the_timeout_covers_the_whole_callout_and_closes_its_connection() -> None:
    desk = Desk()
    desk.start(timeout_s=1.0)
    transport = desk.bench.connect()
    desk.receive(OK[:-2])
    desk.bench.time.pass_by(0.95)
    assert desk.answers == []
    desk.bench.time.pass_by(0.2)
    assert desk.answers == [FAILED]
    assert transport.aborted
    assert desk.bench.open == 0


def test_a_response_over_the_limit_fails_and_its_connection_is_closed() -> None:
    desk = Desk()
    desk.start()
    transport = desk.bench.connect()
    desk.receive(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * RESPONSE_MAX_BYTES)
    assert desk.answers == []
    desk.receive(b"x")
    assert desk.answers == [FAILED]
    assert transport.aborted
    assert len(desk.callouts) == 0


@pytest.mark.parametrize("data", [b"nonsense\r\n\r\n", OK[:-1]])
def test_a_broken_response_fails(data: bytes) -> None:
    desk = Desk()
    desk.start()
    desk.bench.connect()
    desk.receive(data)
    desk.bench.dialer.dials[-1].protocol.connection_lost(None)
    assert desk.answers == [FAILED]


def test_cancel_closes_and_nothing_is_told() -> None:
    desk = Desk()
    token = desk.start()
    transport = desk.bench.connect()
    desk.callouts.cancel(token)
    desk.callouts.cancel(token)
    assert transport.aborted
    desk.bench.time.pass_by(5)
    assert desk.answers == []


def test_close_cancels_all_and_tokens_are_never_used_twice() -> None:
    desk = Desk()
    assert [desk.start(), desk.start()] == [1, 2]
    desk.callouts.close()
    assert len(desk.callouts) == 0
    assert all(dial.given_up for dial in desk.bench.dialer.dials)
    assert desk.start() == 3
