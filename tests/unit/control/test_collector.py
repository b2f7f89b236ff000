"""Spans and counters of workers, and the OTEL_* variables beside the file."""

from __future__ import annotations

import asyncio

import pytest

from edge import model, wire
from edge.control.collector import Collector
from edge.control.draft import Export
from edge.telemetry.environment import Environment, ExportSettings

EXPORT = Export(settings=ExportSettings(url="http://127.0.0.1:1/v1/traces"), framing=(b"", b""))


def test_counters_of_a_worker_become_metrics_and_outlive_it() -> None:
    collector = Collector(None)
    collector.take(wire.Counters(0, [("edge.worker.unhandled", [], [2.0])]))
    assert b"edge_worker_unhandled_total 2.0" in collector.metrics.render()
    collector.metrics.retire(0)
    collector.take(wire.Counters(0, [("edge.worker.unhandled", [], [1.0])]))
    assert b"edge_worker_unhandled_total 3.0" in collector.metrics.render()


@pytest.mark.parametrize(
    "message",
    [
        wire.Spans(-5, -7, b""),
        wire.Spans(3, 0, b"\xff\xff\xff"),
        wire.Spans(1 << 40, 1, b"x"),
        wire.Counters(0, [("no such metric", [], [1.0])]),
        wire.Counters(0, [("edge.worker.unhandled", [], [])]),
        wire.Counters(0, [("edge.worker.unhandled", [("a", "b\n} 1")], [1.0])]),
        wire.Drained(1),
    ],
)
def test_nothing_a_worker_sends_breaks_it(message: wire.Up) -> None:
    async def main() -> None:
        collector = Collector(EXPORT)
        collector.take(message)
        assert collector.ring.traces() == []
        assert b"\n} 1" not in collector.metrics.render()
        assert collector.dropped() >= 0
        await collector.shutdown()

    asyncio.run(main())


def test_spans_that_workers_dropped_are_counted() -> None:
    collector = Collector(None)
    collector.take(wire.Spans(0, 4, b""))
    collector.take(wire.Spans(0, 3, b""))
    assert collector.dropped() == 7


def test_the_file_wins_over_the_environment_where_it_says_something() -> None:
    environment = Environment(
        {"OTEL_SERVICE_NAME": "from-env", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
    )
    file = model.Telemetry(service_name="from-file")
    silent = environment.telemetry(file)
    settings = environment.export(silent)
    assert silent.service_name == "from-env"
    assert settings is not None and settings.url == "http://collector:4318/v1/traces"
    assert environment.telemetry(file, frozenset({"service_name"})).service_name == "from-file"
