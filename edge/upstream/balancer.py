"""Which endpoint of a cluster comes next: in turn, by weight, by chance, by load. By hash: maglev.py."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush, heapreplace
from itertools import accumulate, cycle, islice
from typing import Final, NamedTuple, Protocol

SAMPLES_MAX: Final = 4
"""Draws for a second candidate that differs from the first."""


class Host(NamedTuple):
    """An endpoint that may be chosen. `slot` is the number of its bit, `name` never changes; weight >= 1."""

    slot: int
    weight: int
    name: str


class Balancer(Protocol):
    """Chooses among hosts that were given when it was made. Every attempt asks once."""

    def pick(self, tried: int, key: int) -> int:
        """Index of a host whose bit is not set in `tried`, or -1 when all bits are set.

        `key` is the hash of the request, for those who choose by it.
        """


class RoundRobin:
    """One after the other; a host already tried is passed over."""

    __slots__ = ("_count", "_round")

    def __init__(self, hosts: Sequence[Host]) -> None:
        self._count = len(hosts)
        self._round = cycle([host.slot for host in hosts])

    def pick(self, tried: int, key: int) -> int:
        if not tried:
            return next(self._round, -1)
        for slot in islice(self._round, self._count):
            if not tried >> slot & 1:
                return slot
        return -1


class Weighted:
    """In turn, by weight, evenly mixed: in each round of all weights a host comes as often as its own.

    The host whose next turn is due first: its nth turn is due in the middle of the nth part of a
    round that is cut into `weight` parts.
    """

    __slots__ = ("_due",)

    def __init__(self, hosts: Sequence[Host]) -> None:
        self._due = [(0.5 / host.weight, host.slot, host.weight, 0) for host in hosts]
        heapify(self._due)

    def pick(self, tried: int, key: int) -> int:
        due = self._due
        passed = []
        found = -1
        while due:
            first = due[0]
            _, index, weight, turn = first
            if not tried >> index & 1:
                turn += 1
                heapreplace(due, ((turn + 0.5) / weight, index, weight, turn))
                found = index
                break
            passed.append(heappop(due))
        for each in passed:
            heappush(due, each)
        return found


class Random:
    """By chance, in proportion to the weights. `draw()` gives numbers from 0 to 1, 1 excluded."""

    __slots__ = ("_bounds", "_draw", "_hosts")

    def __init__(self, hosts: Sequence[Host], draw: Callable[[], float]) -> None:
        self._hosts = list(hosts)
        self._draw = draw
        even = len({host.weight for host in hosts}) <= 1
        self._bounds = [] if even else list(accumulate(host.weight for host in hosts))

    def pick(self, tried: int, key: int) -> int:
        host = self.sample(tried)
        return -1 if host is None else host.slot

    def sample(self, tried: int) -> Host | None:
        """A host whose bit is not set in `tried`, None when there is none."""
        if tried:
            left = [host for host in self._hosts if not tried >> host.slot & 1]
            if len(left) < len(self._hosts):
                return Random(left, self._draw).sample(0)
        if not self._hosts:
            return None
        if self._bounds:
            return self._hosts[bisect_right(self._bounds, self._draw() * self._bounds[-1])]
        return self._hosts[int(self._draw() * len(self._hosts))]


class LeastRequest:
    """Of two drawn by weight the one with less under way for its weight; the first if they are equal.

    `active(index)` tells how many requests a host has. Two choices come close to knowing the least
    of all, and workers that do not know of each other do not all run to the same one.
    """

    __slots__ = ("_active", "_random")

    def __init__(
        self, hosts: Sequence[Host], active: Callable[[int], int], draw: Callable[[], float]
    ) -> None:
        self._random = Random(hosts, draw)
        self._active = active

    def pick(self, tried: int, key: int) -> int:
        one = self._random.sample(tried)
        if one is None:
            return -1
        for _ in range(SAMPLES_MAX):
            other = self._random.sample(tried)
            if other is not None and other.slot != one.slot:
                if self._active(other.slot) * one.weight < self._active(one.slot) * other.weight:
                    return other.slot
                break
        return one.slot
