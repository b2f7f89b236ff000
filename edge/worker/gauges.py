"""What is true now, read when the metrics are: nothing of it is counted on the way of a request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from edge.telemetry.metrics import FilterMetrics, Registry
from edge.worker.filters import FilterFigures


class HasEndpoints(Protocol):
    """A cluster, as far as its figures go."""

    rejected: Counter[str]
    """Requests not taken, by reason."""

    @property
    def endpoints(self) -> HasStates: ...


class HasStates(Protocol):
    """Endpoints, as far as their figures go."""

    def open(self) -> int: ...
    def states(self) -> Mapping[str, int]: ...


class Gauges:
    """Sets them in `registry`; the caller knows where the truth lies.

    What all workers have alike is told by the `first` one only, because figures of workers are summed.
    """

    def __init__(self, registry: Registry, first: bool) -> None:
        self._registry = registry
        self._first = first

    def requests(self, under_way: int) -> None:
        self._registry.gauge("http.server.active_requests").value = under_way

    def connections(self, by_listener: Mapping[str, int]) -> None:
        for listener, number in by_listener.items():
            labels = (("edge.listener.name", listener),)
            self._registry.gauge("edge.server.connections", labels).value = number

    def without_h3(self, by_listener: Mapping[str, int]) -> None:
        for listener, number in by_listener.items():
            self._registry.gauge("edge.server.h3.down", (("edge.listener.name", listener),)).value = number

    def upstreams(self, clusters: Mapping[str, HasEndpoints]) -> None:
        """Connections, endpoints by state, and what the clusters did not take, by reason."""
        registry = self._registry
        for name, cluster in clusters.items():
            labels = (("edge.cluster.name", name),)
            registry.gauge("http.client.open_connections", labels).value = cluster.endpoints.open()
            for state, number in cluster.endpoints.states().items():
                if state != "ejected" and not self._first:
                    continue
                registry.gauge("edge.cluster.endpoints", (*labels, ("state", state))).value = number
            for reason, number in cluster.rejected.items():
                registry.counter("edge.cluster.rejected", (*labels, ("reason", reason))).value = number

    def filters(self, by_name: Mapping[str, FilterFigures]) -> None:
        for name, figures in by_name.items():
            metrics = FilterMetrics(self._registry, name)
            metrics.calls.value = figures.calls
            metrics.cpu.value = figures.cpu_s
            metrics.memory.value = figures.memory_bytes
            metrics.instances.value = figures.instances

    def shared(self, torn: int, emptied: int) -> None:
        """What was found of shared data since the start."""
        for kind, number in (("torn", torn), ("emptied", emptied)):
            if number:
                self._registry.counter("edge.filter.shared.damage", (("kind", kind),)).value = number

    def lost_lines(self, access: int, own: int) -> None:
        """Log lines dropped since the start: of the access log, and of everything else."""
        for log, number in (("access", access), ("edge", own)):
            self._registry.counter("edge.log.dropped", (("log", log),)).value = number
