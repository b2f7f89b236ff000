"""What equal exchanges count in and say in the access log: looked up once for all of them.

Nearly all exchanges of a rule end like one before: same status, same endpoint, same protocol.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, Final

from edge.exchange.state import ExchangeState
from edge.telemetry.access_log import Alike, ready
from edge.telemetry.catalogue import BUCKETS_S
from edge.telemetry.metrics import ClientMetrics, Counter, Histogram, Registry, ServerMetrics
from edge.telemetry.spans import RouteInfo

OUTCOMES: Final = 1024
"""Remembered of all rules, beside the latest of each; beyond, they are made anew as they come."""

Key = tuple[object, ...]


class RuleReport:
    """What is the same for every exchange of one rule on one listener; and how the latest one ended."""

    __slots__ = ("info", "key", "metrics", "outcome", "route_json")

    outcome: Outcome

    def __init__(self, metrics: ServerMetrics, info: RouteInfo) -> None:
        self.metrics = metrics
        self.info = info
        self.route_json = ready(info.route)
        self.key: Key = ()


class Outcome(Alike):
    """Where exchanges that ended alike are counted, and their part of a line: one object, for of
    thousands of rules none is in the processor's cache."""

    __slots__ = ("client", "received", "sent", "server")

    def __init__(
        self,
        report: RuleReport,
        protocol: bytes,
        status: int,
        flags: bytes,
        cluster: bytes,
        upstream: bytes,
        attempts: int,
        filter_name: bytes,
    ) -> None:
        super().__init__(protocol, status, flags, report.route_json, cluster, upstream, attempts, filter_name)
        metrics = report.metrics
        self.server = metrics.durations[status]
        self.received: Counter = metrics.request_bytes
        self.sent: Counter = metrics.response_bytes
        self.client: Histogram | None = None
        """Where an upstream was asked."""


class _Cluster:
    __slots__ = ("json", "metrics")

    def __init__(self, registry: Registry, name: str) -> None:
        self.metrics = ClientMetrics(registry, name)
        self.json = ready(name)


class Outcomes:
    """Of one revision."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: dict[Key, Outcome] = {}
        self._clusters: dict[str, _Cluster] = {}

    def count(self, exchange: ExchangeState, report: Any, duration_s: float) -> Outcome:
        """Count an exchange which is over where its like are; `report` is the `RuleReport` it belongs to."""
        upstream = exchange.upstream
        key = (
            None if upstream is None else upstream.address,
            exchange.status,
            exchange.cluster_name,
            exchange.head.protocol,
            0 if upstream is None else upstream.attempts,
            exchange.flag,
            exchange.reply_source,
            exchange.reply_filter,
            exchange.response is None,
        )
        if key != report.key:
            report.outcome = self._known.get((report, *key)) or self._make(key, exchange, report)
            report.key = key
        outcome: Outcome = report.outcome
        bucket = bisect_left(BUCKETS_S, duration_s)
        server, client = outcome.server, outcome.client
        server.counts[bucket] += 1
        server.sum += duration_s
        if client is not None:
            client.counts[bucket] += 1
            client.sum += duration_s
        bytes_in = exchange.bytes_in
        if bytes_in:
            outcome.received.value += bytes_in
        outcome.sent.value += exchange.bytes_out
        return outcome

    def _make(self, key: Key, exchange: ExchangeState, report: RuleReport) -> Outcome:
        upstream = exchange.upstream
        status = exchange.status
        client: Histogram | None = None
        cluster_json, address, attempts = ready(""), b"", 0
        if upstream is not None:
            cluster = self._clusters.get(exchange.cluster_name) or self._cluster(exchange.cluster_name)
            answered = exchange.response is not None and exchange.reply_source == "upstream"
            client = cluster.metrics.durations[status if answered else 0]
            cluster_json, address, attempts = cluster.json, upstream.address.encode(), upstream.attempts
        made = Outcome(
            report,
            exchange.head.protocol.encode(),
            status,
            exchange.flag.encode(),
            cluster_json,
            address,
            attempts,
            ready(exchange.reply_filter),
        )
        made.client = client
        if len(self._known) >= OUTCOMES:
            self._known.clear()
        self._known[(report, *key)] = made
        return made

    def _cluster(self, name: str) -> _Cluster:
        made = self._clusters[name] = _Cluster(self._registry, name)
        return made
