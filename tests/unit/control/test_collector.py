"""Spans and counters of workers, and the OTEL_* variables beside the file."""

from __future__ import annotations

import asyncio

import pytest

from edge import model, wire
from edge.control.collector import Collector, from_environment

TELEMETRY = model.Telemetry(otlp_endpoint="http://127.0.0.1:1")


def test_counters_of_a_worker_become_metrics_and_outlive_it() -> None:
    collector = Collector(model.Telemetry(), None)
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
        _, settings = from_environment(TELEMETRY, frozenset(), lambda line: None)
        collector = Collector(TELEMETRY, settings)
        collector.take(message)
        assert collector.ring.traces() == []
        assert b"\n} 1" not in collector.metrics.render()
        assert collector.dropped() >= 0
        await collector.shutdown()

    asyncio.run(main())


def test_spans_that_workers_dropped_are_counted() -> None:
    collector = Collector(model.Telemetry(), None)
    collector.take(wire.Spans(0, 4, b""))
    collector.take(wire.Spans(0, 3, b""))
    assert collector.dropped() == 7


def test_the_file_wins_over_the_environment_where_it_says_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "from-env")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    file = model.Telemetry(service_name="from-file")
    silent, settings = from_environment(file, frozenset(), lambda line: None)
    assert silent.service_name == "from-env"
    assert settings is not None and settings.url == "http://collector:4318/v1/traces"
    explicit, _ = from_environment(file, frozenset({"service_name"}), lambda line: None)
    assert explicit.service_name == "from-file"


def test_a_variable_that_is_not_understood_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "often")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "traceidratio")
    told: list[str] = []
    from_environment(model.Telemetry(), frozenset(), told.append)
    assert any("often" in line for line in told)
