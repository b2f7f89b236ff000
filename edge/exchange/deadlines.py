"""Deadlines of many connections and exchanges on one coarse timer.

An item is watched once and moves its own `deadline` as it lives: an attribute write is all a
request pays. The timer looks at an item only when the slot it was filed under comes up.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final, Protocol

TICK_S: Final = 0.05
"""Coarseness: an item expires at most this much late."""


class Watched(Protocol):
    """Something with a deadline on the monotonic clock, in seconds; `inf` = none now."""

    deadline: float
    filed: float
    """Slot time this item is filed under, `inf` = not filed. Owned by `Deadlines`."""

    def expired(self) -> None:
        """Called once per passing; set a new `deadline` and `watch` again to go on."""


class Deadlines:
    """Files items by tick. `call_later(seconds, callback)` runs the timer while anything is filed."""

    def __init__(
        self, clock: Callable[[], float], call_later: Callable[[float, Callable[[], None]], object]
    ) -> None:
        self._clock = clock
        self._call_later = call_later
        self._slots: dict[int, set[Watched]] = {}
        self._passed = 0
        """The last slot worked off; nothing is filed in it or before it while the timer runs."""
        self._ticking = False

    def watch(self, item: Watched) -> None:
        """File `item` by its deadline, unless it is already filed early enough.

        A deadline moved later needs no call; one moved earlier, or set again after `inf`, does.
        """
        deadline = item.deadline
        if deadline == inf or item.filed <= deadline:
            return
        if item.filed != inf:
            self.forget(item)
        if not self._ticking:
            self._ticking = True
            self._passed = int(self._clock() / TICK_S) - 1
            self._call_later(TICK_S, self._tick)
        slot = int(deadline / TICK_S)
        if slot <= self._passed:
            slot = self._passed + 1
            deadline = (slot + 0.5) * TICK_S
        item.filed = deadline
        self._slots.setdefault(slot, set()).add(item)

    def forget(self, item: Watched) -> None:
        """Drop `item` now, so that nothing keeps it alive."""
        if item.filed != inf:
            number = int(item.filed / TICK_S)
            item.filed = inf
            slot = self._slots.get(number)
            if slot is not None:
                slot.discard(item)
                if not slot:
                    del self._slots[number]

    def _tick(self) -> None:
        now = self._clock()
        due: set[Watched] = set()
        try:
            for number in range(self._passed + 1, int(now / TICK_S) + 1):
                self._passed = number
                due = self._slots.pop(number, due)
                while due:
                    item = due.pop()
                    if not _is_filed(item, number):
                        continue  # forgotten, or filed anew, by one that expired before it
                    item.filed = inf
                    if item.deadline > now:
                        self.watch(item)
                    else:
                        item.expired()
        finally:
            # After a fault in `expired` too: what is behind it must not wait for ever.
            for item in due:
                if _is_filed(item, self._passed):
                    item.filed = inf
                    self.watch(item)
            if self._slots:
                self._call_later(TICK_S, self._tick)
            else:
                self._ticking = False


def _is_filed(item: Watched, slot: int) -> bool:
    return item.filed != inf and int(item.filed / TICK_S) == slot
