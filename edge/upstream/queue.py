"""Requests that wait for a connection because their cluster is at its cap."""

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


class _Waiter:
    """One request that waits, with its deadline."""

    __slots__ = ("_queue", "_request", "deadline", "filed")

    def __init__(self, queue: Queue, request: PooledRequest, deadline: float) -> None:
        self._queue = queue
        self._request = request
        self.deadline = deadline
        self.filed = inf

    def expired(self) -> None:
        self._queue.late(self._request)


class Queue:
    """First in, first out. `admit(request)` starts a request and says whether that was possible.

    `rejected` counts those that waited in vain.
    """

    def __init__(
        self,
        admit: Callable[[PooledRequest], bool],
        deadlines: Deadlines,
        clock: Callable[[], float],
        places: int,
        rejected: Counter[str],
    ) -> None:
        self._admit = admit
        self._deadlines = deadlines
        self._clock = clock
        self._places = places
        self._rejected = rejected
        self._waiting: dict[PooledRequest, _Waiter] = {}
        self._making_room = False

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def has_place(self) -> bool:
        return len(self._waiting) < self._places

    def join(self, request: PooledRequest) -> None:
        waiter = _Waiter(self, request, self._clock() + min(request.timeout_s or inf, WAITING_MAX_S))
        self._waiting[request] = waiter
        self._deadlines.watch(waiter)

    def leave(self, request: PooledRequest) -> None:
        """`request` was started, was cancelled, or has waited long enough."""
        waiter = self._waiting.pop(request, None)
        if waiter is not None:
            self._deadlines.forget(waiter)

    def late(self, request: PooledRequest) -> None:
        """`request` has waited long enough."""
        self.leave(request)
        self._rejected["max_connections"] += 1
        request.give_up(Overloaded("no connection came free in time"))

    def room(self) -> None:
        """A connection became idle or ended: the oldest go on. A loop, never recursive."""
        if self._making_room:
            return
        self._making_room = True
        try:
            while self._waiting and self._admit(next(iter(self._waiting))):
                pass
        finally:
            self._making_room = False
