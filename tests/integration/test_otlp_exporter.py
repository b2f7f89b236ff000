"""The exporter against collectors that take, refuse, hang, lie and come back."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
import uvloop

from edge.model import Telemetry
from edge.telemetry.environment import Environment, ExportSettings
from edge.telemetry.exporter import Exporter
from edge.telemetry.otlp import Encoder
from edge.telemetry.resource import frame, resource_of
from edge.wire import Spans
from tests.integration.otlp_sink import OtlpSink, otlp_sink
from tests.tools import free_port
from tests.unit.telemetry.exchanges import FixedIds, exchange

_PATIENCE_S = 60.0


def batch(count: int = 4) -> Spans:
    entries = Encoder(FixedIds()).encode(exchange()) * (count // 4)
    return Spans(len(entries), 0, b"".join(entries))


def exporter(settings: ExportSettings, told: list[str] | None = None) -> Exporter:
    resource = resource_of(Telemetry(service_name="front", resource={"team": "a"}), "1.0", "i-1")
    return Exporter(settings, frame(resource, "1.0"), (told if told is not None else []).append)


def settings_for(sink: OtlpSink, **changes: str) -> ExportSettings:
    environ = {f"OTEL_EXPORTER_OTLP_{name.upper()}": value for name, value in changes.items()}
    made = Environment(environ).export(Telemetry(otlp_endpoint=sink.url))
    assert made is not None
    return made


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(_PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_batches_arrive_with_resource_scope_and_headers(compression: str) -> None:
    async def run(sink: OtlpSink) -> Exporter:
        made = exporter(settings_for(sink, compression=compression, headers="authorization=Bearer%20x"))
        made.start()
        made.submit(batch())
        made.submit(batch(8))
        await until(lambda: made.exported == 12)
        await made.shutdown()
        return made

    with otlp_sink() as sink:
        made = uvloop.run(run(sink))
        assert len(sink.wait_for_spans(12)) == 12 and made.dropped == 0
        (entry,) = sink.requests[0].resource_spans
        attributes = {a.key: a.value.string_value for a in entry.resource.attributes}
        assert (attributes["service.name"], attributes["service.instance.id"]) == ("front", "i-1")
        assert attributes["team"] == "a" and attributes["telemetry.sdk.name"] == "opentelemetry"
        assert (entry.scope_spans[0].scope.name, entry.scope_spans[0].scope.version) == ("edge", "1.0")
        headers = sink.headers[0]
        assert headers[":path"] == "/v1/traces" and headers["content-type"] == "application/x-protobuf"
        assert headers["authorization"] == "Bearer x"
        assert headers.get("content-encoding") == ("gzip" if compression == "gzip" else None)
        assert sink.connections == 1


def test_a_busy_collector_is_asked_again_and_recovery_is_told() -> None:
    told: list[str] = []

    async def run(sink: OtlpSink) -> None:
        made = exporter(settings_for(sink), told)
        made.start()
        made.submit(batch())
        await until(lambda: made.exported == 4)
        await made.shutdown()
        assert made.dropped == 0

    with otlp_sink() as sink:
        sink.answers = [(503, {}), (429, {"retry-after": "0"}), (502, {})]
        uvloop.run(run(sink))
        assert len(sink.spans()) == 4
    assert len(told) == 2 and "503" in told[0] and "again" in told[1]


def test_what_is_refused_for_good_is_dropped_at_once() -> None:
    async def run(sink: OtlpSink) -> None:
        made = exporter(settings_for(sink))
        made.start()
        made.submit(batch())
        made.submit(batch())
        await until(lambda: made.exported + made.dropped == 8)
        assert (made.exported, made.dropped) == (0, 8)
        made.submit(batch())
        await until(lambda: made.exported == 4)
        await made.shutdown()

    with otlp_sink() as sink:
        sink.answers = [(400, {})]
        uvloop.run(run(sink))


def test_spans_a_collector_rejects_are_counted() -> None:
    async def run(sink: OtlpSink) -> None:
        made = exporter(settings_for(sink))
        made.start()
        made.submit(batch())
        await until(lambda: made.exported == 1)
        assert made.dropped == 3
        await made.shutdown()

    with otlp_sink() as sink:
        sink.rejected = 3
        uvloop.run(run(sink))


def test_a_collector_that_closed_an_idle_connection_costs_nothing() -> None:
    async def run(sink: OtlpSink) -> None:
        made = exporter(settings_for(sink))
        made.start()
        made.submit(batch())
        await until(lambda: made.exported == 4)
        made.submit(batch())
        await until(lambda: made.exported == 8)
        assert made.dropped == 0
        await made.shutdown()

    with otlp_sink() as sink:
        sink.answers = [(200, {"connection": "close"})]
        uvloop.run(run(sink))
        assert sink.connections == 2


@pytest.mark.parametrize("trusted", [True, False])
def test_https_is_checked_against_the_configured_authority(trusted: bool, tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    (authority if trusted else trustme.CA()).cert_pem.write_to_path(tmp_path / "ca.pem")

    async def run(sink: OtlpSink) -> None:
        told: list[str] = []
        timeout = "30000" if trusted else "1500"
        made = exporter(settings_for(sink, certificate=str(tmp_path / "ca.pem"), timeout=timeout), told)
        made.start()
        made.submit(batch())
        await until(lambda: made.exported + made.dropped == 4)
        assert made.exported == (4 if trusted else 0)
        assert trusted or "certificate" in told[0].lower()
        await made.shutdown()

    with otlp_sink(context) as sink:
        uvloop.run(run(sink))


def test_a_dead_collector_blocks_nobody_and_the_queue_is_bounded() -> None:
    async def run() -> None:
        made = exporter(ExportSettings(url=f"http://127.0.0.1:{free_port()}/v1/traces"))
        made.start()
        worst = 0.0
        one = batch(500)
        for _ in range(40):
            began = time.perf_counter()
            made.submit(one)
            worst = max(worst, time.perf_counter() - began)
            await asyncio.sleep(0)
        assert worst < 2.0
        assert made.dropped >= 20_000 - 2048 - 512
        began = time.perf_counter()
        await made.shutdown()
        assert time.perf_counter() - began < 9.0, "2 s are allowed, a request may take 10 s"
        assert made.dropped == 20_000

    uvloop.run(run())


def test_shutdown_does_not_wait_longer_for_a_hanging_collector_than_its_own_deadline() -> None:
    async def run(sink: OtlpSink) -> None:
        made = exporter(settings_for(sink))
        made.start()
        for _ in range(3):
            made.submit(batch(500))
        await until(lambda: sink.connections == 1)
        began = time.perf_counter()
        await made.shutdown(0.3)
        assert 0.25 < time.perf_counter() - began < 9.0, "0.3 s are allowed, a request may take 10 s"
        assert made.dropped == 1500

    with otlp_sink() as sink:
        sink.hang()
        uvloop.run(run(sink))


def test_a_hanging_collector_costs_a_batch_its_deadline_and_no_more() -> None:
    async def run(sink: OtlpSink) -> None:
        made = exporter(settings_for(sink, timeout="200"))
        made.start()
        made.submit(batch())
        await until(lambda: made.dropped == 4)
        sink.release.set()
        made.submit(batch())
        await until(lambda: made.exported == 4)
        await made.shutdown()

    with otlp_sink() as sink:
        sink.hang()
        uvloop.run(run(sink))


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"x" * 100_000])
def test_what_does_not_speak_http_is_a_failure_like_any_other(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        told: list[str] = []
        made = exporter(ExportSettings(url=f"http://127.0.0.1:{port}/", timeout_s=0.3), told)
        made.start()
        made.submit(batch())
        await until(lambda: made.dropped == 4)
        assert len(told) == 1
        await made.shutdown()
        server.close()

    uvloop.run(run())


def test_a_header_with_a_line_break_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="line break"):
        exporter(ExportSettings(url="http://127.0.0.1:1/", headers={"a": "b\r\nc: d"}))
