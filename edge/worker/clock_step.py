"""A wall clock that is put right while an exchange is under way."""

from __future__ import annotations

from typing import Final

from edge.chain.filter import FilterRecord
from edge.chain.passage import recorded
from edge.telemetry.spans import Attempt, ExchangeTrace

CLOCK_STEP_NS: Final = 5_000_000_000
"""A trace whose wall time and true time differ so much saw it: no turn of the loop lasts so long."""


def straighten(trace: ExchangeTrace, took_ns: int) -> None:
    """Squeeze every span of `trace` into the time that really went by: `took_ns` after its start."""
    start = trace.start_ns
    trace.end_ns = end = start + took_ns
    records = recorded(trace.records)
    trace.records = [*records]
    spans: list[FilterRecord | Attempt] = [*records, *trace.attempts]
    for span in spans:
        span.start_ns = min(max(span.start_ns, start), end)
        span.end_ns = min(max(span.end_ns, span.start_ns), end)
    for record in records:
        record.wait_ns = min(max(record.wait_ns, 0), took_ns)
