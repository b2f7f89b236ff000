"""No span may last longer than its trace, or end before it began, because somebody set the clock."""

from __future__ import annotations

import pytest

from edge.worker.clock_step import straighten
from tests.unit.telemetry.exchanges import START_NS, exchange

HOUR_NS = 3_600_000_000_000
TOOK_NS = 10_000_000


@pytest.mark.parametrize("step_ns", [HOUR_NS, -HOUR_NS], ids=["an hour on", "an hour back"])
def test_spans_stay_within_the_time_that_went_by(step_ns: int) -> None:
    trace = exchange(tries=2)
    first, *rest = [*trace.records, *trace.attempts]
    first.end_ns += step_ns
    for span in rest:
        span.start_ns += step_ns
        span.end_ns += step_ns
    trace.records[0].wait_ns = step_ns
    trace.end_ns += step_ns
    straighten(trace, TOOK_NS)
    assert (trace.start_ns, trace.end_ns) == (START_NS, START_NS + TOOK_NS)
    for span in (first, *rest):
        assert START_NS <= span.start_ns <= span.end_ns <= START_NS + TOOK_NS
    assert 0 <= trace.records[0].wait_ns <= TOOK_NS
