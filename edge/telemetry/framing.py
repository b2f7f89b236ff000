"""The OTLP request around batches of spans."""

from __future__ import annotations

from collections.abc import Sequence

from edge.telemetry.protobuf import varint


def request_body(framing: tuple[bytes, bytes], payloads: Sequence[bytes]) -> bytes:
    """An `ExportTraceServiceRequest` around payloads of `wire.Spans`, which are copied once."""
    resource, scope = framing
    size = len(scope) + sum(map(len, payloads))
    before = resource + b"\x12" + varint(size)
    return b"".join((b"\x0a", varint(len(before) + size), before, scope, *payloads))
