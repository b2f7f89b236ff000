"""What the bench says of figures, and how it ends."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.bench import __main__ as bench
from tests.bench import against, floods
from tests.bench.flooder import ATTACKS, HARMLESS

_FINE = {
    "quiet_ms": 2.0,
    "steady": True,
    "flooded_ms": 3.9,
    "cpu_s": 19.0,
    "client_cpu_s": 1.0,
    "mib": 59.0,
    "client_mib": 0.5,
    "rounds": 3,
    "bytes": 1 << 19,
    "errors": 0,
}
"""A client that spent a second, and 3 MiB with the floor."""
MISSES: dict[str, tuple[dict[str, Any], str]] = {
    "p99": ({"flooded_ms": 4.1}, "p99"),
    "cpu": ({"cpu_s": 21.0}, "CPU"),
    "no-cpu": ({"client_cpu_s": 0.0}, "CPU"),
    "memory": ({"mib": 61.0}, "memory"),
    "errors": ({"errors": 1}, "errors"),
    "unsteady": ({"steady": False}, "not steady"),
}


def _judged(changed: dict[str, Any]) -> dict[str, Any]:
    return floods.judged("h2 ping", [{**_FINE, **changed}] * 3, 3)


def _status(monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]], *words: str) -> int:
    """How the command ends when floods and comparisons say `rows`."""

    def found(*arguments: Any) -> Iterator[dict[str, Any]]:
        yield from rows

    monkeypatch.setattr(floods, "measure", found)
    monkeypatch.setattr(against, "compare", found)
    monkeypatch.setattr(sys, "argv", ["bench", *words])
    return bench.main()


def test_floods_whose_goals_are_reached_end_with_status_0(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = _judged({})
    assert (data["met"], data["missed"]) == (True, [])
    assert data["memory_ratio"] == pytest.approx(59 / 3)
    assert _status(monkeypatch, [data], "--rows", "floods") == 0
    assert capsys.readouterr().out.rstrip().endswith("; met")


@pytest.mark.parametrize(("changed", "goal"), MISSES.values(), ids=MISSES)
def test_a_goal_that_a_flood_misses_is_named_and_ends_with_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], changed: dict[str, Any], goal: str
) -> None:
    data = _judged(changed)
    assert (data["met"], data["missed"]) == (False, [goal])
    assert _status(monkeypatch, [_judged({}), data], "--rows", "floods") == 1
    assert capsys.readouterr().out.rstrip().endswith(f"MISSED: {goal}")


def test_memory_is_that_of_the_worst_turn() -> None:
    turns = [_FINE, {**_FINE, "mib": 61.0}, _FINE]
    assert floods.judged("h2 ping", turns, 3)["missed"] == ["memory"]


def _compared(ratios: list[float], errors: int = 0) -> dict[str, Any]:
    return {
        "title": "a row",
        "unit": "µs",
        "bound": against.BOUND,
        "ratio": 1.0,
        "ratios": ratios,
        "verdict": against.verdict(ratios, against.BOUND),
        "values": {"before": [1.0], "now": [1.0]},
        "errors": errors,
        "failures": [],
    }


@pytest.mark.parametrize(
    ("ratios", "errors", "status", "shown"),
    [
        ([0.9, 1.03, 1.2], 0, 0, "met"),
        ([1.02, 1.04, 1.2], 0, 0, "missed inside the spread"),
        ([1.04, 1.05, 1.2], 0, 1, "MISSED"),
        ([0.9], 3, 1, "met"),
        ([], 0, 1, "–"),
    ],
)
def test_a_miss_outside_the_spread_ends_a_comparison_with_status_1(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ratios: list[float],
    errors: int,
    status: int,
    shown: str,
) -> None:
    assert _status(monkeypatch, [_compared(ratios, errors)], "--against", "HEAD") == status
    (line, *_) = capsys.readouterr().out.splitlines()
    assert line.endswith(shown)
    assert not ratios or f"({min(ratios):.3f}–{max(ratios):.3f}" in line, "the spread"


def test_the_bound_is_that_of_the_issue(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def compare(*arguments: Any) -> Iterator[dict[str, Any]]:
        asked.append(arguments[4])
        yield from ()

    monkeypatch.setattr(against, "compare", compare)
    monkeypatch.setattr(sys, "argv", ["bench", "--against", "HEAD"])
    assert bench.main() == 0
    assert asked == [1.03]


def test_each_slow_flood_is_there_for_each_protocol() -> None:
    slow = {f"{protocol} slow-{kind}" for protocol in ("h1", "h2", "h3") for kind in ("head", "body", "read")}
    assert slow <= set(ATTACKS)
    assert set(HARMLESS) == set(ATTACKS)
