"""What workers report, gathered: recent traces, export to a collector, metrics of all workers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from edge import wire
from edge.control.draft import Export
from edge.telemetry.exposition import Merged
from edge.telemetry.heap import keep_spare
from edge.telemetry.ring import Ring

if TYPE_CHECKING:
    from edge.telemetry.exporter import Exporter

log = logging.getLogger("edge.supervisor")

LARGE_BYTES: Final = 64 << 10
"""A batch so large comes from a worker that is busy, and is not the last."""


class Collector:
    """Takes Spans and Counters. Nothing a worker sends makes it raise."""

    def __init__(self, export: Export | None) -> None:
        self.ring = Ring()
        self.metrics = Merged()
        self.worker_dropped = 0
        """Spans that workers dropped before they were sent."""
        self._lost = 0
        """By exporters that are gone."""
        self._exporter: Exporter | None = None
        if export is not None:
            from edge.telemetry.exporter import Exporter

            self._exporter = Exporter(export.settings, export.framing, _report)

    def start(self) -> None:
        """Begin to post spans, if a collector is configured."""
        if self._exporter is not None:
            self._exporter.start()

    async def move(self, export: Export | None) -> None:
        """Post there from now on. What waits for the old place is posted, within its bounds."""
        before, self._exporter = self._exporter, None
        self._lost += before.dropped if before is not None else 0
        if export is not None:
            from edge.telemetry.exporter import Exporter

            self._exporter = Exporter(export.settings, export.framing, _report)
            self._exporter.start()
        if before is not None:
            await before.shutdown()

    def take(self, message: wire.Up) -> None:
        """A message that is not the keeper's own affair."""
        if isinstance(message, wire.Spans):
            self.worker_dropped += max(message.dropped, 0)
            if len(message.payload) > LARGE_BYTES:
                keep_spare()
            if not self.ring.add(message):
                self.worker_dropped += max(message.count, 0)
            elif self._exporter is not None:
                self._exporter.submit(message)
        elif isinstance(message, wire.Counters):
            self.metrics.update(message)

    def dropped(self) -> int:
        """Spans lost anywhere between the end of a request and the collector."""
        return self.worker_dropped + self._lost + (self._exporter.dropped if self._exporter else 0)

    async def shutdown(self) -> None:
        """Bounded: a dead collector does not hold the process."""
        if self._exporter is not None:
            await self._exporter.shutdown()


def _report(line: str) -> None:
    log.warning("%s", line)
