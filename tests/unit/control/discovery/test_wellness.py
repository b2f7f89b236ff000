"""Thresholds of active health checks."""

from __future__ import annotations

from edge.control.discovery.spec import Check
from edge.control.discovery.wellness import State, Wellness


def wellness(healthy: int = 2, unhealthy: int = 3) -> Wellness:
    return Wellness(Check(type="TCP", healthy_threshold=healthy, unhealthy_threshold=unhealthy))


def states(it: Wellness, results: str) -> str:
    """`+` = a probe passed, `-` = it failed; u, h, s for unknown, healthy, sick after each."""
    letters = {State.UNKNOWN: "u", State.HEALTHY: "h", State.UNHEALTHY: "s"}
    seen = []
    for result in results:
        before = it.state
        changed = it.passed() if result == "+" else it.failed("refused")
        assert changed == (it.state is not before)
        seen.append(letters[it.state])
    return "".join(seen)


def test_the_first_result_decides_at_once() -> None:
    assert states(wellness(), "+") == "h"
    assert states(wellness(), "-") == "s"


def test_three_failures_in_a_row_make_it_sick() -> None:
    assert states(wellness(), "+---") == "hhhs"


def test_a_success_between_failures_starts_the_row_anew() -> None:
    assert states(wellness(), "+--+--+---") == "hhhhhhhhhs"


def test_two_successes_in_a_row_make_it_well_again() -> None:
    assert states(wellness(), "-+-++") == "ssssh"


def test_thresholds_of_one_decide_each_time() -> None:
    assert states(wellness(1, 1), "+-+-") == "hshs"


def test_the_reason_is_that_of_the_last_failure() -> None:
    it = wellness()
    it.failed("refused")
    assert it.reason == "refused"
    it.passed()
    assert it.reason == ""
