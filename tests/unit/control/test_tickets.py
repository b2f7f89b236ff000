"""Ticket keys change in time, and old ones are taken as long as tickets live."""

from __future__ import annotations

from collections.abc import Callable

from edge import wire
from edge.control.tickets import KEY_BYTES, LIFETIME_S, ROTATION_S, TicketKeys


class Timers:
    """Calls what is due when the test says how late it is."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        self._due.append((self.now + delay_s, callback))

    def until(self, at_s: float) -> None:
        while due := sorted((each for each in self._due if each[0] <= at_s), key=lambda each: each[0]):
            self._due.remove(due[0])
            self.now = due[0][0]
            due[0][1]()
        self.now = at_s


def test_the_key_before_is_taken_while_its_tickets_live() -> None:
    timers, told = Timers(), list[wire.TicketKeys]()
    keys = TicketKeys(timers.call_later, told.append)
    (first,) = keys.message.keys
    assert len(first) == KEY_BYTES
    timers.until(ROTATION_S - 1)
    assert told == []
    timers.until(ROTATION_S)
    second, kept = keys.message.keys
    assert kept == first != second
    timers.until(ROTATION_S + LIFETIME_S)
    assert keys.message.keys == [second]
    timers.until(2 * ROTATION_S)
    third, kept = keys.message.keys
    assert kept == second != third
    assert [len(message.keys) for message in told] == [2, 1, 2]
