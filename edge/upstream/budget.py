"""How many requests of a cluster may be tried again: a part of those of the last seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

WINDOW_S: Final = 5.0
"""Requests and retries are remembered for one to two of these."""
ALL_PERCENT: Final = 100


class RetryBudget:
    """`percent` of the requests seen, and `min_per_s` however few they are. One per cluster and worker."""

    __slots__ = ("_before", "_clock", "_ends", "_min_per_s", "_percent", "_requests", "_retries")

    def __init__(self, percent: int, min_per_s: int, clock: Callable[[], float]) -> None:
        self._percent = percent
        self._min_per_s = min_per_s
        self._clock = clock
        self._ends = 0.0
        self._requests = self._retries = 0
        self._before = (0, 0)
        """Requests and retries of the window before."""

    def count(self) -> None:
        """A request that may be tried again has come."""
        self._turn()
        self._requests += 1

    def take(self) -> bool:
        """Whether one more may be tried again; if so it is counted."""
        self._turn()
        requests, retries = self._before
        allowed = max(
            (requests + self._requests) * self._percent / ALL_PERCENT, self._min_per_s * 2 * WINDOW_S
        )
        if retries + self._retries + 1 > allowed:
            return False
        self._retries += 1
        return True

    def _turn(self) -> None:
        now = self._clock()
        if now < self._ends:
            return
        recent = now < self._ends + WINDOW_S
        self._before = (self._requests, self._retries) if recent else (0, 0)
        self._requests = self._retries = 0
        self._ends = now + WINDOW_S
