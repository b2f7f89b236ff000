"""Tries of a rule's `retry`: after what, where, when, how often, and when never."""

from __future__ import annotations

from typing import Any

import pytest

from edge import model
from edge.head import Fields, RequestHead
from edge.upstream.budget import RetryBudget
from edge.upstream.retried import RetriedRequest
from edge.upstream.retry import CONDITIONS, Retry
from tests.unit.upstream.fakes import OK, OK_CALLS, Bench, Recorder, get, post

BUSY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy"
BUSY_CALLS = [("head", 503, False), ("data", b"busy", True)]


class Tries(Bench):
    """A cluster, and a rule with a `retry`."""

    def __init__(self, endpoints: int = 2, policy: dict[str, Any] | None = None, **fields: Any) -> None:
        super().__init__(endpoints, **fields)
        given = {"codes": [503], "conditions": list(CONDITIONS), "backoff_s": 0.1, "max_backoff_s": 1.0}
        self.retry = Retry(
            model.Retry(**{**given, **(policy or {})}), self.deadlines, self.time.clock, lambda: 0.0
        )

    def ask(
        self, head: RequestHead, end: bool = True, timeout_s: float = 0.0
    ) -> tuple[RetriedRequest, Recorder]:
        recorder = Recorder()
        return self.retry.dispatch(self.cluster, recorder, head, end, timeout_s), recorder

    def answer(self, data: bytes) -> bytes:
        """What the newest connection was sent; `data` is its answer."""
        dial = self.dialer.dials[-1]
        transport = dial.connect()
        dial.protocol.data_received(data)
        return transport.take()

    def pause_is_over(self) -> None:
        self.time.pass_by(0.3)


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"])
def test_after_a_named_status_the_next_try_is_made_at_another_endpoint(method: bytes) -> None:
    bench = Tries()
    request, exchange = bench.ask(get(method=method))
    bench.answer(BUSY if method != b"HEAD" else BUSY.removesuffix(b"busy"))
    assert exchange.calls == []
    bench.pause_is_over()
    assert [dial.host for dial in bench.dialer.dials] == ["10.0.0.1", "10.0.0.2"]
    assert bench.answer(OK if method != b"HEAD" else OK.removesuffix(b"hello")).startswith(method)
    assert exchange.calls[0][:2] == ("head", 200)
    assert request.attempts == 2
    assert [failure[:3] for failure in request.failures] == [("10.0.0.1:80", False, "503")]
    assert request.address == "10.0.0.2:80"
    assert bench.cluster.retrying == 0


def test_a_status_that_is_not_named_passes_at_once() -> None:
    bench = Tries(policy={"codes": [502]})
    _, exchange = bench.ask(get())
    bench.answer(BUSY)
    assert exchange.calls == BUSY_CALLS


def test_the_last_answer_passes_when_no_try_is_left() -> None:
    bench = Tries(policy={"attempts": 2})
    request, exchange = bench.ask(get())
    for _ in range(2):
        bench.answer(BUSY)
        assert exchange.calls == []
        bench.pause_is_over()
    if len(bench.dialer.dials) == 2:
        bench.dialer.dials[0].protocol.data_received(BUSY)
    else:
        bench.answer(BUSY)
    assert exchange.calls == BUSY_CALLS
    assert request.attempts == 3
    assert bench.cluster.retrying == 0


def test_with_one_endpoint_it_is_tried_again() -> None:
    bench = Tries(endpoints=1)
    _, exchange = bench.ask(get())
    bench.answer(BUSY)
    bench.pause_is_over()
    assert len(bench.dialer.dials) == 1
    bench.dialer.dials[0].protocol.data_received(OK)
    assert exchange.calls == OK_CALLS


