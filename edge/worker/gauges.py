"""What is true now, read when the metrics are: nothing of it is counted on the way of a request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from edge.telemetry.metrics import FilterMetrics, Registry
from edge.worker.filters import FilterFigures


class HasPools(Protocol):
    """A cluster, as far as its connections go."""

    @property
    def pools(self) -> Iterable[HasOpen]: ...


class HasOpen(Protocol):
    """A pool, as far as its connections go."""

    @property
    def open(self) -> int: ...


class Gauges:
    """Sets them in `registry`; the caller knows where the truth lies."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def requests(self, under_way: int) -> None:
        self._registry.gauge("http.server.active_requests").value = under_way

    def connections(self, by_listener: Mapping[str, int]) -> None:
        for listener, number in by_listener.items():
            labels = (("edge.listener.name", listener),)
            self._registry.gauge("edge.server.connections", labels).value = number

    def upstreams(self, clusters: Mapping[str, HasPools]) -> None:
        for name, cluster in clusters.items():
            labels = (("edge.cluster.name", name),)
            number = sum(pool.open for pool in cluster.pools)
            self._registry.gauge("http.client.open_connections", labels).value = number

    def filters(self, by_name: Mapping[str, FilterFigures]) -> None:
        for name, figures in by_name.items():
            metrics = FilterMetrics(self._registry, name)
            metrics.calls.value = figures.calls
            metrics.cpu.value = figures.cpu_s
            metrics.memory.value = figures.memory_bytes
            metrics.instances.value = figures.instances

    def lost_lines(self, access: int, own: int) -> None:
        """Log lines dropped since the start: of the access log, and of everything else."""
        for log, number in (("access", access), ("edge", own)):
            self._registry.counter("edge.log.dropped", (("log", log),)).value = number
