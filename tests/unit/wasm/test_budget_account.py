"""What a Store has spent, from ticks where there were any, else from one call in many."""

from __future__ import annotations

from edge.wasm.budget import SAMPLED, Budget


def busy() -> int:
    sum(range(20_000))
    return 0


def test_a_timed_call_stands_for_those_that_are_not() -> None:
    budget = Budget()
    budget.serve()
    assert budget.timed(busy) == 0
    assert budget.spent_ns > 0
    assert budget.spent_ns % SAMPLED == 0
    budget.release()


def test_a_call_that_saw_a_tick_is_charged_what_the_ticks_measured() -> None:
    budget = Budget()
    budget.serve()
    budget.call += 1
    budget.over()

    def long() -> int:
        busy()
        budget.over()
        return 0

    budget.timed(long)
    assert budget.spent_ns == 0
    used = budget.take_used()
    assert used > 0
    assert budget.spent_ns == used
    budget.release()
