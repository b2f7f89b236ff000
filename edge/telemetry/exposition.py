"""Metrics of all workers as one Prometheus page.

Names follow the OpenTelemetry rules for Prometheus: dots become `_`, the unit is a suffix,
counters end in `_total`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family

from edge.telemetry.catalogue import CATALOGUE, Entry, Kind
from edge.telemetry.metrics import Labels, Sample
from edge.wire import Counters

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_UNITS: Final = {"s": "_seconds", "By": "_bytes"}
SERIES_LIMIT: Final = 20_000
"""Series taken from one worker's message."""

Table = dict[tuple[str, Labels], list[float]]


class Merged:
    """The sum of all workers' metrics; what a dead worker had counted is not lost."""

    def __init__(self) -> None:
        self._workers: dict[int, Table] = {}
        self._past: Table = {}
        self.malformed = 0

    def update(self, message: Counters) -> None:
        """The worker's totals since its start; samples the catalogue does not know are skipped."""
        table: Table = {}
        for name, labels, values in message.samples[:SERIES_LIMIT]:
            entry = CATALOGUE.get(name)
            if entry is None or len(values) != _width(entry):
                self.malformed += 1
                continue
            table[name, tuple(labels)] = values
        self._workers[message.worker] = table

    def retire(self, worker: int) -> None:
        """The worker died: its counters stay, its gauges go."""
        for key, values in self._workers.pop(worker, {}).items():
            if CATALOGUE[key[0]].kind is not Kind.GAUGE:
                _add(self._past, key, values)

    def table(self, own: Iterable[Sample] = ()) -> Table:
        """Everything summed, with the supervisor's `own` samples."""
        total: Table = {}
        for table in (self._past, *self._workers.values()):
            for key, values in table.items():
                _add(total, key, values)
        for name, labels, values in own:
            _add(total, (name, tuple(labels)), values)
        return total

    def render(self, own: Iterable[Sample] = ()) -> bytes:
        """The page, in the text format of `CONTENT_TYPE`."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Page(self.table(own)))
        return generate_latest(registry)


class _Page:
    """What prometheus-client calls a collector."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def collect(self) -> Iterator[Family]:
        by_name: dict[str, list[tuple[Labels, list[float]]]] = {}
        for (name, labels), values in self._table.items():
            by_name.setdefault(name, []).append((labels, values))
        for name in sorted(by_name):
            yield _family(name, CATALOGUE[name], by_name[name])


def _width(entry: Entry) -> int:
    return len(entry.buckets) + 2 if entry.kind is Kind.HISTOGRAM else 1


def _add(table: Table, key: tuple[str, Labels], values: list[float]) -> None:
    known = table.get(key)
    table[key] = list(values) if known is None else [a + b for a, b in zip(known, values, strict=True)]


def prometheus_name(name: str, unit: str) -> str:
    """Without `_total`, which the client adds to counters."""
    plain = name.replace(".", "_")
    suffix = _UNITS.get(unit, "")
    return plain if plain.endswith(suffix) else plain + suffix


def _family(name: str, entry: Entry, series: list[tuple[Labels, list[float]]]) -> Family:
    """One family; series may have different labels, those missing are empty."""
    keys = list(dict.fromkeys(key for labels, _ in series for key, _ in labels))
    shown = [key.replace(".", "_") for key in keys]
    title = prometheus_name(name, entry.unit)
    rows = [([dict(labels).get(key, "") for key in keys], values) for labels, values in sorted(series)]
    if entry.kind is Kind.HISTOGRAM:
        histogram = HistogramMetricFamily(title, entry.help, labels=shown)
        for texts, values in rows:
            histogram.add_metric(texts, buckets=_cumulative(entry.buckets, values[1:]), sum_value=values[0])
        return histogram
    if entry.kind is Kind.COUNTER:
        counter = CounterMetricFamily(title, entry.help, labels=shown)
        for texts, values in rows:
            counter.add_metric(texts, values[0])
        return counter
    gauge = GaugeMetricFamily(title, entry.help, labels=shown)
    for texts, values in rows:
        gauge.add_metric(texts, values[0])
    return gauge


def _cumulative(upper: tuple[float, ...], counts: list[float]) -> list[tuple[str, float]]:
    bounds = [*map(str, upper), "+Inf"]
    total = 0.0
    buckets = []
    for bound, count in zip(bounds, counts, strict=True):
        total += count
        buckets.append((bound, total))
    return buckets
