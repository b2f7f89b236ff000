"""The pause clock: how long filters may hold an exchange while they wait for nothing."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from edge.chain.hold import Hold
from edge.errors import FilterPauseExpired

if TYPE_CHECKING:
    from edge.chain.course import Course
    from edge.chain.walk import Walk


class PauseClock:
    """One stopwatch per hold. It runs while nothing can come that the filter may still see: no
    callout or timer of its own (`Port.waiting`), no body. It starts anew with each hold.
    """

    __slots__ = ("_due", "_run")

    def __init__(self, run: Course) -> None:
        self._run = run
        self._due = inf

    def retime(self) -> None:
        """Start and stop the stopwatches, and tell the host when the first of them runs out."""
        held = self._run.held()
        if not held and self._due == inf:
            return
        host = self._run.host
        now = host.now()
        due = min((_due(walk, k, hold, now) for walk, k, hold in held), default=inf)
        if due != self._due:
            self._due = due
            host.set_pause_deadline(None if due == inf else max(due - now, 0.0))

    def expire(self) -> None:
        """The host's timer ran out: let go or fail whoever held too long."""
        now = self._run.host.now()
        self._due = inf
        for walk, k, hold in self._run.held():
            if _due(walk, k, hold, now) > now:
                continue
            bound = walk.places[k].bound
            if bound.fail_open:
                walk.resume(k)
            else:
                error = FilterPauseExpired(f"held for {bound.pause_s} s, waiting for nothing", bound.name)
                self._run.fail(error, walk.reply_before(k), bound.name)
            if self._run.halted:
                return


def _due(walk: Walk, k: int, hold: Hold, now: float) -> float:
    """When this hold is too old, if nothing happens until then."""
    place = walk.places[k]
    if not hold.stalled() or place.waits > 0:
        if hold.stalled_since is not None:
            hold.spent_s += now - hold.stalled_since
            hold.stalled_since = None
        return inf
    if hold.stalled_since is None:
        hold.stalled_since = now
    return hold.stalled_since + place.bound.pause_s - hold.spent_s
