"""The log in shared memory: what processes see of each other, and what a death or damage leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.abi import shared_memory
from edge.abi.shared_memory import HALF_BYTES, Broken, SharedLog, make_area

ROOT = Path(__file__).parents[3]


@contextmanager
def area() -> Iterator[int]:
    descriptor = make_area("test")
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@pytest.fixture
def pair() -> Iterator[tuple[SharedLog, SharedLog]]:
    """The same area, opened twice as two processes do it."""
    with area() as descriptor:
        yield SharedLog(descriptor), SharedLog(descriptor)


def append(log: SharedLog, *payloads: bytes) -> int:
    assert log.acquire()
    commit = log.append(payloads)
    log.release()
    assert commit is not None
    return commit


def in_a_child(descriptor: int, code: str) -> subprocess.CompletedProcess[bytes]:
    """Run `code`, which has `log`, in a process that shares nothing else with us."""
    program = (
        f"import os\nfrom edge.abi.shared_memory import SharedLog\nlog = SharedLog({descriptor})\n{code}"
    )
    return subprocess.run(
        [sys.executable, "-c", program],
        pass_fds=[descriptor],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_what_one_appends_the_other_reads_once(pair: tuple[SharedLog, SharedLog]) -> None:
    one, other = pair
    append(one, b"a", b"", b"b" * 1000)
    seen, anew, payloads = other.read(0)
    assert (anew, payloads) == (False, [b"a", b"", b"b" * 1000])
    assert other.read(seen)[2] == []
    append(one, b"c")
    assert other.read(seen)[2] == [b"c"] and other.commit == one.commit


def test_only_one_has_the_lock_and_the_other_does_not_wait_long(pair: tuple[SharedLog, SharedLog]) -> None:
    one, other = pair
    assert one.acquire()
    assert not other.acquire()
    one.release()
    assert other.acquire()
    other.release()


def test_while_a_holder_hangs_others_only_try(
    pair: tuple[SharedLog, SharedLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = pair
    waits: list[SharedLog] = []

    def wait(log: SharedLog) -> bool:
        waits.append(log)
        return False

    monkeypatch.setattr(SharedLog, "_wait", wait)
    assert one.acquire()
    assert [other.acquire() for _ in range(5)] == [False] * 5
    assert len(waits) == 1
    one.release()
    assert other.acquire()
    other.release()
    assert one.acquire() and not other.acquire()
    assert len(waits) == 2
    one.release()


def test_a_lock_goes_with_the_process_that_held_it() -> None:
    with area() as descriptor:
        log = SharedLog(descriptor)
        done = in_a_child(descriptor, "assert log.acquire()\nos._exit(3)")
        assert done.returncode == 3, done.stderr
        assert log.acquire()
        assert log.torn == 0
        log.release()


def test_a_death_in_the_middle_of_writing_loses_nothing_and_is_counted() -> None:
    with area() as descriptor:
        log = SharedLog(descriptor)
        append(log, b"before")
        code = (
            "class Died(dict): pass\n"
            "assert log.acquire()\n"
            "log._words[0] += 1\n"
            "log._memory[4096 + 24:4096 + 64] = b'x' * 40\n"
            "os.kill(os.getpid(), 9)\n"
        )
        assert in_a_child(descriptor, code).returncode == -9
        assert log.acquire()
        assert log.torn == 1
        log.append([b"after"])
        log.release()
        assert SharedLog(descriptor).read(0)[2] == [b"before", b"after"]
        assert append(log, b"x") and log.torn == 1


def test_a_full_half_is_refused_and_rewritten_into_the_other(pair: tuple[SharedLog, SharedLog]) -> None:
    one, other = pair
    append(one, b"a" * (HALF_BYTES - 100))
    seen, _, _ = other.read(0)
    assert one.acquire()
    assert one.append([b"b" * 200]) is None
    one.rewrite([b"kept"])
    one.release()
    now, anew, payloads = other.read(seen)
    assert (anew, payloads) == (True, [b"kept"]) and now == one.commit
    append(one, b"more")
    assert other.read(now)[1:] == (False, [b"more"])


@pytest.mark.parametrize("at", [0, 4, 9])
def test_damage_is_seen(pair: tuple[SharedLog, SharedLog], at: int) -> None:
    one, other = pair
    append(one, b"payload")
    one._memory[4096 + at] ^= 0xFF
    with pytest.raises(Broken):
        other.read(0)


def test_a_commit_word_that_cannot_be_is_seen(pair: tuple[SharedLog, SharedLog]) -> None:
    one, other = pair
    one._words[1] = HALF_BYTES + 8
    with pytest.raises(Broken):
        other.read(0)
    one._words[1] = 4
    with pytest.raises(Broken):
        other.read(0)


def test_emptying_is_counted_and_leaves_a_log_that_can_be_used(pair: tuple[SharedLog, SharedLog]) -> None:
    one, other = pair
    seen = append(one, b"bad")
    assert one.acquire()
    one.empty()
    one.release()
    assert (one.emptied, other.emptied) == (1, 0)
    assert other.read(seen)[1:] == (True, [])
    append(one, b"new")
    assert other.read(0)[2] == [b"new"]


def test_nobody_can_make_an_area_shorter() -> None:
    with area() as descriptor:
        for size in (0, shared_memory.AREA_BYTES * 2):
            with pytest.raises(OSError):
                os.ftruncate(descriptor, size)


def test_descriptors_are_given_back() -> None:
    with area() as descriptor:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(10):
            SharedLog(descriptor)
        assert len(os.listdir("/proc/self/fd")) <= before + 1
