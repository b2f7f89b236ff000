"""Clusters that choose by hash, watch for outliers or limit requests: what a plain one never pays."""

from __future__ import annotations

from collections.abc import Callable

from edge import model
from edge.errors import Overloaded
from edge.exchange.deadlines import Deadlines
from edge.exchange.seams import ExchangeResponse
from edge.head import RequestHead
from edge.upstream.cluster import Cluster, part
from edge.upstream.dialer import Dialer
from edge.upstream.hashing import Hashing
from edge.upstream.watched import WatchedRequest


class GuardedCluster(Cluster):
    """`active` = requests under way."""

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
        super().__init__(cluster, dialer, deadlines, clock, limits, call_soon, share)
        self.active = 0
        self._requests_max = part(cluster.max_requests, share)
        self._hashing = Hashing(cluster.balancing) if cluster.balancing.type == "hash" else None

    def dispatch(
        self, receiver: ExchangeResponse, head: RequestHead, end: bool, timeout_s: float, avoid: int = 0
    ) -> WatchedRequest:
        request = WatchedRequest(self, receiver, head, end, timeout_s)
        if self._requests_max and self.active > self._requests_max:
            self.rejected["max_requests"] += 1
            request.give_up(Overloaded("too many requests under way"))
            return request
        if self._hashing is not None:
            request.key, cookie = self._hashing.key(receiver, head)
            if cookie is not None:
                request.give_cookie(cookie)
        if avoid and self.endpoints.usable & ~avoid:
            request.tried = avoid
        self.assign(request)
        return request


def cluster_of(
    cluster: model.Cluster,
    dialer: Dialer,
    deadlines: Deadlines,
    clock: Callable[[], float],
    limits: model.Limits,
    call_soon: Callable[[Callable[[], None]], object] | None = None,
    share: int = 1,
) -> Cluster:
    """The cheapest that does what the model asks for."""
    guarded = cluster.outliers is not None or cluster.max_requests or cluster.balancing.type == "hash"
    make = GuardedCluster if guarded else Cluster
    return make(cluster, dialer, deadlines, clock, limits, call_soon, share)
