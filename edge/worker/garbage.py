"""The garbage collector, kept away from requests.

What lives long is frozen: no collection on the way of a request looks at it. After a change, when it
is quiet, a turn of the loop of its own looks through what came since, and freezes what is left. What
was frozen is looked through only when it has become twice as much: tables of revisions hold no
cycles, so they go by themselves, and looking at everything takes 40 ms.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from typing import Final

QUIET_S: Final = 0.5
"""A row of reloads is tidied up after once, at its end."""
GROWTH: Final = 2
"""Times as many frozen objects as at the start: some of them may be garbage."""
SELDOM_S: Final = 60.0
"""Between two looks at everything, at least."""


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
        self._base = 0
        self._next_whole = 0.0

    def hold(self) -> None:
        """A revision is being built: hundreds of thousands of objects, none of them garbage."""
        self._held += 1
        gc.disable()

    def release(self) -> None:
        """It is built, or given up."""
        self._held -= 1
        if not self._held:
            gc.enable()

    def settle(self, at_once: bool) -> None:
        """A revision serves. `at_once` = the first one: nobody waits for an answer yet."""
        if at_once:
            gc.collect()
        gc.freeze()
        self._base = self._base or gc.get_freeze_count()

    def tidy(self) -> None:
        """A revision is over: look for what it left, when it has been quiet for a while."""
        if self._again is not None:
            self._again.cancel()
        self._again = self._loop.call_later(QUIET_S, self._look)

    def _look(self) -> None:
        self._again = None
        if self._held:
            self.tidy()
            return
        began = self._clock()
        now = self._loop.time()
        if gc.get_freeze_count() > GROWTH * self._base and now >= self._next_whole:
            self._next_whole = now + SELDOM_S
            gc.unfreeze()
        gc.collect()
        gc.freeze()
        self.pause_s = self._clock() - began
