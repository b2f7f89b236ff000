"""How the connections of a cluster are shared out among clients when they run short.

Without it one client whose streams never end takes all of them, and everybody else waits in vain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol

from edge.exchange.admission import network
from edge.exchange.seams import Connection, ExchangeResponse

PER_FREE: Final = 3
"""A client may hold so many times what is free: alone three quarters, and whoever comes next finds some."""
RECOUNT_S: Final = 0.02
"""A count says too much as requests end. It is taken anew no sooner than this: of 1,024 it takes 0.4 ms."""
MANY_CLIENTS: Final = 4096
"""So many more than at the last count, and it is time for another: most of them are gone."""


class Counted(Protocol):
    """A pool, as far as its connections are shared out."""

    open: int
    idle: Sequence[object]

    @property
    def streams(self) -> int:
        """Requests that one connection carries at once; an HTTP/2 endpoint may allow none for a while."""

    def receivers(self) -> Iterable[ExchangeResponse | None]:
        """Who has a connection, or waits for one that is being made."""


class Shares:
    """Of one cluster of at most `most` connections. Sans-io.

    `near` = so many connections exist that clients may have to be counted. Until then, and while
    most of them are idle, nobody is: what a client holds is not known from request to request.
    """

    __slots__ = ("_clock", "_counted_at", "_held", "_many", "_most", "_pools", "near")

    def __init__(self, pools: Sequence[Counted], most: int, clock: Callable[[], float]) -> None:
        self._pools = pools
        self._most = most
        self._clock = clock
        self._many = MANY_CLIENTS
        self._held: Counter[str] | None = None
        """By client, at least what it holds; None = not counted since connections ran short."""
        self._counted_at = 0.0
        self.near = False

    def grown(self) -> None:
        """There is one more connection."""
        if self._most > PER_FREE:  # or nothing could be kept free
            self.near = self._short(sum(pool.open for pool in self._pools))

    def sated(self, receiver: ExchangeResponse) -> str:
        """The client of `receiver` if it has its share already. Empty = it is about to have one more.

        So are requests that are nobody's: a filter's callout, a copy for a mirror.
        """
        busy = sum(pool.open - len(pool.idle) for pool in self._pools)
        if not self._short(busy):
            self._held = None
            self.grown()
            return ""
        client = client_of(receiver)
        if not client:
            return ""
        free = self._most - busy
        share = max(free, 1) * PER_FREE * max([1, *(pool.streams for pool in self._pools)])
        held = self._held
        if held is None or (
            (held[client] >= share or len(held) > self._many)
            and self._clock() - self._counted_at >= RECOUNT_S
        ):
            self._counted_at = self._clock()
            held = self._held = Counter(self._clients())
            self._many = len(held) + MANY_CLIENTS
        if held[client] >= share:
            return client
        if free > 0:
            held[client] += 1
        return ""

    def _short(self, connections: int) -> bool:
        return connections >= (self._most - connections) * PER_FREE

    def _clients(self) -> Iterator[str]:
        return (client_of(receiver) for pool in self._pools for receiver in pool.receivers())


def client_of(receiver: ExchangeResponse | None) -> str:
    """What counts as one client: its address, or network; empty where there is none."""
    connection: Connection | None = getattr(receiver, "connection", None)
    return network(connection.peer[0]) if connection is not None else ""
