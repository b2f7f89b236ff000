"""The endpoints of a cluster: their pools, which of them may be chosen now, and by whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import random

from edge import model
from edge.exchange.deadlines import Deadlines
from edge.upstream.balancer import Balancer, Host, LeastRequest, Random, RoundRobin, Weighted
from edge.upstream.maglev import Maglev
from edge.upstream.outliers import Outliers
from edge.upstream.pool import Pool

ALL_PERCENT = 100


class Endpoints:
    """A pool keeps its index for as long as its endpoint stays; an index is a bit of every mask.

    Pools of removed endpoints stay in `pools` while they drain. `usable` holds the bits that may
    be chosen now: healthy, not ejected; or all, when too few of them are left (`panic`).
    After `close` everything can still be chosen, by exchanges that are under way.
    """

    def __init__(
        self,
        cluster: model.Cluster,
        make: Callable[[int, model.Endpoint], Pool],
        deadlines: Deadlines,
        clock: Callable[[], float],
        draw: Callable[[], float] = random,
    ) -> None:
        self.pools: list[Pool] = []
        self.usable = 0
        self.panic = False
        self.balancer: Balancer = RoundRobin([])
        self.on_change: Callable[[], None] = _nothing
        self._cluster = cluster
        self._make = make
        self._draw = draw
        self._removed = 0
        self.outliers: Outliers | None = None
        if cluster.outliers is not None:
            self.outliers = Outliers(
                cluster.outliers, deadlines, clock, lambda: len(self.live()), self._refresh
            )
        self.update(cluster.endpoints)

    def live(self) -> list[Pool]:
        """Pools of endpoints that are not removed."""
        removed = self._removed
        return [pool for pool in self.pools if not removed >> pool.index & 1]

    def update(self, endpoints: Iterable[model.Endpoint]) -> None:
        """These are the endpoints now. Connections to those that remain are kept, others drain."""
        wanted = {(endpoint.host, endpoint.port): endpoint for endpoint in endpoints}
        for pool in self.pools:
            endpoint = wanted.pop((pool.endpoint.host, pool.endpoint.port), None)
            if endpoint is not None:
                pool.endpoint = endpoint
                pool.closing = False
                self._removed &= ~(1 << pool.index)
            elif not self._removed >> pool.index & 1:
                self._remove(pool)
        for endpoint in wanted.values():
            self._add(endpoint)
        self._refresh()

    def _remove(self, pool: Pool) -> None:
        pool.close()
        self._removed |= 1 << pool.index
        if self.outliers is not None:
            self.outliers.forget(pool.index)

    def _add(self, endpoint: model.Endpoint) -> None:
        for index, pool in enumerate(self.pools):
            if self._removed >> index & 1 and not pool.open:
                if self.outliers is not None:
                    self.outliers.forget(index)  # of how the last of the one before ended
                self.pools[index] = self._make(index, endpoint)
                self._removed &= ~(1 << index)
                return
        self.pools.append(self._make(len(self.pools), endpoint))

    def _refresh(self) -> None:
        """Judge anew who may be chosen."""
        ejected = self.outliers.mask if self.outliers is not None else 0
        live = self.live()
        good = [
            pool
            for pool in live
            if pool.endpoint.healthy and pool.endpoint.weight and not ejected >> pool.index & 1
        ]
        self.panic = len(good) * ALL_PERCENT < self._cluster.panic_percent * len(live)
        chosen = live if self.panic else good
        self.usable = sum(1 << pool.index for pool in chosen)
        self.balancer = self._balancer(live, chosen)
        self.on_change()

    def _balancer(self, live: list[Pool], chosen: list[Pool]) -> Balancer:
        kind = self._cluster.balancing.type
        if kind == "hash":
            return self._hashing(live)
        hosts = [_host(pool) for pool in chosen]
        if kind == "least_request":
            return LeastRequest(hosts, self._active, self._draw)
        if kind == "random":
            return Random(hosts, self._draw)
        return Weighted(hosts) if len({host.weight for host in hosts}) > 1 else RoundRobin(hosts)

    def _hashing(self, live: list[Pool]) -> Maglev:
        """The table changes with the endpoints only, not with their health: that is in its mask."""
        hosts = sorted((_host(pool) for pool in live), key=lambda host: host.name)
        out = ~self.usable
        balancer = self.balancer
        if isinstance(balancer, Maglev) and balancer.hosts == hosts:
            balancer.out = out
            return balancer
        return Maglev(hosts, self._cluster.balancing.table_size, out)

    def _active(self, index: int) -> int:
        return self.pools[index].active

    def open(self) -> int:
        """Connections, those that drain included."""
        return sum(pool.open for pool in self.pools)

    def states(self) -> dict[str, int]:
        """How many endpoints are `healthy`, `unhealthy` (by active checks) and `ejected`."""
        ejected = self.outliers.mask if self.outliers is not None else 0
        counts = {"healthy": 0, "unhealthy": 0, "ejected": 0}
        for pool in self.live():
            if ejected >> pool.index & 1:
                counts["ejected"] += 1
            else:
                counts["healthy" if pool.endpoint.healthy else "unhealthy"] += 1
        return counts

    def close(self) -> None:
        """Idle connections close now, busy ones when their response is complete."""
        if self.outliers is not None:
            self.outliers.stop()
        for pool in self.pools:
            pool.close()


def _host(pool: Pool) -> Host:
    endpoint = pool.endpoint
    return Host(pool.index, endpoint.weight or 1, f"{endpoint.host}:{endpoint.port}")


def _nothing() -> None:
    return
