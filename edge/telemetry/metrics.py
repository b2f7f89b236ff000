"""Counters and histograms that cost a request next to nothing: objects made once, read out later.

A worker's `Registry` gives each rule, cluster and filter its own objects at build time; the
request only adds to them. `part()` is what goes up in `wire.Counters`. Times are seconds.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Set
from itertools import islice
from typing import Final, TypeVar, cast

from edge.telemetry.catalogue import BUCKETS_S, CATALOGUE, Kind

Labels = tuple[tuple[str, str], ...]
Sample = tuple[str, list[tuple[str, str]], list[float]]
Name = tuple[str, list[tuple[str, str]]]
"""Which series, as the wire has it."""

SERIES_LIMIT: Final = 10_000
"""Series of one worker; beyond, observations go into one nameless object and are not shown."""
PART_SERIES: Final = 1000
"""Series of one message: under 1 MiB with the longest labels."""
PART_GONE: Final = 200
"""Names of series that are gone, beside them."""
GUEST_SERIES_LIMIT: Final = 100
"""Series one filter may define for itself."""
_GUEST_NAME_CHARS: Final = 128


class Counter:
    """Grows only: add to `value`."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def read(self) -> list[float]:
        """The wire's values."""
        return [self.value]


class Gauge(Counter):
    """Goes both ways: set or add to `value`."""

    __slots__ = ()


class Histogram:
    """Counts by bucket. Upper bounds are inclusive; one bucket more takes the rest.

    What is appended to `later`, in nanoseconds, counts when somebody reads: for who has several values
    at a time. Who appends calls `settle` before that gets long.
    """

    __slots__ = ("_bounds", "counts", "later", "sum")

    def __init__(self, bounds: tuple[float, ...] = BUCKETS_S) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0
        self.later: list[int] = []

    def settle(self) -> None:
        """Count what waits in `later`."""
        values = sorted(self.later)
        self.later.clear()
        self.sum += sum(values) / 1e9
        before = 0
        for index, bound in enumerate(self._bounds):
            upto = bisect_right(values, bound * 1e9)
            self.counts[index] += upto - before
            before = upto
            if upto == len(values):
                return
        self.counts[-1] += len(values) - before

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def read(self) -> list[float]:
        """The wire's values: sum, then the count of each bucket (not cumulative)."""
        if self.later:
            self.settle()
        return [self.sum, *self.counts]


Metric = Counter | Histogram
MetricT = TypeVar("MetricT", Counter, Gauge, Histogram)


