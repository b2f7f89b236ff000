"""When a worker looks for garbage."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from itertools import count, pairwise

import pytest

from edge.worker import garbage as garbage_module
from edge.worker.garbage import QUIET_S, YOUNG, Garbage
from edge.worker.slices import SLICE_S


class FakeLoop:
    """Runs what is due when told that time has passed."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waiting: list[FakeTimer] = []
        self.soon: list[Callable[[], None]] = []

    def call_soon(self, call: Callable[[], None]) -> None:
        self.soon.append(call)

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
    threshold = gc.get_threshold()
    yield FakeLoop()
    gc.set_threshold(*threshold)
    gc.enable()
    gc.unfreeze()


def made(loop: FakeLoop) -> Garbage:
    return Garbage(loop)  # type: ignore[arg-type]


def built(garbage: Garbage, objects: int = 0, at_once: bool = False) -> list[list[int]]:
    """A revision that serves, of so many objects."""
    garbage.hold()
    tables: list[list[int]] = [[] for _ in range(objects)]
    garbage.release()
    garbage.settle(at_once)
    return tables


def test_what_a_revision_left_is_gone_some_time_after_it_is_quiet(loop: FakeLoop) -> None:
    garbage = made(loop)
    built(garbage, at_once=True)
    built(garbage)
    left = weakref.ref(Ring())
    garbage.tidy()
    gc.disable()  # nobody else may find it
    assert left() is not None
    loop.pass_time(QUIET_S)
    assert left() is None


def test_requests_under_way_make_no_collection_due(loop: FakeLoop) -> None:
    garbage = made(loop)
    built(garbage, at_once=True)
    before = [each["collections"] for each in gc.get_stats()]
    for _ in range(3):
        under_way = [[each] for each in range(YOUNG // 2)]
        assert len(under_way) == YOUNG // 2
        del under_way
    assert [each["collections"] for each in gc.get_stats()] == before
    many = [[each] for each in range(YOUNG * 2)]
    assert len(many) == YOUNG * 2
    assert gc.get_stats()[0]["collections"] > before[0]


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
    built(garbage, at_once=True)
    left = weakref.ref(Ring())
    built(garbage)
    gc.disable()
    loop.pass_time(1000.0)
    garbage.tidy()
    loop.pass_time(QUIET_S)
    assert left() is not None, "frozen, and so little of it that nobody looks"
    monkeypatch.setattr(garbage_module, "GROWTH", 0)
    loop.pass_time(1000.0)
    garbage.tidy()
    loop.pass_time(QUIET_S)
    assert left() is None


def test_a_large_revision_accounts_for_what_it_holds(loop: FakeLoop) -> None:
    garbage = made(loop)
    built(garbage, at_once=True)
    left = weakref.ref(Ring())
    gc.freeze()
    gc.disable()
    large = 2 * gc.get_freeze_count()
    tables = built(garbage, large)
    loop.pass_time(1000.0)
    garbage.tidy()
    loop.pass_time(QUIET_S)
    assert left() is not None, "all that is frozen is in use"
    built(garbage)
    loop.pass_time(1000.0)
    garbage.tidy()
    loop.pass_time(QUIET_S)
    assert left() is None, "a small one serves, and something holds the tables of the large one"
    assert len(tables) == large


def test_nothing_is_built_so_that_a_collection_on_the_way_of_a_request_sees_it(loop: FakeLoop) -> None:
    garbage = made(loop)
    garbage.hold()
    tables: list[list[int]] = [[] for _ in range(5000)]
    garbage.release()
    assert len(gc.get_objects()) < len(tables)


def test_a_revision_is_taken_apart_in_slices(loop: FakeLoop) -> None:
    seconds = count().__next__
    garbage = Garbage(loop, lambda: seconds() * SLICE_S / 4)  # type: ignore[arg-type]
    taken: list[int] = []

    def steps(number: int) -> Iterator[None]:
        for each in range(number):
            taken.append(each)
            yield

    garbage.take_apart(steps(10))
    garbage.take_apart(steps(1))
    turns = []
    while loop.soon:
        assert len(loop.soon) == 1
        loop.soon.pop()()
        turns.append(len(taken))
    assert taken == [*range(10), 0]
    assert len(turns) > 2 and max(b - a for a, b in pairwise([0, *turns])) <= 4
    garbage.tidy()
    garbage.take_apart(steps(1))
    loop.pass_time(QUIET_S)
    assert len(loop.waiting) == 1, "what goes is not looked for"
