"""The warm thread: jobs in order beside the caller, results posted, errors as results."""

from __future__ import annotations

import threading

from edge.wasm.engine import THREAD_STACK_BYTES
from edge.wasm.warm import Job, WarmThread
from tests.unit.wasm.guests import Running

RECURSION = '(module (func $deep (export "deep") (call $deep)))'


def closed(warm: WarmThread) -> None:
    warm.close()
    assert warm.join(20)


def test_jobs_run_in_order_on_another_thread_and_results_are_posted() -> None:
    posted: list[Job] = []
    results: list[object] = []
    warm = WarmThread(posted.append)
    warm.submit(threading.get_ident, results.append)
    warm.submit(lambda: 2, results.append)
    closed(warm)
    assert results == []
    for job in posted:
        job()
    assert results[0] != threading.get_ident()
    assert results[1] == 2


def test_an_error_is_a_result_and_the_thread_goes_on() -> None:
    results: list[object] = []

    def fail() -> int:
        raise ValueError("no")

    warm = WarmThread(lambda job: job())
    warm.submit(fail, results.append)
    warm.submit(lambda: 1, results.append)
    closed(warm)
    assert isinstance(results[0], ValueError)
    assert results[1] == 1


def test_a_closed_loop_is_no_error() -> None:
    def post(_job: Job) -> None:
        raise RuntimeError("Event loop is closed")

    warm = WarmThread(post)
    warm.submit(lambda: 1, lambda _result: None)
    closed(warm)


def test_its_stack_is_large_enough_and_no_other_threads_change() -> None:
    before = threading.stack_size()
    results: list[object] = []
    warm = WarmThread(lambda job: job())
    assert threading.stack_size() == before
    warm.submit(lambda: Running(RECURSION).trap("deep").code, results.append)
    closed(warm)
    assert results == ["stack_overflow"]
    assert THREAD_STACK_BYTES == 8 << 20