class Registry:
    """All metrics of one process. Asking twice for the same name and labels gives the same object."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, Labels], Metric] = {}
        self._guest: dict[str, int] = {}
        self._readers: list[Callable[[], None]] = []
        self._turn: list[tuple[str, Labels]] = []
        """Series that wait for their turn to be told, the next one last."""
        self._gone: dict[tuple[str, Labels], None] = {}
        """Those that were forgotten, and of which that was not told yet."""
        self.refused = 0

    def counter(self, name: str, labels: Labels = ()) -> Counter:
        """KeyError for a name that the catalogue does not hold as a counter."""
        return self._get(name, labels, Kind.COUNTER, Counter)

    def gauge(self, name: str, labels: Labels = ()) -> Gauge:
        """As `counter`, for a gauge."""
        return self._get(name, labels, Kind.GAUGE, Gauge)

    def histogram(self, name: str, labels: Labels = ()) -> Histogram:
        """As `counter`, for a histogram; its buckets stand in the catalogue."""
        return self._get(name, labels, Kind.HISTOGRAM, lambda: Histogram(CATALOGUE[name].buckets))

    def _get(self, name: str, labels: Labels, kind: Kind, make: Callable[[], MetricT]) -> MetricT:
        if CATALOGUE[name].kind is not kind:
            raise KeyError(f"{name} is no {kind.value}")
        found = self._series.get((name, labels))
        if found is not None:
            return cast(MetricT, found)  # the catalogue gives each name one kind
        made = make()
        if len(self._series) < SERIES_LIMIT:
            self._series[name, labels] = made
            self._gone.pop((name, labels), None)
        else:
            self.refused += 1
        return made

    def forget(self, label: str, values: Set[str]) -> Iterator[None]:
        """In steps: drop every series whose `label` has one of `values`, for what they name is no more.

        What still counts there counts for nobody.
        """
        if label == "edge.filter.name":
            for value in values:
                self._guest.pop(value, None)
        for key in list(self._series):
            if any(name == label and value in values for name, value in key[1]):
                self._series.pop(key, None)
                self._gone[key] = None
            yield

    def guest(self, filter_name: str, metric: str, kind: Kind) -> Metric | None:
        """The metric a guest defined under `metric`, or None when the filter has too many already.

        Names are cut at 128 characters; whatever they hold is a label's value, never a name.
        """
        labels = (("edge.filter.name", filter_name), ("edge.guest.metric", metric[:_GUEST_NAME_CHARS]))
        name = f"edge.filter.guest.{kind.value}"
        known = self._series.get((name, labels))
        if known is not None:
            return known
        count = self._guest.get(filter_name, 0)
        if count >= GUEST_SERIES_LIMIT:
            self.refused += 1
            return None
        self._guest[filter_name] = count + 1
        if kind is Kind.HISTOGRAM:
            return self.histogram(name, labels)
        return self.gauge(name, labels) if kind is Kind.GAUGE else self.counter(name, labels)

    def before_read(self, reader: Callable[[], None]) -> None:
        """Call `reader` at each `samples()`, to set gauges whose truth lies elsewhere."""
        self._readers.append(reader)

    def samples(self) -> list[Sample]:
        """Everything as `wire.Counters` carries it."""
        for reader in self._readers:
            reader()
        return [(name, list(labels), metric.read()) for (name, labels), metric in self._series.items()]

    def tell_again(self, gone: list[Name]) -> None:
        """It was not heard that these are gone."""
        for name, labels in gone:
            if (name, tuple(labels)) not in self._series:
                self._gone[name, tuple(labels)] = None

    def part(self) -> tuple[list[Sample], list[Name]]:
        """What is to be told now, for a caller who asks once a second: samples, and series that are gone.

        At most a thousand series, all in turn: ten thousand every second would cost two
        processes a tenth of a core, and in one go more time than a request may wait.
        """
        for reader in self._readers:
            reader()
        turn = self._turn = self._turn or list(self._series)[::-1]
        first = max(len(turn) - PART_SERIES, 0)
        samples = [
            (key[0], list(key[1]), metric.read())
            for key in reversed(turn[first:])
            if (metric := self._series.get(key)) is not None
        ]
        del turn[first:]
        gone = list(islice(self._gone, PART_GONE))
        for key in gone:
            del self._gone[key]
        return samples, [(name, list(labels)) for name, labels in gone]


class _ByStatus(dict[int, Histogram]):
    """Status → the histogram of one rule's or cluster's durations, made when it is asked for."""

    __slots__ = ("_labels", "_name", "_registry")

    def __init__(self, registry: Registry, name: str, labels: Labels) -> None:
        super().__init__()
        self._registry = registry
        self._name = name
        self._labels = labels

    def __missing__(self, status: int) -> Histogram:
        labels = (*self._labels, ("http.response.status_code", str(status)))
        made = self[status] = self._registry.histogram(self._name, labels)
        return made


class ServerMetrics:
    """Requests of one rule (or of one listener, where no rule matched)."""

    __slots__ = ("durations", "request_bytes", "response_bytes")

    def __init__(self, registry: Registry, route: str) -> None:
        labels: Labels = (("edge.route.name", route),)
        self.durations = _ByStatus(registry, "http.server.request.duration", labels)
        self.request_bytes = registry.counter("edge.server.request.bytes", labels)
        self.response_bytes = registry.counter("edge.server.response.bytes", labels)


class ClientMetrics:
    """Tries at one cluster; status 0 = no response."""

    __slots__ = ("_labels", "_registry", "durations")

    def __init__(self, registry: Registry, cluster: str) -> None:
        self._registry = registry
        self._labels: Labels = (("edge.cluster.name", cluster),)
        self.durations = _ByStatus(registry, "http.client.request.duration", self._labels)

    def rejected(self, reason: str) -> None:
        """A request the cluster did not take; `reason` is one of few words."""
        labels = (*self._labels, ("reason", reason))
        self._registry.counter("edge.cluster.rejected", labels).value += 1


class FilterMetrics:
    """Calls, failures and spending of one filter of a chain."""

    __slots__ = ("calls", "cpu", "duration", "instances", "memory")

    def __init__(self, registry: Registry, filter_name: str) -> None:
        labels: Labels = (("edge.filter.name", filter_name),)
        self.calls = registry.counter("edge.filter.calls", labels)
        self.cpu = registry.counter("edge.filter.cpu", labels)
        self.duration = registry.histogram("edge.filter.duration", labels)
        self.memory = registry.gauge("edge.filter.memory", labels)
        self.instances = registry.gauge("edge.filter.instances", (*labels, ("state", "active")))
