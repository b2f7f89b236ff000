"""What a worker gives to its filters: implements `edge.abi.services.HostServices`."""

from __future__ import annotations

import asyncio
import time
from binascii import unhexlify
from collections.abc import Callable
from threading import Lock
from typing import Final

from edge.abi.shared_data import LocalSharedData
from edge.chain.filter import Port
from edge.telemetry.catalogue import Kind
from edge.telemetry.logs import Log
from edge.telemetry.metrics import Counter, Histogram, Metric, Registry
from edge.upstream import Callouts
from edge.wasm.warm import WarmThread

_KINDS: Final = (Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM)
LOG_LEVEL: Final = 2
"""Guests' lines from `info` up are kept."""


class GuestMetrics:
    """Series that guests define, in the worker's registry; safe on the warm thread too."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._series: list[Metric] = []
        self._ids: dict[tuple[str, str], int] = {}
        self._lock = Lock()

    def define(self, filter_name: str, kind: int, name: str) -> int:
        """One id per filter and name, whichever instance asks; -1 when there is no room."""
        with self._lock:
            known = self._ids.get((filter_name, name))
            if known is not None:
                return known
            metric = self._registry.guest(filter_name, name, _KINDS[kind])
            if metric is None:
                return -1
            self._series.append(metric)
            self._ids[filter_name, name] = number = len(self._series) - 1
            return number

    def add(self, series: int, by: int) -> None:
        """Add to a counter or gauge."""
        metric = self._series[series]
        if isinstance(metric, Counter):
            metric.value += by

    def set(self, series: int, value: int) -> None:
        """Set a gauge or counter."""
        metric = self._series[series]
        if isinstance(metric, Counter):
            metric.value = value

    def observe(self, series: int, value: int) -> None:
        """Count a value into a histogram."""
        metric = self._series[series]
        if isinstance(metric, Histogram):
            metric.observe(value)

    def value(self, series: int) -> int:
        """Present value of a counter or gauge."""
        metric = self._series[series]
        return int(metric.value) if isinstance(metric, Counter) else 0


class WorkerServices:
    """One per worker."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, callouts: Callouts, registry: Registry, log: Log
    ) -> None:
        self.log_level = LOG_LEVEL
        self.callouts = callouts
        self.metrics = GuestMetrics(registry)
        self.shared = LocalSharedData()
        self.warm = WarmThread(loop.call_soon_threadsafe)
        self.clock: Callable[[], float] = loop.time
        self.call_later = loop.call_later
        self.call_soon = loop.call_soon
        self._log = log

    def now_ns(self) -> int:
        """Wall clock, cut to milliseconds: guests get no finer one."""
        return time.time_ns() // 1_000_000 * 1_000_000

    def log(self, filter_name: str, level: int, text: str, port: Port | None) -> None:
        """A guest's line, with the ids of the exchange it belongs to."""
        trace_id = port.property(b"edge\0trace_id") if port is not None else None
        span_id = port.property(b"edge\0span_id") if port is not None else None
        self._log.guest(filter_name, level, text, unhexlify(trace_id or b""), unhexlify(span_id or b""))
