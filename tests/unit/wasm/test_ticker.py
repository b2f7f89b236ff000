"""The ticker ends loops on either thread, parks when nothing runs, and is woken by a call."""

from __future__ import annotations

import threading
from time import thread_time

from edge.wasm.ticker import IDLE_TICKS, ticker
from edge.wasm.warm import WarmThread
from tests.unit.wasm.guests import LOOP, Running
from tests.unit.wasm.waiting import until


def test_a_loop_ends_after_its_budget_of_cpu_time() -> None:
    running = Running(LOOP)
    running.store.budget.serve()
    before = thread_time()
    trap = running.trap("loop")
    used = thread_time() - before
    assert trap.code == "cpu_budget"
    assert 0.009 < used < 0.5
    assert running.store.budget.exceeded


def test_the_ticker_parks_when_no_guest_runs_and_a_call_wakes_it() -> None:
    running = Running(LOOP)
    running.store.budget.serve()
    assert until(lambda: ticker.parked)
    ticks = ticker.ticks
    assert running.call("ok") == 7
    assert until(lambda: not ticker.parked or ticker.ticks > ticks)
    assert until(lambda: ticker.parked)
    assert ticker.ticks - ticks >= IDLE_TICKS


def test_a_loop_ends_although_the_ticker_was_parked() -> None:
    running = Running(LOOP)
    running.store.budget.serve()
    for _ in range(3):
        assert until(lambda: ticker.parked)
        assert running.trap("loop").code == "cpu_budget"
        running = Running(LOOP)
        running.store.budget.serve()


def test_a_store_that_ran_just_before_parking_is_interrupted_too() -> None:
    running = Running(LOOP)
    running.store.budget.serve()
    assert running.call("ok") == 7
    assert until(lambda: ticker.parked)
    assert running.trap("loop").code == "cpu_budget"


def test_a_loop_on_the_loops_thread_ends_while_warm_loops_as_well() -> None:
    """Both hold a core; each has its own budget and ends by it."""
    ended = threading.Event()
    codes: list[str] = []

    def start() -> str:
        running = Running(LOOP)
        running.store.budget.allow(150_000_000, 10_000_000_000)
        return running.trap("loop").code

    def done(result: str | Exception) -> None:
        codes.append(str(result))
        ended.set()

    warm = WarmThread(lambda job: job())
    warm.submit(start, done)
    for _ in range(5):
        running = Running(LOOP)
        running.store.budget.serve()
        assert running.trap("loop").code == "cpu_budget"
    assert ended.wait(20)
    assert codes == ["cpu_budget"]
    warm.close()
    assert warm.join(20)


def test_a_loop_ends_while_warm_is_busy_with_python() -> None:
    """Pure Python on `warm` gives the GIL up only at switch intervals; the ticker still gets it."""
    stop = threading.Event()
    working = threading.Event()

    def work() -> int:
        rounds = 0
        while not stop.is_set():
            rounds += 1
            working.set()
        return rounds

    rounds: list[object] = []
    warm = WarmThread(lambda job: job())
    warm.submit(work, rounds.append)
    assert working.wait(20)
    running = Running(LOOP)
    running.store.budget.serve()
    assert running.trap("loop").code == "cpu_budget"
    stop.set()
    warm.close()
    assert warm.join(20)
    assert isinstance(rounds[0], int) and rounds[0] > 0
