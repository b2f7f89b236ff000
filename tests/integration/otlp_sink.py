"""A small OTLP/HTTP receiver inside the test: keeps what it gets, misbehaves when told."""

from __future__ import annotations

import gzip
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

_WAIT_S = 60.0


class OtlpSink:
    """`url` is the base endpoint. `answers` holds the next statuses to give (then 200).

    While `hang` is set requests are read and not answered. `rejected` is told as partial success.
    """

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[ExportTraceServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        self.connections = 0
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.rejected = 0
        self.release = threading.Event()
        self.release.set()
        self._news = threading.Condition()

    def hang(self) -> None:
        """Answer nothing until `release` is set."""
        self.release.clear()

    def spans(self) -> list[Span]:
        """All spans received, in order."""
        with self._news:
            scopes = [
                scope for r in self.requests for entry in r.resource_spans for scope in entry.scope_spans
            ]
        return [span for scope in scopes for span in scope.spans]

    def wait_for_spans(self, count: int) -> list[Span]:
        """All spans once there are at least `count`; AssertionError after `_WAIT_S`."""
        with self._news:
            self._news.wait_for(lambda: len(self.spans()) >= count, _WAIT_S)
        spans = self.spans()
        assert len(spans) >= count, f"{len(spans)} of {count} spans came within {_WAIT_S} s"
        return spans

    def take(self, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        """One request; gives status, headers and body of the answer."""
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        request = ExportTraceServiceRequest.FromString(body)
        status, extra = self.answers.pop(0) if self.answers else (200, {})
        with self._news:
            self.headers.append(headers)
            if status < 300:
                self.requests.append(request)
            self._news.notify_all()
        answer = ExportTraceServiceResponse()
        if self.rejected:
            answer.partial_success.rejected_spans = self.rejected
        return status, extra, answer.SerializeToString()


@contextmanager
def otlp_sink(tls: ssl.SSLContext | None = None) -> Iterator[OtlpSink]:
    """Run a sink on a free port of 127.0.0.1, over TLS if a server context is given."""
    sink = OtlpSink()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            sink.connections += 1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            sink.release.wait()
            headers = {name.lower(): value for name, value in self.headers.items()}
            headers[":path"] = self.path
            status, extra, answer = sink.take(body, headers)
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                return  # the exporter went away in the middle

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    sink.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield sink
    finally:
        sink.release.set()
        server.shutdown()
        server.server_close()
        thread.join()
