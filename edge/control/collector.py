"""What workers report, gathered: recent traces, export to a collector, metrics of all workers."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Callable

import edge
from edge import wire
from edge.model import Telemetry
from edge.telemetry.environment import Environment, ExportSettings
from edge.telemetry.exporter import Exporter
from edge.telemetry.exposition import Merged
from edge.telemetry.resource import frame, resource_of
from edge.telemetry.ring import Ring

log = logging.getLogger("edge.supervisor")


class Collector:
    """Takes Spans and Counters. Nothing a worker sends makes it raise."""

    def __init__(self, telemetry: Telemetry, settings: ExportSettings | None) -> None:
        self.ring = Ring()
        self.metrics = Merged()
        self.worker_dropped = 0
        """Spans that workers dropped before they were sent."""
        self._exporter: Exporter | None = None
        if settings is not None:
            resource = resource_of(telemetry, edge.__version__, str(uuid.uuid4()))
            self._exporter = Exporter(settings, frame(resource, edge.__version__), _report)

    def start(self) -> None:
        """Begin to post spans, if a collector is configured."""
        if self._exporter is not None:
            self._exporter.start()

    def take(self, message: wire.Up) -> None:
        """A message that is not the keeper's own affair."""
        if isinstance(message, wire.Spans):
            self.worker_dropped += max(message.dropped, 0)
            self.ring.add(message)
            if self._exporter is not None:
                self._exporter.submit(message)
        elif isinstance(message, wire.Counters):
            self.metrics.update(message)

    def dropped(self) -> int:
        """Spans lost anywhere between the end of a request and the collector."""
        return self.worker_dropped + (self._exporter.dropped if self._exporter else 0)

    async def shutdown(self) -> None:
        """Bounded: a dead collector does not hold the process."""
        if self._exporter is not None:
            await self._exporter.shutdown()


def _report(line: str) -> None:
    log.warning("%s", line)


def from_environment(
    telemetry: Telemetry, explicit: frozenset[str], warn: Callable[[str], None]
) -> tuple[Telemetry, ExportSettings | None]:
    """The file's telemetry completed by the OTEL_* variables, and where spans are posted."""
    environment = Environment(os.environ)
    complete = environment.telemetry(telemetry, explicit)
    settings = environment.export(complete)
    for warning in environment.warnings:
        warn(warning)
    return complete, settings
