"""The garbage collector, kept away from requests.

What lives long is frozen: no collection on the way of a request looks at it. After a change, when it
is quiet, a turn of the loop of its own looks through what came since, and freezes what is left. What
was frozen is looked through only when there is twice as much as revisions and the process account for:
tables of revisions hold no cycles, so they go by themselves, and looking at everything takes long. That
they go is work too, which is done in slices.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from edge.worker.slices import SLICE_S

QUIET_S: Final = 0.5
"""A row of reloads is tidied up after once, at its end."""
GROWTH: Final = 2
"""Times as many frozen objects as there should be: some of them may be garbage."""
YOUNG: Final = 10_000
"""New objects that make a collection due. Hundreds of requests under way are as many, and all of them go
by themselves: with Python's 700 every burst of gRPC calls was looked through, at 3 µs a call."""
SELDOM_S: Final = 60.0
"""Between two looks at how much there is, at least."""


class Garbage:
    """`hold` and `release` come in pairs around the building of a revision."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.pause_s = 0.0
        """How long the latest look took."""
        self._loop = loop
        self._clock = clock
        self._held = 0
        self._again: asyncio.TimerHandle | None = None
        self._process = 0
        """Frozen objects before the first revision."""
        self._built = self._active = 0
        """Objects of the revision that was built last, and of the one that serves."""
        self._next_count = 0.0
        self._apart: deque[Iterator[None]] = deque()

    def hold(self) -> None:
        """A revision is being built: hundreds of thousands of objects, none of them garbage."""
        self._held += 1
        gc.disable()
        gc.freeze()
        self._process = self._process or gc.get_freeze_count()

    def release(self) -> None:
        """It is built, or given up."""
        self._held -= 1
        self._built = gc.get_count()[0]  # since `freeze`: nothing was collected meanwhile
        gc.freeze()  # before it is enabled: the next collection, on the way of a request, would see them all
        if not self._held:
            gc.enable()

    def settle(self, at_once: bool) -> None:
        """A revision serves. `at_once` = the first one: nobody waits for an answer yet."""
        if at_once:
            gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
            gc.unfreeze()
            gc.collect()
        gc.freeze()
        self._active = self._built

    def tidy(self) -> None:
        """A revision is over: look for what it left, when it has been quiet for a while."""
        if self._again is not None:
            self._again.cancel()
        self._again = self._loop.call_later(QUIET_S, self._look)

    def take_apart(self, steps: Iterator[None]) -> None:
        """Take these steps, as many in a turn of the loop as requests may wait for."""
        self._apart.append(steps)
        if len(self._apart) == 1:
            self._loop.call_soon(self._slice)

    def _slice(self) -> None:
        until = self._clock() + SLICE_S
        while self._apart:
            for _ in self._apart[0]:
                if self._clock() >= until:
                    self._loop.call_soon(self._slice)
                    return
            self._apart.popleft()

    def _look(self) -> None:
        self._again = None
        if self._held or self._apart:
            self.tidy()
            return
        began = self._clock()
        now = self._loop.time()
        if now >= self._next_count:  # to count takes 10 ms, where objects are hundreds of thousands
            self._next_count = now + SELDOM_S
            if gc.get_freeze_count() > GROWTH * (self._process + self._active):
                gc.unfreeze()
        gc.collect()
        gc.freeze()
        self.pause_s = self._clock() - began
