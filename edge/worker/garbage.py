"""The garbage collector, kept away from requests.

What lives as long as a revision is frozen: no collection on the way of a request looks at it. Cycles
of revisions that are over are found in a turn of the loop of its own, some time after a change.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from typing import Final

QUIET_S: Final = 0.5
"""A row of reloads is tidied up after once, at its end."""
PAUSE_S: Final = 0.020
"""A heap so large that looking through it takes longer is looked through more seldom."""
SELDOM_S: Final = 60.0


class Garbage:
    """`hold` and `release` come in pairs around the building of a revision."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.pause_s = 0.0
        """How long the latest look through everything took."""
        self._loop = loop
        self._clock = clock
        self._held = 0
        self._again: asyncio.TimerHandle | None = None
        self._next = 0.0

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
        """What there is now will live long. `at_once` = nobody waits for an answer yet."""
        if at_once:
            gc.collect()
        gc.freeze()

    def tidy(self) -> None:
        """A revision is over: look for what it left, when it has been quiet for a while."""
        if self._again is not None:
            self._again.cancel()
        now = self._loop.time()
        self._again = self._loop.call_at(max(now + QUIET_S, self._next), self._look)

    def _look(self) -> None:
        self._again = None
        if self._held:
            self.tidy()
            return
        began = self._clock()
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        self.pause_s = self._clock() - began
        self._next = self._loop.time() + (SELDOM_S if self.pause_s > PAUSE_S else 0.0)
