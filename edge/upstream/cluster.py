"""A cluster: its endpoints' pools, and the one function that decides where a request goes."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final

from edge import model
from edge.errors import NoEndpoint
from edge.exchange.deadlines import Deadlines
from edge.exchange.seams import ExchangeResponse
from edge.head import RequestHead
from edge.upstream.balancer import Balancer, RoundRobin
from edge.upstream.dialer import Dialer
from edge.upstream.pool import H1Pool, Pool, Settings
from edge.upstream.queue import Queue
from edge.upstream.request import PooledRequest
from edge.upstream.shared_pool import SharedPool


class Verdict(Enum):
    """What to do with a request."""

    USE = "use"
    """Take the pool's idle connection."""
    DIAL = "dial"
    """Make a new connection in the pool."""
    JOIN = "join"
    """Wait for the connection that is being made: it has room for this request too."""
    EVICT = "evict"
    """As DIAL, after closing an idle connection: the pool is at its cap."""
    WAIT = "wait"
    """All connections are busy and no more may be made."""
    REFUSE = "refuse"
    """No endpoint, or too many wait already."""


_USE: Final = Verdict.USE


class Cluster:
    """Implements `seams.ClusterHandle`. The model's `max_connections` is per endpoint and worker."""

    def __init__(
        self,
        cluster: model.Cluster,
        dialer: Dialer,
        deadlines: Deadlines,
        clock: Callable[[], float],
        limits: model.Limits,
        balancer: Balancer | None = None,
        call_soon: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self.name = cluster.name
        self.model = cluster
        self.secure = cluster.tls is not None
        self.limits = limits
        self._clock = clock
        self.queue = Queue(self._admit, deadlines, clock)
        settings = Settings(cluster, dialer, deadlines, clock, limits, call_soon)
        make = SharedPool if cluster.protocol == "h2" else H1Pool
        self.pools: list[Pool] = [
            make(i, endpoint, settings, self.queue) for i, endpoint in enumerate(cluster.endpoints)
        ]
        self.shared = make.shared
        self._all_tried = (1 << len(self.pools)) - 1
        self._pick = (balancer or RoundRobin(len(self.pools))).pick

    def dispatch(
        self, receiver: ExchangeResponse, head: RequestHead, end: bool, timeout_s: float
    ) -> PooledRequest:
        request = PooledRequest(self, receiver, head, end, timeout_s)
        self.assign(request)
        return request

    def decide(self, tried: int, fresh: bool) -> tuple[Verdict, Pool | None]:
        """Every decision about connections, and nothing else: changes no pool.

        `tried` = bits of endpoints not to choose; `fresh` = an idle connection will not do.
        """
        first = self._pick(tried)
        if first < 0:
            return Verdict.REFUSE, None
        pool = self.pools[first]
        if pool.idle and not fresh:
            return _USE, pool
        for _ in range(len(self.pools)):
            if pool.joinable:
                return Verdict.JOIN, pool
            if pool.open < pool.cap:
                return Verdict.DIAL, pool
            if pool.idle:
                return (Verdict.EVICT if fresh and not pool.shared else _USE), pool
            tried |= 1 << pool.index
            index = self._pick(tried)
            if index < 0:
                break
            pool = self.pools[index]
        return (Verdict.WAIT if self.queue.has_place else Verdict.REFUSE), None

    def assign(self, request: PooledRequest, fresh: bool = False) -> None:
        """Start an attempt of `request`, or let it wait, or fail it."""
        verdict, pool = self.decide(request.tried, fresh)
        if pool is None:
            self._no_pool(request, verdict)
        else:
            self._start(request, verdict, pool)

    def _start(self, request: PooledRequest, verdict: Verdict, pool: Pool) -> None:
        timeout_s = request.timeout_s
        if timeout_s:
            request.attempt_deadline = self._clock() + timeout_s
        if verdict is _USE:
            request.use(pool.take(), pool.address)
            return
        if verdict is Verdict.EVICT:
            pool.evict()
        request.tried |= 1 << pool.index
        start = pool.join if verdict is Verdict.JOIN else pool.dial
        request.dialling(start(request, timeout_s), pool.address)

    def _no_pool(self, request: PooledRequest, verdict: Verdict) -> None:
        if verdict is Verdict.REFUSE:
            request.give_up(NoEndpoint("no endpoint" if not self.pools else "too many requests wait"))
        else:
            self.queue.join(request)

    def _admit(self, request: PooledRequest) -> bool:
        """Start a request that waits, if that is possible now."""
        verdict, pool = self.decide(request.tried, False)
        if pool is None:
            return False
        self.queue.leave(request)
        self._start(request, verdict, pool)
        return True

    def untried(self, tried: int) -> bool:
        """Whether an endpoint is left whose bit is not set."""
        return tried != self._all_tried

    def close(self) -> None:
        """Idle connections close now, busy ones when their response is complete."""
        for pool in self.pools:
            pool.close()
