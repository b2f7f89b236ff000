"""What the epoch callback decides, with clocks of our own."""

from __future__ import annotations

from array import array

import pytest

from edge.wasm import budget as module
from edge.wasm.budget import Budget

MS = 1_000_000


class Clocks:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cpu = 0
        self.wall = 0
        monkeypatch.setattr(module, "thread_time_ns", lambda: self.cpu)
        monkeypatch.setattr(module, "monotonic_ns", lambda: self.wall)

    def run(self, cpu_ms: float, wall_ms: float | None = None) -> None:
        self.cpu += int(cpu_ms * MS)
        self.wall += int((cpu_ms if wall_ms is None else wall_ms) * MS)


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


def hook(call_ms: int = 10, request_ms: int = 50) -> Budget:
    budget = Budget(call_ms * MS, request_ms * MS)
    budget.serve()
    return budget


def test_a_call_is_measured_from_its_first_tick(clocks: Clocks) -> None:
    budget = hook()
    clocks.run(500)
    assert not budget.over()
    clocks.run(9)
    assert not budget.over()
    assert budget.used_ns == 9 * MS
    clocks.run(1)
    assert budget.over() and budget.exceeded


def test_the_next_call_starts_anew(clocks: Clocks) -> None:
    budget = hook()
    for _ in range(20):
        budget.call += 1
        assert not budget.over()
        assert budget.used_ns == 0
        clocks.run(9)
        assert not budget.over()


@pytest.mark.parametrize(("call_ms", "wall_ms"), [(10, 2000), (200, 2000), (300, 3000)])
def test_time_off_the_cpu_does_not_count_for_two_seconds_or_ten_times_the_budget(
    clocks: Clocks, call_ms: int, wall_ms: int
) -> None:
    budget = hook(call_ms)
    budget.over()
    clocks.run(1, wall_ms - 1)
    assert not budget.over()
    clocks.run(0, 1)
    assert budget.over()


def test_a_start_inside_an_exchange_outlives_a_machine_that_stalls(clocks: Clocks) -> None:
    budget = Budget(10 * MS, 50 * MS)
    budget.start_inline()
    budget.over()
    clocks.run(0.5, 1500)
    budget.call += 1
    assert not budget.over()


def test_start_has_a_second_of_cpu_and_ten_of_wall_time(clocks: Clocks) -> None:
    budget = Budget()
    budget.over()
    clocks.run(999)
    assert not budget.over()
    clocks.run(1)
    assert budget.over()
    slow = Budget()
    slow.over()
    clocks.run(10, 9999)
    assert not slow.over()
    clocks.run(0, 1)
    assert slow.over()


def test_the_calls_of_a_start_share_one_budget(clocks: Clocks) -> None:
    budget = Budget()
    for _ in range(8):
        budget.call += 1
        assert not budget.over()
        clocks.run(124)
    budget.call += 1
    assert not budget.over()
    clocks.run(8)
    assert budget.over()


def test_a_start_inside_an_exchange_has_the_budget_of_one_hook(clocks: Clocks) -> None:
    budget = Budget(10 * MS, 50 * MS)
    budget.start_inline()
    budget.over()
    for _ in range(2):
        budget.call += 1
        clocks.run(4)
        assert not budget.over()
    assert budget.used_ns == 8 * MS
    budget.call += 1
    clocks.run(4)
    assert budget.over()


def test_serving_starts_anew_after_the_start(clocks: Clocks) -> None:
    budget = Budget()
    budget.over()
    clocks.run(900, 9900)
    assert not budget.over()
    budget.serve()
    clocks.run(0, 10_000)
    budget.call += 1
    assert not budget.over()
    assert budget.used_ns == 0


def test_a_request_charged_before_has_what_is_left(clocks: Clocks) -> None:
    budget = hook()
    budget.charge(45 * MS)
    budget.over()
    clocks.run(4)
    assert not budget.over()
    clocks.run(1)
    assert budget.over()
    budget.serve()
    budget.call += 1
    assert not budget.over()
    clocks.run(9)
    assert not budget.over()


def test_a_request_with_nothing_left_ends_at_its_first_tick(clocks: Clocks) -> None:
    budget = hook()
    budget.charge(51 * MS)
    assert budget.over()


def test_what_was_measured_is_taken_once(clocks: Clocks) -> None:
    budget = hook()
    budget.over()
    clocks.run(3)
    budget.over()
    assert budget.take_used() == 3 * MS
    assert budget.take_used() == 0


def test_what_was_measured_of_an_earlier_call_is_charged_to_nobody_else(clocks: Clocks) -> None:
    budget = hook()
    budget.over()
    clocks.run(3)
    budget.over()
    budget.call += 1
    assert budget.take_used() == 0


def test_a_start_is_not_charged_to_the_first_exchange_after_it(clocks: Clocks) -> None:
    budget = Budget()
    budget.over()
    clocks.run(300)
    budget.over()
    budget.call += 1
    budget.serve()
    budget.call += 1
    assert budget.take_used() == 0


def test_what_an_inline_start_used_can_be_charged_to_its_exchange(clocks: Clocks) -> None:
    budget = Budget()
    budget.start_inline()
    budget.over()
    budget.call += 1
    clocks.run(4)
    budget.over()
    assert budget.take_used() == 4 * MS


def test_the_callback_ends_a_store_whose_budget_is_gone() -> None:
    ticks, kind = [0], [9]
    assert module._on_tick(None, -1, ticks, kind) != 0


def test_the_callback_extends_by_one_tick(clocks: Clocks) -> None:
    budget = hook()
    ticks, kind = [0], [9]
    assert module._on_tick(None, budget.key, ticks, kind) == 0
    assert (ticks, kind) == ([1], [0])
    clocks.run(11)
    assert module._on_tick(None, budget.key, ticks, kind) != 0


def test_a_tick_that_cannot_be_handled_ends_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = hook()

    def broken() -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "thread_time_ns", broken)
    assert module._on_tick(None, budget.key, [0], [0]) != 0


def test_guests_that_take_turns_in_one_call_have_a_budget_each(clocks: Clocks) -> None:
    budget = hook()
    turns = memoryview(array("I", [0]))
    budget.turn = turns
    for guest in range(3):
        turns[0] = guest
        assert not budget.over()
        clocks.run(9)
        assert not budget.over()
        assert budget.used_ns == 9 * MS
    clocks.run(1)
    assert budget.over()
