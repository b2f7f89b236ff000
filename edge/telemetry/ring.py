"""The last traces, kept in the supervisor for people who have no collector.

Batches are kept as they came and decoded only while somebody looks: as plain data they take
ten times the memory.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from edge.telemetry.batch import is_sound
from edge.wire import Spans

RING_SPANS: Final = 4096
RING_BYTES: Final = 8 << 20

Shown = dict[str, Any]


class Ring:
    """Holds the newest `limit_spans` spans or so (whole batches leave). `malformed` counts bad batches."""

    def __init__(self, limit_spans: int = RING_SPANS) -> None:
        self.malformed = 0
        self._limit = limit_spans
        self._batches: deque[Spans] = deque()
        self._spans = 0
        self._bytes = 0

    def add(self, batch: Spans) -> bool:
        """Keep a batch, which costs nothing but memory until it is read; False when it is not sound."""
        if not is_sound(batch):
            self.malformed += 1
            return False
        self._batches.append(batch)
        self._spans += batch.count
        self._bytes += len(batch.payload)
        while len(self._batches) > 1 and (self._spans > self._limit or self._bytes > RING_BYTES):
            oldest = self._batches.popleft()
            self._spans -= oldest.count
            self._bytes -= len(oldest.payload)
        return True

    def traces(self, limit: int = 100) -> list[Shown]:
        """The newest `limit` traces, newest first, as plain data for JSON.

        Each: `traceId, name, startMs` (Unix time), `durationMs, error, spans`; each span: `spanId,
        parentSpanId` (empty for a root), `name, kind, startMs, offsetMs` (from the trace's start),
        `durationMs, error, attributes`. Server span first, then by start. Of a trace with several
        requests those far apart may be missing here; `trace` has them.
        """
        grouped: dict[str, list[Shown]] = {}
        for batch in reversed(self._batches):
            for span in self._decoded(batch):
                grouped.setdefault(span["traceId"], []).append(span)
            if len(grouped) >= limit:
                break  # a worker's batch holds whole exchanges, and what is left is older
        shown = [_trace(trace_id, spans) for trace_id, spans in grouped.items()]
        shown.sort(key=lambda trace: -float(trace["startMs"]))
        return shown[:limit]

    def trace(self, trace_id: str) -> Shown | None:
        """All spans of one trace by its 32 hex digits."""
        try:
            raw = bytes.fromhex(trace_id)
        except ValueError:
            return None
        spans = [
            span
            for batch in self._batches
            if raw in batch.payload
            for span in self._decoded(batch)
            if span["traceId"] == trace_id
        ]
        return _trace(trace_id, spans) if spans else None

    def _decoded(self, batch: Spans) -> list[Shown]:
        from edge.telemetry.shown import shown_spans  # who never looks holds no protobuf

        try:
            return shown_spans(batch.payload)
        except ValueError:
            self.malformed += 1
            return []


def _trace(trace_id: str, spans: list[Shown]) -> Shown:
    ids = {span["spanId"] for span in spans}
    ordered = sorted(spans, key=lambda span: (span["parentSpanId"] in ids, span["startMs"]))
    start = min(float(span["startMs"]) for span in spans)
    end = max(float(span["startMs"]) + float(span["durationMs"]) for span in spans)
    return {
        "traceId": trace_id,
        "name": ordered[0]["name"],
        "startMs": start,
        "durationMs": round(end - start, 6),
        "error": any(span["error"] for span in spans),
        "spans": [{**span, "offsetMs": round(float(span["startMs"]) - start, 6)} for span in ordered],
    }
