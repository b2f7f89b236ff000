"""How full a worker is: its memory and its descriptors beside what it may have.

| of either | |
|---|---|
| 92 % | connections are let go after the request under way |
| 95 % | new requests get 503 and `retry-after`, new connections are turned away, none is accepted |
| below 90 % | all is as before |

Memory that the allocator keeps of what a flood has freed is not in use: before a worker is called full,
the allocator gives it back.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Final

from edge.exchange.admission import EASE, OVERLOADED, STRAINED

PERIOD_S: Final = 0.25
TRIM_EVERY: Final = 20
"""Looks; giving memory back takes milliseconds."""
STRAINED_AT: Final = 0.92
OVERLOADED_AT: Final = 0.95
EASED_BELOW: Final = 0.90
COUNT_ABOVE: Final = 0.5
"""Counting descriptors costs a system call for each few hundred; below this share nobody needs it."""
CGROUP_LIMIT: Final = Path("/sys/fs/cgroup/memory.max")


class Pressure:
    """`told(level)` when it changed. `connections()` is a cheap count of what most descriptors are for."""

    def __init__(
        self,
        workers: int,
        connections: Callable[[], int],
        told: Callable[[int], None],
        resident: Callable[[], int] | None = None,
        descriptors: Callable[[], int] | None = None,
        trim: Callable[[], None] | None = None,
    ) -> None:
        self.level = EASE
        self._workers = workers
        self._connections = connections
        self._told = told
        self._resident = resident or resident_bytes
        self._descriptors = descriptors or open_descriptors
        self._trim = trim or give_back
        self._until_trim = 0
        self._memory_limit = 0
        self.descriptor_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]

    def allow(self, memory_bytes: int) -> None:
        """Each worker may have so much; 0 = its part of what the machine or container gives the group."""
        self._memory_limit = memory_bytes or _given_bytes() // self._workers

    def look(self) -> None:
        """Judge anew; call every PERIOD_S."""
        try:
            share = max(self._memory_in_use(), self._descriptor_share())
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            share = 1.0  # to look takes a descriptor, and there is none
        level = self.level
        if share >= OVERLOADED_AT:
            level = OVERLOADED
        elif share >= STRAINED_AT:
            level = max(level, STRAINED)
        elif share < EASED_BELOW:
            level = EASE
        if level != self.level:
            self.level = level
            self._told(level)

    def _memory_in_use(self) -> float:
        self._until_trim = max(0, self._until_trim - 1)
        share = self._memory_share()
        if share < STRAINED_AT and (self.level == EASE or share < EASED_BELOW):
            return share
        if not self._until_trim:
            self._until_trim = TRIM_EVERY
            self._trim()
            share = self._memory_share()
        return share

    def _memory_share(self) -> float:
        return self._resident() / self._memory_limit if self._memory_limit else 0.0

    def _descriptor_share(self) -> float:
        limit = self.descriptor_limit
        if limit <= 0 or self._connections() < limit * COUNT_ABOVE / 2:
            return 0.0  # each exchange has two ends at most, so the half of it at most is in use
        return self._descriptors() / limit


def give_back() -> None:
    """What the C library keeps free, where it is one that can be told to."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def resident_bytes() -> int:
    """Of this process."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def open_descriptors() -> int:
    """Of this process."""
    return len(os.listdir("/proc/self/fd"))


def _given_bytes() -> int:
    """What the container may have, else all of the machine's memory."""
    whole = os.sysconf("SC_PHYS_PAGES") * resource.getpagesize()
    try:
        text = CGROUP_LIMIT.read_text().strip()
    except OSError:
        return whole
    return min(int(text), whole) if text.isdigit() else whole
