"""Metrics of all workers as one Prometheus page.

Names follow the OpenTelemetry rules for Prometheus: dots become `_`, the unit is a suffix,
counters end in `_total`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Final

from edge.telemetry.catalogue import CATALOGUE, Entry, Kind
from edge.telemetry.metrics import Labels, Sample
from edge.wire import Counters

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_UNITS: Final = {"s": "_seconds", "By": "_bytes"}
SERIES_LIMIT: Final = 20_000
"""Series taken from one worker."""

_WIDTHS: Final = {
    name: len(entry.buckets) + 2 if entry.kind is Kind.HISTOGRAM else 1 for name, entry in CATALOGUE.items()
}
"""Numbers of a sample."""

Table = dict[tuple[str, Labels], list[float]]


class Merged:
    """The sum of all workers' metrics; what a dead worker had counted is not lost."""

    def __init__(self) -> None:
        self._workers: dict[int, Table] = {}
        self._past: Table = {}
        self.malformed = 0

    def update(self, message: Counters) -> None:
        """Some of the worker's totals since its start; samples the catalogue does not know are skipped."""
        table = self._workers.setdefault(message.worker, {})
        for name, labels in message.gone:
            self._forget(table, (name, tuple(labels)))
        for name, labels, values in message.samples:
            if len(values) != _WIDTHS.get(name):
                self.malformed += 1
                continue
            key = name, tuple(labels)
            if len(table) < SERIES_LIMIT or key in table:
                table[key] = values

    def _forget(self, table: Table, key: tuple[str, Labels]) -> None:
        """With the last worker that has it, what dead ones had counted goes too."""
        if table.pop(key, None) is not None and not any(key in other for other in self._workers.values()):
            self._past.pop(key, None)

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
        by_name: dict[str, list[tuple[Labels, list[float]]]] = {}
        for (name, labels), values in self.table(own).items():
            by_name.setdefault(name, []).append((labels, values))
        lines = [line for name in sorted(by_name) for line in _family(name, CATALOGUE[name], by_name[name])]
        return "".join(lines).encode()


def _add(table: Table, key: tuple[str, Labels], values: list[float]) -> None:
    known = table.get(key)
    table[key] = list(values) if known is None else [a + b for a, b in zip(known, values, strict=True)]


def prometheus_name(name: str, unit: str) -> str:
    """Without the `_total` of counters."""
    plain = name.replace(".", "_")
    suffix = _UNITS.get(unit, "")
    return plain if plain.endswith(suffix) else plain + suffix


def _family(name: str, entry: Entry, series: list[tuple[Labels, list[float]]]) -> Iterator[str]:
    """The lines of one family; series may have different labels, those missing are empty."""
    keys = list(dict.fromkeys(key for labels, _ in series for key, _ in labels))
    title = prometheus_name(name, entry.unit) + ("_total" if entry.kind is Kind.COUNTER else "")
    yield f"# HELP {title} {entry.help}\n# TYPE {title} {entry.kind.value}\n"
    for labels, values in sorted(series):
        found = dict(labels)
        pairs = [f'{key.replace(".", "_")}="{_escaped(found.get(key, ""))}"' for key in keys]
        if entry.kind is not Kind.HISTOGRAM:
            yield f"{title}{_braced(pairs)} {_number(values[0])}\n"
            continue
        total = 0.0
        for bound, count in zip((*map(str, entry.buckets), "+Inf"), values[1:], strict=True):
            total += count
            bucket = [*pairs, f'le="{bound}"']
            yield f"{title}_bucket{_braced(bucket)} {_number(total)}\n"
        yield f"{title}_count{_braced(pairs)} {_number(total)}\n"
        yield f"{title}_sum{_braced(pairs)} {_number(values[0])}\n"


def _braced(pairs: list[str]) -> str:
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _escaped(text: str) -> str:
    """A label's value. Spec: Prometheus text format 0.0.4."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(float(value))
    return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
