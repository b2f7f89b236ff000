"""Deadlines: one coarse timer for many items."""

from __future__ import annotations

from math import inf

from edge.exchange.deadlines import TICK_S, Deadlines


class Wheel:
    """A clock that the test moves, and the timer that goes with it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, object]] = []
        self.deadlines = Deadlines(
            lambda: self.now, lambda delay, call: self.timers.append((self.now + delay, call))
        )

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self.timers and min(due for due, _ in self.timers) <= end:
            self.timers.sort(key=lambda timer: timer[0])
            due, call = self.timers.pop(0)
            self.now = max(self.now, due)
            call()
        self.now = end


class Item:
    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.filed = inf
        self.times = 0

    def expired(self) -> None:
        self.times += 1
        self.deadline = inf


def test_an_item_expires_once_and_at_most_a_tick_and_a_bit_late():
    wheel = Wheel()
    item = Item(wheel.now + 1.0)
    wheel.deadlines.watch(item)
    wheel.advance(1.0 - TICK_S)
    assert item.times == 0
    wheel.advance(2.1 * TICK_S)
    assert item.times == 1
    wheel.advance(10)
    assert item.times == 1


def test_a_deadline_moved_later_by_a_plain_write_is_honoured():
    wheel = Wheel()
    item = Item(wheel.now + 1.0)
    wheel.deadlines.watch(item)
    wheel.advance(0.9)
    item.deadline = wheel.now + 1.0
    wheel.advance(0.95)
    assert item.times == 0
    wheel.advance(0.2)
    assert item.times == 1


def test_a_deadline_moved_earlier_needs_watch_and_is_honoured():
    wheel = Wheel()
    item = Item(wheel.now + 60.0)
    wheel.deadlines.watch(item)
    item.deadline = wheel.now + 0.5
    wheel.deadlines.watch(item)
    wheel.advance(0.7)
    assert item.times == 1
    assert item.filed == inf


def test_an_item_without_deadline_leaves_the_wheel_when_its_slot_comes():
    wheel = Wheel()
    item = Item(wheel.now + 0.2)
    wheel.deadlines.watch(item)
    item.deadline = inf
    wheel.advance(1)
    assert item.times == 0
    assert item.filed == inf


def test_a_forgotten_item_is_never_called():
    wheel = Wheel()
    item = Item(wheel.now + 0.2)
    wheel.deadlines.watch(item)
    wheel.deadlines.forget(item)
    wheel.advance(1)
    assert item.times == 0


def test_the_timer_parks_when_nothing_is_filed_and_starts_again():
    wheel = Wheel()
    first = Item(wheel.now + 0.2)
    wheel.deadlines.watch(first)
    wheel.advance(5)
    assert wheel.timers == []
    second = Item(wheel.now + 0.2)
    wheel.deadlines.watch(second)
    wheel.advance(5)
    assert second.times == 1


def test_an_item_may_watch_itself_again_while_it_expires():
    wheel = Wheel()

    class Again(Item):
        def expired(self) -> None:
            self.times += 1
            self.deadline = wheel.now + 0.5
            wheel.deadlines.watch(self)

    item = Again(wheel.now + 0.5)
    wheel.deadlines.watch(item)
    wheel.advance(3)
    assert 4 <= item.times <= 6


def test_a_missed_tick_does_not_lose_items():
    wheel = Wheel()
    items = [Item(wheel.now + 0.1 * n) for n in range(1, 20)]
    for item in items:
        wheel.deadlines.watch(item)
    wheel.now += 30
    wheel.advance(1)
    assert [item.times for item in items] == [1] * 19
