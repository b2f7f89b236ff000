"""Requests that wait for a connection because their cluster is at its cap, or their client at its share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import inf
from typing import Final

from edge.errors import Overloaded
from edge.exchange.deadlines import Deadlines
from edge.upstream.request import PooledRequest

WAITING_MAX_S: Final = 10.0
"""Longest wait, when the request has no shorter timeout."""
LOOK_S: Final = 0.1
"""So often it is looked whether who waits aside may go on: each look may count all connections."""


class _Waiter:
    """One request that waits, in which line, with its deadline."""

    __slots__ = ("_queue", "_request", "deadline", "filed", "line")

    def __init__(self, queue: Queue, request: PooledRequest, deadline: float, line: str) -> None:
        self._queue = queue
        self._request = request
        self.deadline = deadline
        self.line = line
        self.filed = inf

    def expired(self) -> None:
        self._queue.late(self._request)


class _Look:
    """Comes up while somebody waits aside: nothing tells when a client's share has room again.

    A share grows as others end, and a count of what a client holds says too much for a while.
    """

    __slots__ = ("_queue", "deadline", "filed")

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.deadline = self.filed = inf

    def expired(self) -> None:
        self._queue.look()


class Queue:
    """First in, first out. `admit(request)` starts a request and says whether that was possible.

    `sated(request)` names its client if that has its share already: then it waits aside, in the line
    of its client, until nobody else waits or its client has less again. `rejected` counts those that
    waited in vain.
    """

    def __init__(
        self,
        admit: Callable[[PooledRequest], bool],
        sated: Callable[[PooledRequest], str],
        deadlines: Deadlines,
        clock: Callable[[], float],
        places: int,
        rejected: Counter[str],
    ) -> None:
        self._admit = admit
        self._sated = sated
        self._deadlines = deadlines
        self._clock = clock
        self._places = places
        self._rejected = rejected
        self._waiters: dict[PooledRequest, _Waiter] = {}
        self._line: dict[PooledRequest, None] = {}
        self._aside: dict[str, dict[PooledRequest, None]] = {}
        self._making_room = False
        self._look: _Look | None = None
        """Only while somebody waits aside, or a look ago did: a queue is in no cycle of references."""

    def __len__(self) -> int:
        return len(self._waiters)

    @property
    def has_place(self) -> bool:
        return len(self._line) < self._places

    @property
    def has_place_aside(self) -> bool:
        return len(self._waiters) - len(self._line) < self._places

    def join(self, request: PooledRequest, client: str = "") -> None:
        """`client` = whose share is used up, so that `request` waits aside."""
        waiter = _Waiter(self, request, self._clock() + min(request.timeout_s or inf, WAITING_MAX_S), client)
        self._waiters[request] = waiter
        self._line_of(client)[request] = None
        self._deadlines.watch(waiter)
        if client:
            self._look_later()

    def _line_of(self, client: str) -> dict[PooledRequest, None]:
        return self._aside.setdefault(client, {}) if client else self._line

    def leave(self, request: PooledRequest) -> None:
        """`request` was started, was cancelled, or has waited long enough."""
        waiter = self._waiters.pop(request, None)
        if waiter is None:
            return
        self._step_out(request, waiter)
        self._deadlines.forget(waiter)

    def late(self, request: PooledRequest) -> None:
        """`request` has waited long enough."""
        aside = bool(self._waiters[request].line)
        self.leave(request)
        self._rejected["client_share" if aside else "max_connections"] += 1
        request.give_up(Overloaded("no connection came free in time"))

    def room(self) -> None:
        """A connection became idle or ended: the oldest go on. A loop, never recursive."""
        if self._making_room:
            return
        self._making_room = True
        try:
            while self._line and self._forward(next(iter(self._line))):
                pass
            if not self._line:
                for line in list(self._aside.values()):
                    while line and self._forward(next(iter(line))):
                        pass
        finally:
            self._making_room = False

    def look(self) -> None:
        """Some time has passed: those aside whose client has less than its share again go on."""
        self._look = None
        for line in list(self._aside.values()) if self._line else ():
            self._come_back(next(iter(line)))
        self.room()
        if self._aside:
            self._look_later()

    def _look_later(self) -> None:
        if self._look is None:
            self._look = look = _Look(self)
            look.deadline = self._clock() + LOOK_S
            self._deadlines.watch(look)

    def _come_back(self, request: PooledRequest) -> None:
        """Its client may have more again: `request` stands in the common line, behind the others."""
        if not self._sated(request):
            self._change_line(request, "")

    def _forward(self, request: PooledRequest) -> bool:
        """Whether `request`, the first of its line, has left it: started, or gone aside."""
        client = self._sated(request)
        if not client:
            return self._admit(request)
        if self._waiters[request].line:
            return False
        self._change_line(request, client)
        self._look_later()
        return True

    def _change_line(self, request: PooledRequest, client: str) -> None:
        waiter = self._waiters[request]
        self._step_out(request, waiter)
        waiter.line = client
        self._line_of(client)[request] = None

    def _step_out(self, request: PooledRequest, waiter: _Waiter) -> None:
        line = self._line_of(waiter.line)
        del line[request]
        if waiter.line and not line:
            del self._aside[waiter.line]
