"""How a flood of first packets is thinned: the count, without a socket."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from edge.listen.sieve import FEW, MANY, MOST, STEP, WINDOW_S, Sieve


class Later:
    """Calls to come, by hand."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def __call__(self, delay_s: float, call: Callable[[], None]) -> Later:
        assert delay_s == WINDOW_S
        self.due.append(call)
        return self

    def cancel(self) -> None:
        self.due.clear()

    def window(self) -> None:
        due, self.due = self.due, []
        for call in due:
            call()


class World:
    def __init__(self) -> None:
        self.told: list[int] = []
        self.later = Later()
        self.sieve = Sieve(self.told.append, self.later)

    def come(self, count: int) -> None:
        for _ in range(count):
            self.sieve.came()


def test_clients_that_come_as_fast_as_they_can_be_served_all_pass() -> None:
    world = World()
    for _ in range(20):
        world.come(MANY - 1)
        world.later.window()
    assert world.told == []


def test_nothing_is_due_while_nobody_comes() -> None:
    world = World()
    assert world.later.due == []
    world.come(1)
    assert len(world.later.due) == 1
    world.later.window()
    world.later.window()
    assert world.later.due == []


def test_a_flood_is_thinned_until_it_is_few_and_never_to_nothing() -> None:
    world = World()
    world.come(MANY)
    assert world.told == [STEP]
    world.come(20 * MANY)
    assert world.told[-1] == MOST
    assert world.told == sorted(set(world.told))


def test_what_is_between_few_and_many_stays_as_it_is() -> None:
    world = World()
    world.come(MANY)
    for _ in range(20):
        world.come(FEW)
        world.later.window()
    assert world.told == [STEP]


def test_after_a_flood_all_pass_again_step_by_step() -> None:
    world = World()
    world.come(2 * MANY)
    for _ in range(2 * STEP + 1):
        world.come(FEW - 1)
        world.later.window()
    assert world.told == [STEP, 2 * STEP, *range(2 * STEP - 1, -1, -1)]
    world.later.window()
    assert world.later.due == []


def test_it_is_said_once_a_flood(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    with caplog.at_level(logging.WARNING, "edge.listen"):
        world.come(5 * MANY)
    assert [record.message for record in caplog.records] == [
        "QUIC: more first packets than can be answered: a part of them is dropped unread"
    ]


def test_a_kernel_that_cannot_is_named_and_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def cannot(power: int) -> None:
        raise OSError(92, "Protocol not available")

    sieve = Sieve(cannot, Later())
    with caplog.at_level(logging.WARNING, "edge.listen"):
        for _ in range(MANY):
            sieve.came()
    assert caplog.records[-1].message == (
        "QUIC: first packets cannot be thinned: [Errno 92] Protocol not available"
    )


def test_nothing_is_due_after_the_end() -> None:
    world = World()
    world.come(MANY)
    world.sieve.close()
    assert world.later.due == []
