"""Endpoints that fail are left alone, come back, and never all at once."""

from __future__ import annotations

from typing import Any

import pytest

from edge import model
from edge.errors import UpstreamTimeout
from edge.upstream.outliers import Outliers
from tests.unit.upstream.fakes import OK, Bench, get, post

BAD = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"
GATEWAY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"


class Watch:
    """Outliers of `total` endpoints on a clock of the test."""

    def __init__(self, total: int = 4, **fields: Any) -> None:
        self.bench = Bench()
        self.changes = 0
        self.outliers = Outliers(
            model.Outliers(**fields),
            self.bench.deadlines,
            self.bench.time.clock,
            lambda: total,
            self._changed,
        )

    def _changed(self) -> None:
        self.changes += 1

    def fail(self, index: int, times: int, status: int = 500) -> None:
        for _ in range(times):
            self.outliers.answered(index, status)


def test_errors_in_a_row_eject_and_a_good_answer_between_them_does_not() -> None:
    watch = Watch(consecutive_5xx=3)
    watch.fail(1, 2)
    watch.outliers.answered(1, 404)
    watch.fail(1, 2)
    assert watch.outliers.mask == 0
    watch.fail(1, 1)
    assert watch.outliers.mask == 0b10
    assert (watch.changes, watch.outliers.ejections) == (1, 1)


def test_gateway_errors_and_missing_answers_have_limits_of_their_own() -> None:
    watch = Watch(consecutive_5xx=0, consecutive_gateway=2, consecutive_local=3)
    watch.fail(0, 9, 500)
    assert watch.outliers.mask == 0
    watch.fail(0, 1, 502)
    watch.outliers.unanswered(0)
    assert watch.outliers.mask == 0b1
    watch = Watch(consecutive_5xx=0, consecutive_local=3)
    for _ in range(2):
        watch.outliers.unanswered(2)
    watch.fail(2, 1, 500)
    for _ in range(2):
        watch.outliers.unanswered(2)
    assert watch.outliers.mask == 0
    watch.outliers.unanswered(2)
    assert watch.outliers.mask == 0b100


def test_each_ejection_is_longer_than_the_one_before_until_good_times_shorten_it() -> None:
    watch = Watch(consecutive_5xx=1, base_ejection_s=10.0, max_ejection_s=25.0, interval_s=3.0)

    def ejected_for() -> float:
        began = watch.bench.time.now
        watch.fail(0, 1)
        while watch.outliers.mask:
            watch.bench.time.pass_by(0.5)
        return watch.bench.time.now - began

    assert [ejected_for() for _ in range(3)] == pytest.approx([10, 20, 25], abs=1.1)
    watch.bench.time.pass_by(6.5)
    assert ejected_for() == pytest.approx(20, abs=1.1)
    watch.bench.time.pass_by(100)
    assert ejected_for() == pytest.approx(10, abs=1.1)


def test_no_more_than_a_part_is_ejected_but_one_always_may_be() -> None:
    watch = Watch(total=4, consecutive_5xx=1, max_ejection_percent=50)
    for index in range(4):
        watch.fail(index, 1)
    assert watch.outliers.mask == 0b11
    watch = Watch(total=4, consecutive_5xx=1, max_ejection_percent=0)
    watch.fail(3, 1)
    watch.fail(2, 1)
    assert watch.outliers.mask == 0b1000


def test_an_endpoint_that_is_gone_leaves_nothing_behind() -> None:
    watch = Watch(consecutive_5xx=2)
    watch.fail(0, 2)
    watch.outliers.forget(0)
    assert watch.outliers.mask == 0
    watch.fail(0, 1)
    assert watch.outliers.mask == 0


def answer(bench: Bench, answers: dict[str, bytes], requests: int) -> list[str]:
    """Where requests went, each on a connection of its own, answered as its host does."""
    went = []
    for _ in range(requests):
        bench.send(get())
        dial = bench.dialer.dials[-1]
        went.append(dial.host)
        transport = dial.connect()
        dial.protocol.data_received(answers.get(dial.host, OK))
        if not transport.closing and not transport.aborted:
            dial.protocol.connection_lost(None)
    return went


def test_a_cluster_leaves_a_failing_endpoint_alone_and_tries_it_again_later() -> None:
    bench = Bench(endpoints=3, outliers=model.Outliers(consecutive_5xx=2, base_ejection_s=30.0))
    went = answer(bench, {"10.0.0.2": BAD}, 20)
    assert went.count("10.0.0.2") == 2
    assert bench.cluster.endpoints.states() == {"healthy": 2, "unhealthy": 0, "ejected": 1}
    bench.time.pass_by(31.0)
    assert answer(bench, {}, 3).count("10.0.0.2") == 1
    assert bench.cluster.endpoints.states()["ejected"] == 0


def test_in_a_panic_ejected_endpoints_are_used_too() -> None:
    bench = Bench(
        endpoints=2, outliers=model.Outliers(consecutive_5xx=1, max_ejection_percent=100), panic_percent=60
    )
    answer(bench, {"10.0.0.1": BAD}, 2)
    assert bench.cluster.endpoints.states()["ejected"] == 1
    assert bench.cluster.endpoints.panic
    assert set(answer(bench, {}, 4)) == {"10.0.0.1", "10.0.0.2"}


def test_refused_connections_eject() -> None:
    bench = Bench(endpoints=2, outliers=model.Outliers(consecutive_local=3, consecutive_5xx=0))
    for _ in range(6):
        request, _ = bench.send(get())
        if request.address.startswith("10.0.0.1:"):
            bench.dialer.dials[-1].failed("refused")
        bench.connect()
        bench.dialer.dials[-1].protocol.data_received(OK)
        bench.dialer.dials[-1].protocol.connection_lost(None)
    assert bench.cluster.endpoints.states()["ejected"] == 1


@pytest.mark.parametrize("kind", ["timeout", "cut"])
def test_tries_without_an_answer_count(kind: str) -> None:
    bench = Bench(endpoints=3, outliers=model.Outliers(consecutive_local=1))
    _, exchange = bench.send(post(), timeout_s=1.0)
    bench.connect()
    if kind == "timeout":
        bench.time.pass_by(2.0)
        assert exchange.calls == [("failed", UpstreamTimeout.__name__, 504)]
    else:
        bench.dialer.dials[-1].protocol.connection_lost(ConnectionResetError())
    assert bench.cluster.endpoints.states()["ejected"] == 1


def test_a_stale_connection_and_a_client_that_leaves_are_nobodys_fault() -> None:
    bench = Bench(endpoints=1, outliers=model.Outliers(consecutive_local=1), panic_percent=0)
    protocol, _ = bench.warm()
    bench.send(get())
    protocol.connection_lost(None)
    bench.connect()
    request, _ = bench.send(get())
    request.cancel()
    assert bench.cluster.endpoints.states()["ejected"] == 0
