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
        self._ticking = False

    def watch(self, item: Watched) -> None:
        """File `item` by its deadline, unless it is already filed early enough.

        A deadline moved later needs no call; one moved earlier, or set again after `inf`, does.
        """
        deadline = item.deadline
        if deadline == inf or item.filed <= deadline:
            return
        if item.filed != inf:
            self._slots.get(int(item.filed / TICK_S), set()).discard(item)
        item.filed = deadline
        self._slots.setdefault(int(deadline / TICK_S), set()).add(item)
        if not self._ticking:
            self._ticking = True
            self._call_later(TICK_S, self._tick)

    def forget(self, item: Watched) -> None:
        """Drop `item` now, so that nothing keeps it alive."""
        if item.filed != inf:
            slot = self._slots.get(int(item.filed / TICK_S))
            if slot is not None:
                slot.discard(item)
            item.filed = inf

    def _tick(self) -> None:
        now = self._clock()
        last = int(now / TICK_S)
        for slot in [s for s in self._slots if s <= last]:
            for item in self._slots.pop(slot):
                item.filed = inf
                if item.deadline > now:
                    self.watch(item)
                else:
                    item.expired()
        if self._slots:
            self._call_later(TICK_S, self._tick)
        else:
            self._ticking = False
