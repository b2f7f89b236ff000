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


def test_an_item_forgotten_by_one_that_expires_with_it_is_not_called():
    wheel = Wheel()
    items: list[Item] = []

    class First(Item):
        def expired(self) -> None:
            super().expired()
            for other in items:
                if other is not self:
                    wheel.deadlines.forget(other)

    items += [First(wheel.now + 0.5) for _ in range(8)]
    for item in items:
        wheel.deadlines.watch(item)
    wheel.advance(2)
    assert sum(item.times for item in items) == 1


def test_an_item_filed_anew_by_one_that_expires_with_it_waits_for_its_new_time():
    wheel = Wheel()
    items: list[Item] = []

    class First(Item):
        def expired(self) -> None:
            super().expired()
            for other in items:
                if other is not self and other.times == 0:
                    wheel.deadlines.forget(other)
                    other.deadline = wheel.now + 5.0
                    wheel.deadlines.watch(other)

    items += [First(wheel.now + 0.5) for _ in range(3)]
    for item in items:
        wheel.deadlines.watch(item)
    wheel.advance(4)
    assert sum(item.times for item in items) == 1
    wheel.advance(12)
    assert sum(item.times for item in items) == 3


def test_a_fault_in_one_item_costs_no_other_its_deadline():
    wheel = Wheel()

    class Faulty(Item):
        def expired(self) -> None:
            super().expired()
            raise ValueError("a fault of ours")

    items = [Faulty(wheel.now + 0.5) for _ in range(3)] + [Item(wheel.now + 0.5), Item(wheel.now + 2.0)]
    for item in items:
        wheel.deadlines.watch(item)
    faults = 0
    for _ in range(6):
        try:
            wheel.advance(1)
        except ValueError:
            faults += 1
    assert [item.times for item in items] == [1] * 5
    assert faults == 3


def test_idle_connections_that_come_and_go_leave_nothing_behind():
    wheel = Wheel()
    for _ in range(1000):
        item = Item(wheel.now + 3600.0)
        wheel.deadlines.watch(item)
        wheel.deadlines.forget(item)
        wheel.now += 0.1
    wheel.advance(1)
    assert wheel.deadlines._slots == {}
    assert wheel.timers == []
