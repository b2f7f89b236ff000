"""Copies of requests to another cluster, whose answers nobody reads. Spec: Gateway API HTTPRequestMirror.

A mirror never slows or fails the request it copies: what its cluster does not take in time is held
up to a limit, then the copy is cut. Every copy has one outcome, counted by cluster:
`answered`, `failed`, `cut` (too slow, or the request itself ended early), `skipped` (too many under way).
"""

from __future__ import annotations

from random import random
from typing import Final, cast

from edge import model
from edge.exchange.seams import ClusterHandle, ExchangeResponse, Retrying, UpstreamRequest
from edge.head import RequestHead
from edge.route.copied import PATIENCE_S, Copy, Tee
from edge.route.site import Routed, Site

UNDER_WAY_MAX: Final = 256
"""Copies of one mirror at a time: with the two limits of bytes, 32 MiB at most."""


class Mirrors:
    """All mirrors of a rule; stands between an exchange and what sends its requests (`seams.Retrying`)."""

    __slots__ = ("_retry", "_targets")

    def __init__(self, mirrors: list[model.Mirror], site: Site, retry: Retrying | None) -> None:
        self._targets = [
            _Target(site.clusters[each.cluster], each.numerator / each.denominator, site) for each in mirrors
        ]
        self._retry = retry

    def dispatch(
        self,
        cluster: ClusterHandle,
        receiver: ExchangeResponse,
        head: RequestHead,
        end: bool,
        timeout_s: float,
    ) -> UpstreamRequest:
        """Send the request, then copies of it. Upgrades are not copied, for they have two ends."""
        retry = self._retry
        if retry is None:
            upstream = cluster.dispatch(receiver, head, end, timeout_s)
        else:
            upstream = retry.dispatch(cluster, receiver, head, end, timeout_s)
        exchange = cast(Routed, receiver)
        if exchange.finished or head.upgrade is not None:
            return upstream
        copies = [
            copy
            for target in self._targets
            if target.takes()
            if not (copy := target.copy(head, end, exchange, timeout_s)).over
        ]
        return Tee(upstream, copies) if copies and not end else upstream


class _Target:
    """One mirror and how many of its copies are under way."""

    __slots__ = ("_cluster", "_count", "_share", "_trace", "_under_way")

    def __init__(self, cluster: ClusterHandle, share: float, site: Site) -> None:
        self._cluster = cluster
        self._share = share
        self._count = site.count
        self._trace = site.trace
        self._under_way = 0

    def takes(self) -> bool:
        """Whether this request is one of its share, and there is room for it."""
        if self._share < 1.0 and random() >= self._share:
            return False
        if self._under_way >= UNDER_WAY_MAX:
            self._count(self._cluster.name, "skipped")
            return False
        return True

    def copy(self, head: RequestHead, end: bool, exchange: Routed, timeout_s: float) -> Copy:
        self._under_way += 1
        own = RequestHead(
            head.method, head.scheme, head.authority, head.path, list(head.fields), head.length, head.protocol
        )
        trace = self._trace(exchange, own, self._cluster) if self._trace and exchange.sampled else None
        made = Copy(exchange.services, self._done, trace)
        made.start(self._cluster.dispatch(made, own, end, timeout_s or PATIENCE_S))
        return made

    def _done(self, outcome: str) -> None:
        self._under_way -= 1
        self._count(self._cluster.name, outcome)
