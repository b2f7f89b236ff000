"""Which endpoint of a cluster comes next."""

from __future__ import annotations

from typing import Protocol


class Balancer(Protocol):
    """Chooses among the endpoints 0..n-1 of one cluster. Every attempt asks once."""

    def pick(self, tried: int) -> int:
        """Index of an endpoint whose bit is not set in `tried`, or -1 when all bits are set."""


class RoundRobin:
    """One after the other; an endpoint already tried is passed over."""

    __slots__ = ("_count", "_next")

    def __init__(self, count: int) -> None:
        self._count = count
        self._next = 0

    def pick(self, tried: int) -> int:
        count = self._count
        index = self._next
        for _ in range(count):
            following = index + 1
            if following == count:
                following = 0
            if not tried >> index & 1:
                self._next = following
                return index
            index = following
        return -1
