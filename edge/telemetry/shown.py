"""Encoded spans as plain data for JSON. Loaded when somebody looks at traces for the first time."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span, Status

_KINDS: Final = {
    Span.SPAN_KIND_INTERNAL: "internal",
    Span.SPAN_KIND_SERVER: "server",
    Span.SPAN_KIND_CLIENT: "client",
}


def shown_spans(payload: bytes) -> list[dict[str, Any]]:
    """The spans of a `wire.Spans` payload, as `Ring.traces` describes them. Raises ValueError."""
    try:
        return [_span(span) for span in ScopeSpans.FromString(payload).spans]
    except DecodeError as error:
        raise ValueError(str(error)) from None


def _span(span: Span) -> dict[str, Any]:
    return {
        "traceId": span.trace_id.hex(),
        "spanId": span.span_id.hex(),
        "parentSpanId": span.parent_span_id.hex(),
        "name": span.name,
        "kind": _KINDS.get(span.kind, "internal"),
        "startMs": span.start_time_unix_nano / 1e6,
        "durationMs": (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6,
        "error": span.status.code == Status.STATUS_CODE_ERROR,
        "attributes": {entry.key: _value(entry.value) for entry in span.attributes},
    }


def _value(value: AnyValue) -> Any:
    which = value.WhichOneof("value")
    if which == "array_value":
        return [_value(entry) for entry in value.array_value.values]
    return (
        getattr(value, which)
        if which in ("string_value", "int_value", "double_value", "bool_value")
        else None
    )
