"""Series that guests define, addressed by number: the worker's side of `edge.abi.services.MetricSink`."""

from __future__ import annotations

from collections.abc import Set
from threading import Lock
from typing import Final

from edge.telemetry.catalogue import Kind
from edge.telemetry.metrics import Histogram, Metric, Registry

_KINDS: Final = (Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM)
NO_ROOM: Final = -1


class GuestMetrics:
    """One place per (filter, kind, name), whatever instance asks. Any thread; unknown numbers do nothing."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._lock = Lock()
        self._numbers: dict[tuple[str, int, str], int] = {}
        self._series: list[Metric | None] = []

    def define(self, filter_name: str, kind: int, name: str) -> int:
        """Number of the series (kind 0 counter, 1 gauge, 2 histogram), or -1 when there is no room."""
        if not 0 <= kind < len(_KINDS):
            return NO_ROOM
        with self._lock:
            known = self._numbers.get((filter_name, kind, name))
            metric = self._registry.guest(filter_name, name, _KINDS[kind])
            if metric is None:
                return NO_ROOM
            if known is not None:
                self._series[known] = metric  # the registry may have forgotten the one before
                return known
            number = self._numbers[filter_name, kind, name] = len(self._series)
            self._series.append(metric)
            return number

    def forget(self, filter_names: Set[str]) -> None:
        """There are no such filters any more. Their numbers are never given again, and count nothing."""
        with self._lock:
            for key in [key for key in self._numbers if key[0] in filter_names]:
                self._series[self._numbers.pop(key)] = None

    def add(self, series: int, by: int) -> None:
        """Add to a counter or gauge; a counter never shrinks."""
        metric = self._find(series)
        if metric is None or isinstance(metric, Histogram):
            return
        with self._lock:
            metric.value += by

    def set(self, series: int, value: int) -> None:
        """Set a counter or gauge."""
        metric = self._find(series)
        if metric is not None and not isinstance(metric, Histogram):
            metric.value = float(value)

    def observe(self, series: int, value: int) -> None:
        """Count one value of a histogram."""
        metric = self._find(series)
        if isinstance(metric, Histogram):
            with self._lock:
                metric.observe(value)

    def value(self, series: int) -> int:
        """Present value of a counter or gauge, else 0."""
        metric = self._find(series)
        return 0 if metric is None or isinstance(metric, Histogram) else int(metric.value)

    def _find(self, series: int) -> Metric | None:
        return self._series[series] if 0 <= series < len(self._series) else None
