"""Exchanges that ended alike count in one place, and those that did not in another."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from edge.exchange.state import ExchangeState
from edge.telemetry.catalogue import BUCKETS_S, CATALOGUE
from edge.telemetry.metrics import Registry, Sample, ServerMetrics
from edge.telemetry.spans import RouteInfo
from edge.worker.outcomes import OUTCOMES, Outcomes, RuleReport

ENDED: dict[str, Any] = {
    "status": 200,
    "reply_source": "upstream",
    "reply_filter": "",
    "flag": "",
    "response": object(),
    "head": SimpleNamespace(protocol="HTTP/2"),
    "cluster_name": "shop",
    "upstream": SimpleNamespace(address="127.0.0.1:9000", attempts=1),
    "bytes_in": 0,
    "bytes_out": 1,
}


def ended(**other: Any) -> ExchangeState:
    return cast(ExchangeState, SimpleNamespace(**{**ENDED, **other}))


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def report(registry: Registry) -> RuleReport:
    return RuleReport(ServerMetrics(registry, "api"), RouteInfo("api"))


def durations(registry: Registry) -> dict[tuple[str, str], Sample]:
    return {
        (sample[0].split(".")[1], dict(sample[1])["http.response.status_code"]): sample
        for sample in registry.samples()
        if sample[0].endswith("duration")
    }


def test_durations_of_both_sides_have_the_buckets_that_are_looked_up() -> None:
    for side in ("server", "client"):
        assert CATALOGUE[f"http.{side}.request.duration"].buckets == BUCKETS_S


def test_what_ends_alike_is_counted_in_one_place(registry: Registry, report: RuleReport) -> None:
    outcomes = Outcomes(registry)
    first = outcomes.count(ended(bytes_in=7, bytes_out=5), report, 0.003)
    assert outcomes.count(ended(bytes_out=6), report, 0.02) is first
    told = durations(registry)
    assert told.keys() == {("server", "200"), ("client", "200")}
    for _, _, values in told.values():
        assert values[0] == pytest.approx(0.023) and values[1] == 1 and sum(values[1:]) == 2
    assert report.metrics.request_bytes.value == 7 and report.metrics.response_bytes.value == 11
    assert b'"upstream":"127.0.0.1:9000","attempts":1' in first.way


@pytest.mark.parametrize(
    "other",
    [
        {"status": 404},
        {"reply_source": "filter"},
        {"reply_filter": "api-key"},
        {"flag": "UT"},
        {"response": None},
        {"head": SimpleNamespace(protocol="HTTP/1.1")},
        {"cluster_name": "books"},
        {"upstream": None},
        {"upstream": SimpleNamespace(address="127.0.0.1:9001", attempts=1)},
        {"upstream": SimpleNamespace(address="127.0.0.1:9000", attempts=2)},
    ],
    ids=lambda other: next(iter(other)),
)
def test_what_ends_otherwise_is_told_apart(
    other: dict[str, Any], registry: Registry, report: RuleReport
) -> None:
    outcomes = Outcomes(registry)
    one, two = outcomes.count(ended(), report, 0.1), outcomes.count(ended(**other), report, 0.1)
    assert outcomes.count(ended(), report, 0.1) is one and two is not one
    told = (one.answer, one.way, one.filter) != (two.answer, two.way, two.filter)
    assert told or "reply_source" in other or "response" in other


@pytest.mark.parametrize(
    "other", [{"reply_source": "edge", "status": 503}, {"response": None, "status": 502}]
)
def test_a_try_that_upstream_did_not_answer_has_status_0(
    other: dict[str, Any], registry: Registry, report: RuleReport
) -> None:
    Outcomes(registry).count(ended(**other), report, 0.1)
    assert durations(registry).keys() == {("server", str(other["status"])), ("client", "0")}


def test_outcomes_are_bounded_and_what_was_forgotten_counts_on(
    registry: Registry, report: RuleReport
) -> None:
    outcomes = Outcomes(registry)
    first = outcomes.count(ended(), report, 0.1)
    for attempts in range(OUTCOMES + 1):
        other = ended(upstream=SimpleNamespace(address="a", attempts=attempts), status=404)
        outcomes.count(other, report, 0.1)
    assert outcomes.count(ended(), report, 0.1) is not first
    assert sum(durations(registry)["server", "200"][2][1:]) == 2
