"""Our bytes in a real Jaeger: the trace is found again with its parents, attributes and times."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from edge.model import Telemetry
from edge.telemetry.environment import Environment
from edge.telemetry.exporter import Exporter
from edge.telemetry.otlp import Encoder
from edge.telemetry.resource import frame, resource_of
from edge.telemetry.spans import ExchangeTrace
from edge.telemetry.tracer import Tracer
from edge.wire import Spans
from tests.integration.jaeger_server import Jaeger, attributes, jaeger_server
from tests.unit.telemetry.exchanges import PARENT_ID, SPAN_ID, START_NS, UPSTREAM_ID, FixedIds, exchange

INTERNAL, SERVER, CLIENT = 1, 2, 3


@pytest.fixture(scope="module")
def jaeger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jaeger]:
    with jaeger_server(tmp_path_factory.mktemp("jaeger")) as server:
        yield server


def send(server: Jaeger, traces: list[ExchangeTrace], compression: str = "none") -> None:
    """All the way of a worker and the supervisor, without the processes."""
    batches: list[Spans] = []

    def take(batch: Spans) -> bool:
        batches.append(batch)
        return True

    tracer = Tracer(Encoder(FixedIds(), ["page"]), take, lambda delay, callback: None)
    for trace in traces:
        tracer.finish(trace)
    tracer.flush()
    environment = Environment({"OTEL_EXPORTER_OTLP_COMPRESSION": compression})
    settings = environment.export(Telemetry(otlp_endpoint=server.otlp))
    assert settings is not None

    async def post() -> tuple[int, int]:
        resource = resource_of(Telemetry(service_name="edge-under-test"), "1.0", "i-1")
        exporter = Exporter(settings, frame(resource, "1.0"), lambda line: None)
        exporter.start()
        for batch in batches:
            exporter.submit(batch)
        await exporter.shutdown(10.0)
        return exporter.exported, exporter.dropped

    assert asyncio.run(post()) == (sum(trace.span_count() for trace in traces), 0)


def test_a_request_through_two_filters_is_found_with_parents_attributes_and_times(jaeger: Jaeger) -> None:
    trace_id = b"\xa1" * 16
    send(jaeger, [exchange(trace_id=trace_id)])
    resource, spans = jaeger.trace(trace_id.hex(), 4)
    assert resource["service.name"] == "edge-under-test"
    by_name = {span["name"]: span for span in spans}
    assert set(by_name) == {"GET /api", "GET", "filter api-key", "filter split"}
    server, client = by_name["GET /api"], by_name["GET"]
    assert (server["kind"], server["spanId"], server["parentSpanId"]) == (
        SERVER,
        SPAN_ID.hex(),
        PARENT_ID.hex(),
    )
    assert (client["kind"], client["spanId"], client["parentSpanId"]) == (
        CLIENT,
        UPSTREAM_ID.hex(),
        SPAN_ID.hex(),
    )
    times = (int(server["startTimeUnixNano"]), int(server["endTimeUnixNano"]))
    assert times == (START_NS, START_NS + 10_000_000)
    for index, name in enumerate(("api-key", "split")):
        span = by_name[f"filter {name}"]
        assert (span["kind"], span["parentSpanId"]) == (INTERNAL, SPAN_ID.hex())
        assert int(span["startTimeUnixNano"]) == START_NS + 1000 * (index + 1)
        assert int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"]) == 900
        shown = attributes(span)
        assert shown["edge.filter.guest_time"] == pytest.approx(7e-7)
        assert shown["edge.filter.host_time"] == pytest.approx(1.5e-7)
        assert shown["edge.filter.wait_time"] == pytest.approx(5e-8)
        assert (shown["edge.filter.position"], shown["edge.filter.edits"]) == (index, ["x-consumer"])
        assert shown[f"edge.guest.{name}.tenant"] == "acme"
    assert attributes(server)["url.query"] == "page=2&token=REDACTED"
    assert attributes(server)["http.response.status_code"] == 200
    assert attributes(client)["edge.connection.reused"] is True


def test_a_failed_request_is_an_error_in_a_compressed_batch(jaeger: Jaeger) -> None:
    trace = exchange(trace_id=b"\xa2" * 16, parent=b"", tries=0, filters=1)
    trace.status, trace.error, trace.reply_source, trace.reply_filter = 503, "FilterTrap", "filter", "api-key"
    trace.records[0].decision, trace.records[0].error = "trap", "edge.trap.unreachable"
    send(jaeger, [trace], compression="gzip")
    _, spans = jaeger.trace("a2" * 16, 2)
    server = next(span for span in spans if span["kind"] == SERVER)
    failed = next(span for span in spans if span["kind"] == INTERNAL)
    assert "parentSpanId" not in server
    assert server["status"]["code"] == failed["status"]["code"] == 2
    assert attributes(server)["edge.reply.filter"] == "api-key"
    assert attributes(failed)["error.type"] == "edge.trap.unreachable"


def test_a_full_queue_of_traces_arrives_whole(jaeger: Jaeger) -> None:
    traces = [exchange(trace_id=b"\xb0" * 14 + number.to_bytes(2, "big")) for number in range(1, 500)]
    send(jaeger, traces)
    for number in (1, 250, 499):
        _, spans = jaeger.trace((b"\xb0" * 14 + number.to_bytes(2, "big")).hex(), 4)
        assert len(spans) == 4
