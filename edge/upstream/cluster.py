"""A cluster: its endpoints, and the one function that decides where a request goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final

from edge import model
from edge.errors import NoEndpoint, Overloaded
from edge.exchange.deadlines import Deadlines
from edge.exchange.seams import ExchangeResponse
from edge.head import RequestHead
from edge.upstream.budget import RetryBudget
from edge.upstream.dialer import Dialer
from edge.upstream.endpoints import Endpoints
from edge.upstream.pool import H1Pool, Pool, ProxiedPool, Settings
from edge.upstream.queue import Queue
from edge.upstream.request import PooledRequest
from edge.upstream.shared_pool import SharedPool
from edge.upstream.shares import Shares


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
    """Implements `seams.ClusterHandle`, plain: `edge.upstream.guarded` adds what few clusters have.

    `share` = how many workers there are: each keeps its part of the model's limits, rounded up.
    """

    def __init__(
        self,
        cluster: model.Cluster,
        dialer: Dialer,
        deadlines: Deadlines,
        clock: Callable[[], float],
        limits: model.Limits,
        call_soon: Callable[[Callable[[], None]], object] | None = None,
        share: int = 1,
    ) -> None:
        self.name = cluster.name
        self.model = cluster
        self.secure = cluster.tls is not None
        self.limits = limits
        self.clock = clock
        self.deadlines = deadlines
        self.share = share
        self.generation = 0
        """Of the last `update` that was carried out."""
        self.closed = False
        self.rejected: Counter[str] = Counter()
        """Requests not taken, by reason."""
        self.retrying = 0
        """Requests that a rule's `retry` is trying again."""
        self.retry_budget = RetryBudget(cluster.retry_percent, part(cluster.min_retries_per_s, share), clock)
        self._retries_max = part(cluster.max_retries, share)
        self._connections_max = part(cluster.max_connections, share)
        self.queue = Queue(
            self._admit, self._sated, deadlines, clock, part(cluster.max_pending, share), self.rejected
        )
        settings = Settings(cluster, dialer, deadlines, clock, limits, call_soon)
        make = _pools(cluster)
        self.shared = make.shared
        self.endpoints = endpoints = Endpoints(
            cluster, lambda index, endpoint: make(index, endpoint, settings, self.queue), deadlines, clock
        )
        self.pools: list[Pool] = endpoints.pools
        self.shares = Shares(self.pools, self._connections_max, clock)
        endpoints.on_change = self._changed
        self._pick = endpoints.balancer.pick

    def dispatch(
        self, receiver: ExchangeResponse, head: RequestHead, end: bool, timeout_s: float, avoid: int = 0
    ) -> PooledRequest:
        """As the seam says. `avoid` = bits of endpoints not to choose while there are others."""
        request = PooledRequest(self, receiver, head, end, timeout_s)
        if avoid and self.endpoints.usable & ~avoid:
            request.tried = avoid
        self.assign(request)
        return request

    def decide(self, tried: int, fresh: bool, key: int = 0) -> tuple[Verdict, Pool | None]:
        """Every decision about connections, and nothing else: changes no pool.

        `tried` = bits of endpoints not to choose; `fresh` = an idle connection will not do; `key` =
        hash of the request, where the balancer wants one.
        """
        first = self._pick(tried, key)
        if first < 0:
            return Verdict.REFUSE, None
        pool = self.pools[first]
        if pool.idle and not fresh:
            return _USE, pool
        full = self.endpoints.open() >= self._connections_max
        for _ in range(len(self.pools)):
            if pool.joinable:
                return Verdict.JOIN, pool
            if not full:
                return Verdict.DIAL, pool
            if pool.idle:
                return (Verdict.EVICT if fresh and not pool.shared else _USE), pool
            tried |= 1 << pool.index
            index = self._pick(tried, key)
            if index < 0:
                break
            pool = self.pools[index]
        return (Verdict.WAIT if self.queue.has_place else Verdict.REFUSE), None

    def assign(self, request: PooledRequest, fresh: bool = False) -> None:
        """Start an attempt of `request`, or let it wait, or fail it."""
        if self.shares.near:
            client = self.shares.sated(request.receiver)
            if client:
                self._set_aside(request, client)
                return
        verdict, pool = self.decide(request.tried, fresh, request.key)
        if pool is None:
            self._no_pool(request, verdict)
        elif verdict is _USE:
            if request.timeout_s:
                request.attempt_deadline = self.clock() + request.timeout_s
            request.use(pool.take(), pool)
        else:
            self._start(request, verdict, pool)

    def _start(self, request: PooledRequest, verdict: Verdict, pool: Pool) -> None:
        timeout_s = request.timeout_s
        if timeout_s:
            request.attempt_deadline = self.clock() + timeout_s
        if verdict is _USE:
            request.use(pool.take(), pool)
            return
        if verdict is Verdict.EVICT:
            pool.evict()
        request.tried |= 1 << pool.index
        start = pool.join if verdict is Verdict.JOIN else pool.dial
        request.dialling(start(request, timeout_s), pool)
        self.shares.grown()

    def _no_pool(self, request: PooledRequest, verdict: Verdict) -> None:
        if verdict is Verdict.WAIT:
            self.queue.join(request)
        elif self.endpoints.usable & ~request.tried:
            self.rejected["max_pending"] += 1
            request.give_up(Overloaded("too many requests wait"))
        else:
            self.rejected["no_endpoint"] += 1
            request.give_up(NoEndpoint("no endpoint"))

    def _set_aside(self, request: PooledRequest, client: str) -> None:
        """`client` has its share of the connections: its requests wait for one of its own."""
        if self.queue.has_place_aside:
            self.queue.join(request, client)
        else:
            self.rejected["client_share"] += 1
            request.give_up(Overloaded("the client has its share of the cluster's connections"))

    def _sated(self, request: PooledRequest) -> str:
        return self.shares.sated(request.receiver) if self.shares.near else ""

    def _admit(self, request: PooledRequest) -> bool:
        """Start a request that waits, if that is possible now."""
        verdict, pool = self.decide(request.tried, False, request.key)
        if pool is None:
            return False
        self.queue.leave(request)
        self._start(request, verdict, pool)
        return True

    def untried(self, tried: int) -> bool:
        """Whether an endpoint is left whose bit is not set."""
        return bool(self.endpoints.usable & ~tried)

    def refuses_retry(self, counted: bool) -> str:
        """Why a request may not be tried again, empty if it may. `counted` = it is in `retrying`."""
        if self._retries_max and not counted and self.retrying >= self._retries_max:
            return "max_retries"
        return "" if self.retry_budget.take() else "retry_budget"

    def update(self, endpoints: Sequence[model.Endpoint], generation: int) -> bool:
        """These are the endpoints now. False for a generation that is not above the last one.

        Pools of endpoints that remain are kept, connections of removed ones end with their requests.
        """
        if generation <= self.generation or self.closed:
            return False
        self.generation = generation
        self.endpoints.update(endpoints)
        return True

    def _changed(self) -> None:
        """Other endpoints may be chosen."""
        self._pick = self.endpoints.balancer.pick
        if self.queue:
            self.queue.room()

    def close(self) -> None:
        """Idle connections close now, busy ones when their response is complete."""
        self.closed = True
        self.endpoints.close()


def _pools(cluster: model.Cluster) -> type[H1Pool] | type[SharedPool]:
    if cluster.protocol == "h2":
        return SharedPool
    return ProxiedPool if cluster.proxy_protocol else H1Pool


def part(limit: int, share: int) -> int:
    """One worker's part of `limit`, of which `share` workers have one each; 0 stays 0."""
    return -(-limit // share)
