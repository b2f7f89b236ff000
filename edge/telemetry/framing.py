"""The OTLP request around batches of spans."""

from __future__ import annotations

from collections.abc import Iterable

from edge.telemetry.protobuf import delimited


def request_body(framing: tuple[bytes, bytes], payloads: Iterable[bytes]) -> bytes:
    """An `ExportTraceServiceRequest` around payloads of `wire.Spans`."""
    resource, scope = framing
    scope_spans = delimited(b"\x12", b"".join((scope, *payloads)))
    return delimited(b"\x0a", resource + scope_spans)
