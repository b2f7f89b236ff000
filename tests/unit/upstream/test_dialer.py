"""Attempts to connect begin a few a turn, after the turn in which they were asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from edge.upstream.dialer import PER_TURN, TcpDialer


class Task:
    """Of an attempt that never runs."""

    def __init__(self, attempt: Coroutine[Any, Any, None]) -> None:
        attempt.close()
        self.cancelled = False

    def add_done_callback(self, callback: Callable[..., None]) -> None:
        """It is never done."""

    def cancel(self) -> None:
        self.cancelled = True


class World:
    """A loop that turns when told, and a dialer on it."""

    def __init__(self) -> None:
        self.begun: list[Task] = []
        self._soon: list[Callable[[], None]] = []
        self._dialer = TcpDialer(self)  # type: ignore[arg-type]

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._soon.append(callback)

    def create_task(self, attempt: Coroutine[Any, Any, None]) -> Task:
        self.begun.append(Task(attempt))
        return self.begun[-1]

    def dial(self) -> Callable[[], None]:
        return self._dialer.dial("127.0.0.1", 1, asyncio.Protocol(), lambda reason: None)

    def turn(self) -> int:
        """How many began in it."""
        before = len(self.begun)
        soon, self._soon = self._soon, []
        for callback in soon:
            callback()
        return len(self.begun) - before


def test_an_attempt_begins_after_the_turn_that_asked_for_it() -> None:
    world = World()
    world.dial()
    assert world.begun == []
    assert [world.turn(), world.turn()] == [1, 0]


def test_a_crowd_begins_a_few_a_turn() -> None:
    world = World()
    for _ in range(2 * PER_TURN + 3):
        world.dial()
    assert world.turn() == PER_TURN
    world.dial()
    assert [world.turn(), world.turn(), world.turn()] == [PER_TURN, 4, 0]
    world.dial()
    assert world.turn() == 1


def test_what_is_given_up_before_it_began_never_begins_and_takes_nobodys_place() -> None:
    world = World()
    for _ in range(3 * PER_TURN):
        world.dial()()
    world.dial()
    assert world.turn() == 1
    assert not world.begun[0].cancelled


def test_what_is_given_up_later_is_cancelled() -> None:
    world = World()
    give_up = world.dial()
    world.turn()
    give_up()
    assert world.begun[0].cancelled
