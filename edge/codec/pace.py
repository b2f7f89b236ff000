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

    def _watch(self) -> None:
        limits = self._context.limits
        if limits.min_rate_bytes_s:
            self.deadline = self._context.clock() + limits.rate_window_s
            self._context.deadlines.watch(self)
