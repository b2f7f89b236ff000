"""The least rate: a client that moves a body, but so slowly that it only holds a place, is let go.

Judged over windows of `limits.rate_window_s`, by what went forward in each. Costs nothing while a
body moves: one look at a counter per window.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from edge.codec.context import ListenerContext


class Pace:
    """Implements `Watched`. `slow()` is called once, after a window in which too little moved.

    `progress()` = bytes so far, of which only differences count; None = the client is not to blame
    now: somebody else holds the body up, or it may take its time.
    """

    __slots__ = ("_context", "_mark", "_progress", "_slow", "deadline", "filed")

    def __init__(
        self,
        context: ListenerContext,
        progress: Callable[[], int | None],
        slow: Callable[[], None],
        mark: int = 0,
    ) -> None:
        """Watches from now on, until `over`. `mark` = what `progress` is now."""
        self._context = context
        self._progress = progress
        self._slow = slow
        self._mark: int | None = mark
        self.deadline = self.filed = inf
        self._watch()

    def over(self) -> None:
        """The body is complete, or nobody waits for it any more."""
        self.deadline = inf
        self._context.deadlines.forget(self)

    def expired(self) -> None:
        """A window is over."""
        limits = self._context.limits
        before, now = self._mark, self._progress()
        self._mark = now
        least = limits.min_rate_bytes_s * limits.rate_window_s
        if before is not None and now is not None and now - before < least:
            self._slow()
        else:
            self._watch()

    def _watch(self, part: float = 1.0) -> None:
        """Look again after a window, or a `part` of one."""
        limits = self._context.limits
        if limits.min_rate_bytes_s:
            self.deadline = self._context.clock() + limits.rate_window_s * part
            self._context.deadlines.watch(self)


class ReadingPace(Pace):
    """Of a client that reads. Who takes nothing at all has paused a download, and costs what is buffered.

    So a window in one half of which nothing was taken is forgiven, until `limits.stall_s` have gone by
    without one in which enough was. Who goes on taking too little is not forgiven.
    """

    __slots__ = ("_behind_s", "_halfway", "_middle")

    def __init__(
        self,
        context: ListenerContext,
        progress: Callable[[], int | None],
        slow: Callable[[], None],
        mark: int = 0,
    ) -> None:
        self._behind_s = 0.0
        self._halfway = False
        self._middle: int | None = None
        super().__init__(context, progress, slow, mark)

    def expired(self) -> None:
        """Half a window, or a whole one, is over."""
        now = self._progress()
        self._halfway = not self._halfway
        if self._halfway:
            self._middle = now
            self._watch()
            return
        limits = self._context.limits
        before, middle, self._mark = self._mark, self._middle, now
        least = limits.min_rate_bytes_s * limits.rate_window_s
        if before is None or middle is None or now is None or now - before >= least:
            self._behind_s = 0.0
        else:
            self._behind_s += limits.rate_window_s
            if before < middle < now or self._behind_s >= limits.stall_s:
                self._slow()
                return
        self._watch()

    def _watch(self, part: float = 0.5) -> None:
        super()._watch(part)
