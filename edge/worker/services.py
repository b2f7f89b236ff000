"""What a worker gives to its filters: implements `edge.abi.services.HostServices`."""

from __future__ import annotations

import asyncio
import time
from binascii import unhexlify
from collections.abc import Callable
from typing import Final

from edge.abi import services
from edge.abi.shared_data import SharedData
from edge.chain.filter import Port
from edge.telemetry.guest_metrics import GuestMetrics
from edge.telemetry.logs import Log
from edge.telemetry.metrics import Registry
from edge.upstream import Callouts
from edge.wasm.warm import WarmThread

LOG_LEVEL: Final = 2
"""Guests' lines from `info` up are kept."""


class WorkerServices:
    """One per worker."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        callouts: Callouts,
        registry: Registry,
        log: Log,
        number: int = 0,
    ) -> None:
        self.first = number == 0
        self.log_level = LOG_LEVEL
        self.callouts: services.Callouts = callouts
        self.guest_metrics = GuestMetrics(registry)
        self.metrics: services.MetricSink = self.guest_metrics
        self.sharing = SharedData(self)
        self.shared: services.SharedData = self.sharing
        self.queues: services.Queues = self.sharing
        self.warm: services.Warm = WarmThread(loop.call_soon_threadsafe)
        self.clock: Callable[[], float] = loop.time
        self.now_ns: Callable[[], int] = time.time_ns
        self.call_later = loop.call_later
        self.call_soon = loop.call_soon
        self._log = log

    def log(self, filter_name: str, level: int, text: str, port: Port | None) -> None:
        """A guest's line, with the ids of the exchange it belongs to."""
        trace_id = port.property(b"edge\0trace_id") if port is not None else None
        span_id = port.property(b"edge\0span_id") if port is not None else None
        self._log.guest(filter_name, level, text, unhexlify(trace_id or b""), unhexlify(span_id or b""))