def test_the_pause_doubles_to_its_longest_and_chance_adds_up_to_half() -> None:
    bench = Tries()
    assert [bench.retry.pause_s(tries, None) for tries in range(1, 7)] == pytest.approx(
        [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    )
    eager = Retry(
        model.Retry(backoff_s=0.1, max_backoff_s=1.0), bench.deadlines, bench.time.clock, lambda: 1.0
    )
    assert eager.pause_s(1, None) == pytest.approx(0.15)
    assert eager.pause_s(1, b"1") == 1.0


def test_nothing_is_sent_before_the_pause_is_over() -> None:
    bench = Tries(policy={"backoff_s": 0.5})
    bench.ask(get())
    bench.answer(BUSY)
    bench.time.pass_by(0.4)
    assert len(bench.dialer.dials) == 1
    bench.time.pass_by(0.3)
    assert len(bench.dialer.dials) == 2


@pytest.mark.parametrize(("asked", "again"), [(b"0", True), (b"1", True), (b"2", False), (b"soon", False)])
def test_an_endpoint_that_asks_for_little_time_gets_it(asked: bytes, again: bool) -> None:
    bench = Tries()
    _, exchange = bench.ask(get())
    bench.answer(BUSY.replace(b"content-length", b"retry-after: " + asked + b"\r\ncontent-length"))
    assert (exchange.calls == []) is again
    bench.time.pass_by(0.9)
    assert len(bench.dialer.dials) == (2 if asked == b"0" else 1)
    bench.time.pass_by(0.3)
    assert len(bench.dialer.dials) == (2 if again else 1)


# -- what is safe ------------------------------------------------------------------------------


def test_a_post_that_was_answered_or_cut_is_never_sent_twice() -> None:
    for failure in ("answer", "cut"):
        bench = Tries()
        request, exchange = bench.ask(post(3), end=False)
        request.send_data(b"abc", True)
        dial = bench.dialer.dials[0]
        dial.connect()
        if failure == "answer":
            dial.protocol.data_received(BUSY)
            assert exchange.calls == BUSY_CALLS
        else:
            dial.protocol.connection_lost(None)
            assert exchange.calls == [("failed", "UpstreamClosed", 502)]
        bench.pause_is_over()
        assert len(bench.dialer.dials) == 1


def test_a_post_that_reached_nobody_is_sent_again() -> None:
    bench = Tries(endpoints=1)
    request, exchange = bench.ask(post(3), end=False)
    request.send_data(b"abc", True)
    bench.dialer.dials[0].failed("refused")
    assert exchange.calls == []
    bench.pause_is_over()
    assert bench.answer(OK).endswith(b"\r\n\r\nabc")
    assert exchange.calls == OK_CALLS
    assert request.attempts == 2


def test_an_operator_may_allow_posts() -> None:
    bench = Tries(policy={"non_idempotent": True})
    request, exchange = bench.ask(post(6), end=False)
    request.send_data(b"abc", False)
    request.send_data(b"def", True)
    bench.answer(BUSY)
    bench.pause_is_over()
    assert bench.answer(OK).endswith(b"content-length: 6\r\n\r\nabcdef")
    assert exchange.calls == OK_CALLS


def test_a_body_with_trailers_is_sent_again_whole() -> None:
    bench = Tries()
    request, exchange = bench.ask(post(method=b"PUT"), end=False)
    request.send_data(b"abc", False)
    trailers: Fields = [(b"x-sum", b"1")]
    request.send_trailers(trailers)
    bench.answer(BUSY)
    bench.pause_is_over()
    assert bench.answer(OK).endswith(b"3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n")
    assert exchange.calls == OK_CALLS


def test_a_body_that_still_comes_goes_on_to_the_next_try() -> None:
    bench = Tries()
    request, exchange = bench.ask(post(9, b"PUT"), end=False)
    request.send_data(b"abc", False)
    first = bench.dialer.dials[0]
    transport = first.connect()
    first.protocol.data_received(BUSY)
    assert transport.aborted
    request.send_data(b"def", False)
    bench.pause_is_over()
    second = bench.dialer.dials[1].connect()
    request.send_data(b"ghi", True)
    assert second.take().endswith(b"\r\n\r\nabcdefghi")
    bench.dialer.dials[1].protocol.data_received(OK)
    assert exchange.calls == OK_CALLS


def test_a_body_too_large_to_keep_is_sent_once() -> None:
    bench = Tries()
    request, exchange = bench.ask(post(method=b"PUT"), end=False)
    bench.dialer.dials[0].connect()
    request.send_data(b"x" * 65536, False)
    request.send_data(b"x", True)
    bench.dialer.dials[0].protocol.data_received(BUSY)
    assert exchange.calls == BUSY_CALLS


def test_a_sender_is_paused_when_too_much_comes_between_two_tries() -> None:
    bench = Tries()
    request, exchange = bench.ask(post(method=b"PUT"), end=False)
    bench.answer(BUSY)
    request.send_data(b"x" * 65536, False)
    request.send_data(b"y", False)
    assert exchange.calls == [("pause",)]
    bench.pause_is_over()
    second = bench.dialer.dials[1].connect()
    assert exchange.calls[:2] == [("pause",), ("resume",)]
    assert second.take().count(b"x") == 65537  # and the one in the name
    request.send_data(b"z", True)
    bench.dialer.dials[1].protocol.data_received(BUSY)
    assert exchange.calls[-2:] == BUSY_CALLS


# -- failures without an answer -----------------------------------------------------------------


@pytest.mark.parametrize("condition", list(CONDITIONS))
def test_only_named_conditions_are_tried_again(condition: str) -> None:
    for named in (True, False):
        conditions = [condition] if named else [each for each in CONDITIONS if each != condition]
        bench = Tries(endpoints=1, policy={"conditions": conditions}, protocol="h1")
        _, exchange = bench.ask(get(), timeout_s=1.0)
        dial = bench.dialer.dials[0]
        if condition == "connect-failure":
            dial.failed("refused")
        elif condition == "reset":
            dial.connect()
            dial.protocol.connection_lost(ConnectionResetError())
        elif condition == "timeout":
            dial.connect()
            bench.time.pass_by(1.1)
        else:
            continue  # HTTP/2 only: tests/integration/test_failures.py
        bench.pause_is_over()
        assert len(bench.dialer.dials) == (2 if named else 1)
        assert (exchange.calls == []) is named


def test_a_response_that_has_begun_is_never_begun_again() -> None:
    bench = Tries()
    _, exchange = bench.ask(get())
    bench.answer(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello")
    bench.dialer.dials[0].protocol.connection_lost(None)
    bench.pause_is_over()
    assert exchange.calls[-1] == ("failed", "UpstreamClosed", 502)
    assert len(bench.dialer.dials) == 1


def test_an_early_hint_that_passed_forbids_another_try_and_a_100_does_not() -> None:
    for status, again in ((b"103 Early Hints", False), (b"100 Continue", True)):
        bench = Tries()
        _, exchange = bench.ask(get())
        bench.answer(b"HTTP/1.1 " + status + b"\r\n\r\n" + BUSY)
        assert (exchange.calls[1:] == BUSY_CALLS) is not again


@pytest.mark.parametrize(("status", "again"), [(b"14", True), (b"5", False)])
def test_grpc_statuses_of_answers_without_messages(status: bytes, again: bool) -> None:
    bench = Tries(policy={"codes": [], "grpc_statuses": [14], "non_idempotent": True})
    _, exchange = bench.ask(post(0))
    bench.answer(b"HTTP/1.1 200 OK\r\ngrpc-status: " + status + b"\r\ncontent-length: 0\r\n\r\n")
    assert (exchange.calls == []) is again


def test_a_tunnel_opens_after_a_try_that_failed() -> None:
    bench = Tries()
    head = get()
    head.upgrade = b"echo"
    request, exchange = bench.ask(head, end=False)
    bench.answer(BUSY)
    bench.pause_is_over()
    dial = bench.dialer.dials[1]
    transport = dial.connect()
    transport.take()
    dial.protocol.data_received(
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n"
    )
    request.send_data(b"ping", False)
    assert transport.take() == b"ping"
    dial.protocol.data_received(b"pong")
    request.send_data(b"", True)
    assert transport.eof
    assert exchange.calls == [("head", 101, False), ("data", b"pong", False)]


# -- how a try that is given up ends --------------------------------------------------------------


def test_the_connection_of_a_short_answer_that_nobody_wants_is_used_again() -> None:
    bench = Tries()
    bench.ask(get())
    first = bench.dialer.dials[0]
    transport = first.connect()
    first.protocol.data_received(b"HTTP/1.1 503 Busy\r\ncontent-length: 6\r\n\r\nbus")
    first.protocol.data_received(b"y!!")
    assert not transport.aborted
    assert bench.idle == 1


def test_the_connection_of_a_long_one_is_closed() -> None:
    bench = Tries()
    bench.ask(get())
    first = bench.dialer.dials[0]
    transport = first.connect()
    first.protocol.data_received(b"HTTP/1.1 503 Busy\r\ntransfer-encoding: chunked\r\n\r\n")
    for _ in range(9):
        if not transport.aborted:
            first.protocol.data_received(b"2000\r\n" + b"x" * 8192 + b"\r\n")
    assert transport.aborted


def test_cancelling_between_two_tries_ends_them() -> None:
    bench = Tries()
    request, exchange = bench.ask(get())
    bench.answer(BUSY)
    assert bench.cluster.retrying == 1
    request.cancel()
    request.cancel()
    bench.pause_is_over()
    assert len(bench.dialer.dials) == 1
    assert exchange.calls == []
    assert bench.cluster.retrying == 0


def test_cancelling_within_a_try_closes_its_connection() -> None:
    bench = Tries()
    request, exchange = bench.ask(get())
    bench.answer(BUSY)
    bench.pause_is_over()
    transport = bench.dialer.dials[1].connect()
    request.cancel()
    assert transport.aborted
    assert exchange.calls == []


def test_pausing_the_response_reaches_the_latest_try() -> None:
    bench = Tries()
    request, _ = bench.ask(get())
    bench.answer(BUSY)
    bench.pause_is_over()
    transport = bench.dialer.dials[1].connect()
    bench.dialer.dials[1].protocol.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n")
    request.pause_response()
    assert not transport.reading
    request.resume_response()
    assert transport.reading


def test_a_cluster_without_endpoints_is_not_asked_twice() -> None:
    bench = Tries(endpoints=0)
    request, exchange = bench.ask(get())
    assert exchange.calls == [("failed", "NoEndpoint", 503)]
    assert (request.attempts, request.address, request.failures) == (0, "", ())


# -- how many -------------------------------------------------------------------------------------


def test_a_budget_allows_a_part_of_the_requests() -> None:
    now = [100.0]
    budget = RetryBudget(20, 0, lambda: now[0])
    assert not budget.take()
    for _ in range(10):
        budget.count()
    assert [budget.take() for _ in range(4)] == [True, True, False, False]
    now[0] += 6.0
    assert not budget.take()
    for _ in range(5):
        budget.count()
    assert [budget.take() for _ in range(2)] == [True, False]
    now[0] += 20.0
    assert not budget.take()


def test_a_budget_allows_a_few_however_few_requests_there_are() -> None:
    now = [100.0]
    budget = RetryBudget(20, 1, lambda: now[0])
    assert sum(budget.take() for _ in range(50)) == 10
    now[0] += 11.0
    assert sum(budget.take() for _ in range(50)) == 10


def test_without_budget_the_answer_passes_and_is_counted() -> None:
    bench = Tries(retry_percent=0, min_retries_per_s=0)
    _, exchange = bench.ask(get())
    bench.answer(BUSY)
    assert exchange.calls == BUSY_CALLS
    assert bench.cluster.rejected == {"retry_budget": 1}


def test_only_so_many_requests_are_tried_again_at_a_time() -> None:
    bench = Tries(max_retries=1)
    bench.ask(get())
    bench.answer(BUSY)
    _, second = bench.ask(get())
    bench.answer(BUSY)
    assert second.calls == BUSY_CALLS
    assert bench.cluster.rejected == {"max_retries": 1}
