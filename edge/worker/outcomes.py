"""What equal exchanges count in and say in the access log: looked up once for all of them.

Nearly all exchanges of a rule end like one before: same status, same endpoint, same protocol.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from edge.exchange.state import ExchangeState
from edge.telemetry.access_log import Alike, ready
from edge.telemetry.catalogue import BUCKETS_S
from edge.telemetry.metrics import ClientMetrics, Counter, Histogram, Registry, ServerMetrics
from edge.telemetry.spans import RouteInfo

OUTCOMES: Final = 1024
"""Remembered at most; beyond, all are made anew as they come."""

Key = tuple[object, ...]


class RuleReport:
    """What is the same for every exchange of one rule on one listener."""

    __slots__ = ("info", "metrics", "route_json")

    def __init__(self, metrics: ServerMetrics, info: RouteInfo) -> None:
        self.metrics = metrics
        self.info = info
        self.route_json = ready(info.route)


class Outcome:
    """Where exchanges that ended alike are counted, and their part of a line."""

    __slots__ = ("_durations", "_received", "_sent", "alike")

    def __init__(self, server: ServerMetrics, durations: list[Histogram], alike: Alike) -> None:
        """`durations` have the buckets of the convention."""
        self._durations = durations
        self._received: Counter = server.request_bytes
        self._sent: Counter = server.response_bytes
        self.alike = alike

    def count(self, duration_s: float, bytes_in: int, bytes_out: int) -> None:
        """One finished exchange."""
        bucket = bisect_left(BUCKETS_S, duration_s)
        for histogram in self._durations:
            histogram.counts[bucket] += 1
            histogram.sum += duration_s
        if bytes_in:
            self._received.value += bytes_in
        self._sent.value += bytes_out


class Outcomes:
    """Of one revision."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: dict[Key, Outcome] = {}
        self._clusters: dict[str, ClientMetrics] = {}

    def of(self, exchange: ExchangeState, report: object) -> Outcome:
        """That of an exchange which is over, and belongs to `report`, a `RuleReport`."""
        upstream = exchange.upstream
        key: Key = (
            report,
            exchange.status,
            exchange.reply_source,
            exchange.reply_filter,
            exchange.flag,
            exchange.response is None,
            exchange.head.protocol,
            exchange.cluster_name,
            None if upstream is None else upstream.address,
            0 if upstream is None else upstream.attempts,
        )
        return self._known.get(key) or self._make(key, exchange, report)

    def _make(self, key: Key, exchange: ExchangeState, report: object) -> Outcome:
        assert isinstance(report, RuleReport)
        upstream = exchange.upstream
        status = exchange.status
        durations = [report.metrics.durations[status]]
        if upstream is not None:
            answered = exchange.response is not None and exchange.reply_source == "upstream"
            durations.append(self._cluster(exchange.cluster_name).durations[status if answered else 0])
        alike = Alike(
            exchange.head.protocol.encode(),
            status,
            exchange.flag.encode(),
            report.route_json,
            ready(exchange.cluster_name if upstream is not None else ""),
            upstream.address.encode() if upstream is not None else b"",
            upstream.attempts if upstream is not None else 0,
            ready(exchange.reply_filter),
        )
        if len(self._known) >= OUTCOMES:
            self._known.clear()
        made = self._known[key] = Outcome(report.metrics, durations, alike)
        return made

    def _cluster(self, name: str) -> ClientMetrics:
        found = self._clusters.get(name)
        if found is None:
            found = self._clusters[name] = ClientMetrics(self._registry, name)
        return found
