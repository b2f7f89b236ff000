"""When a worker looks for garbage."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from edge.worker import garbage as garbage_module
from edge.worker.garbage import QUIET_S, Garbage


class FakeLoop:
    """Runs what is due when told that time has passed."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waiting: list[FakeTimer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay_s: float, call: object) -> FakeTimer:
        made = FakeTimer(self, self.now + delay_s, call)
        self.waiting.append(made)
        return made

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        due = [timer for timer in self.waiting if timer.at <= self.now]
        self.waiting = [timer for timer in self.waiting if timer.at > self.now]
        for timer in due:
            timer.call()  # type: ignore[operator]


class FakeTimer:
    def __init__(self, loop: FakeLoop, at: float, call: object) -> None:
        self.at = at
        self.call = call
        self._loop = loop

    def cancel(self) -> None:
        if self in self._loop.waiting:
            self._loop.waiting.remove(self)


class Ring:
    """A cycle."""

    def __init__(self) -> None:
        self.self = self


@pytest.fixture
def loop() -> Iterator[FakeLoop]:
    yield FakeLoop()
    gc.enable()
    gc.unfreeze()


def made(loop: FakeLoop) -> Garbage:
    return Garbage(loop)  # type: ignore[arg-type]


def test_what_a_revision_left_is_gone_some_time_after_it_is_quiet(loop: FakeLoop) -> None:
    garbage = made(loop)
    garbage.settle(at_once=True)
    left = weakref.ref(Ring())
    garbage.hold()
    garbage.release()
    garbage.tidy()
    gc.disable()  # nobody else may find it
    assert left() is not None
    loop.pass_time(QUIET_S)
    assert left() is None


def test_a_row_of_reloads_is_looked_through_once(loop: FakeLoop) -> None:
    garbage = made(loop)
    for _ in range(10):
        garbage.tidy()
        loop.pass_time(QUIET_S / 2)
    assert len(loop.waiting) == 1


def test_nothing_is_looked_for_while_a_revision_is_built(loop: FakeLoop) -> None:
    garbage = made(loop)
    garbage.hold()
    assert not gc.isenabled()
    garbage.tidy()
    loop.pass_time(QUIET_S)
    assert len(loop.waiting) == 1, "it is put off"
    garbage.release()
    assert gc.isenabled()


def test_two_that_are_built_at_once_are_both_held_for(loop: FakeLoop) -> None:
    garbage = made(loop)
    garbage.hold()
    garbage.hold()
    garbage.release()
    assert not gc.isenabled()
    garbage.release()
    assert gc.isenabled()


def test_what_is_frozen_is_looked_through_when_it_has_grown(
    loop: FakeLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    garbage = made(loop)
    garbage.settle(at_once=True)
    left = weakref.ref(Ring())
    garbage.settle(at_once=False)
    gc.disable()
    loop.pass_time(1000.0)
    garbage.tidy()
    loop.pass_time(QUIET_S)
    assert left() is not None, "frozen, and so little of it that nobody looks"
    monkeypatch.setattr(garbage_module, "GROWTH", 0)
    garbage.tidy()
    loop.pass_time(QUIET_S)
    assert left() is None
