"""What a finished exchange leaves in metrics, access log and trace."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from edge.chain.filter import BoundFilter, FilterRecord
from edge.chain.passage import Passage
from edge.errors import EdgeError, FilterError
from edge.exchange.state import ExchangeState
from edge.head import RequestHead
from edge.model import Telemetry
from edge.telemetry.access_log import UNTRACED, AccessLog, Alike, traced
from edge.telemetry.ids import Ids
from edge.telemetry.metrics import Histogram, Registry, ServerMetrics
from edge.telemetry.spans import Attempt, ExchangeTrace, FilterInfo, RouteInfo
from edge.telemetry.tracer import Tracer
from edge.telemetry.tracing import Tracing
from edge.worker.clock_step import CLOCK_STEP_NS, straighten
from edge.worker.outcomes import Outcomes, RuleReport

_log: Final = logging.getLogger("edge.worker")
UNSETTLED: Final = 256
"""Sampled exchanges whose filters' durations may wait to be counted."""


def filter_infos(chain: tuple[BoundFilter, ...]) -> tuple[FilterInfo, ...]:
    """For the filter spans of a chain, in request order."""
    return tuple(FilterInfo(f.name, f.digest, f.abi, f.fail_open) for f in chain)


class _Durations(dict[str, Callable[[int], None]]):
    """By the name of a filter: what takes its durations down, in ns."""

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self._registry = registry
        self._histograms: list[Histogram] = []

    def __missing__(self, name: str) -> Callable[[int], None]:
        histogram = self._registry.histogram("edge.filter.duration", (("edge.filter.name", name),))
        self._histograms.append(histogram)
        self[name] = take = histogram.later.append
        return take

    def settle(self) -> None:
        for histogram in self._histograms:
            histogram.settle()


class Reports:
    """Metrics and access log of one revision; implements `exchange.revision.Reporting`."""

    def __init__(self, registry: Registry, access_log: AccessLog | None, wall_s: float) -> None:
        """`wall_s` + the monotonic clock = wall time, both in seconds; set it again now and then."""
        self._registry = registry
        self._log = access_log
        self.wall_s = wall_s
        self._no_rule: dict[str, RuleReport] = {}
        self._outcomes = Outcomes(registry)
        self._durations = _Durations(registry)
        self._unsettled = 0

    def rule(self, info: RouteInfo) -> RuleReport:
        """Make the report of one rule on one listener, when the revision is built."""
        return RuleReport(ServerMetrics(self._registry, info.route), info)

    def no_rule(self, info: RouteInfo) -> None:
        """Make the report of what no rule of a listener takes."""
        self._no_rule[info.listener] = self.rule(info)

    def of(self, exchange: ExchangeState) -> RuleReport:
        """The report an exchange belongs to."""
        candidate = exchange.candidate
        if candidate is None:
            return self._no_rule[exchange.listener]
        report = candidate.report
        assert isinstance(report, RuleReport)
        return report

    def finish(self, exchange: ExchangeState) -> None:
        """Count and log. A fault here is ours and must not reach the exchange."""
        try:
            candidate = exchange.candidate
            report = self.of(exchange) if candidate is None else candidate.report
            began = exchange.began
            clock = exchange.services.clock
            duration_s = clock() - began
            outcome = self._outcomes.count(exchange, report, duration_s)
            error = exchange.error
            if error is not None and isinstance(error, FilterError):
                self._filter_failed(error)
            if self._log is None:
                return
            head = exchange.head
            context = exchange.context
            self._log.write(
                outcome,
                self.wall_s + began,
                exchange.request_id,
                exchange.connection.client,
                exchange.method,
                head.authority,
                exchange.path,
                exchange.bytes_in,
                exchange.bytes_out,
                duration_s,
                head.get(b"user-agent") or b"",
                UNTRACED if context is None else traced(context.trace_id, context.span_id, exchange.sampled),
            )
        except Exception:
            _log.exception("the report of a finished exchange failed")

    def refused(self, listener: str, error: EdgeError, client: bytes, protocol: str) -> None:
        """A request that no exchange saw, or a connection turned away: count and log."""
        labels = (
            ("edge.listener.name", listener),
            ("error.type", type(error).__name__),
            ("http.response.status_code", str(error.status)),
        )
        self._registry.counter("edge.server.refused", labels).value += 1
        if self._log is None:
            return
        alike = Alike(protocol.encode(), error.status, error.flag.encode())
        self._log.write(alike, time.time(), b"", client, b"", b"", b"", 0, 0, 0.0, b"")

    def mirrored(self, cluster: str, outcome: str) -> None:
        """Count one copy of a request: `answered`, `failed`, `cut` or `skipped`."""
        labels = (("edge.cluster.name", cluster), ("edge.mirror.outcome", outcome))
        self._registry.counter("edge.mirror.requests", labels).value += 1

    def filters_took(self, records: Sequence[FilterRecord | Passage]) -> None:
        """Durations of the filters of a sampled exchange, waiting included."""
        durations = self._durations
        for record in records:
            if isinstance(record, tuple):
                shape, start_ns, end_ns = record
                durations[shape[0]](end_ns - start_ns)
            else:
                durations[record.name](record.end_ns - record.start_ns)
        self._unsettled += 1
        if self._unsettled >= UNSETTLED:
            self._unsettled = 0
            durations.settle()

    def _filter_failed(self, error: FilterError) -> None:
        kind = error.code or type(error).__name__
        labels = (("edge.filter.name", error.filter_name), ("error.type", kind))
        self._registry.counter("edge.filter.errors", labels).value += 1


class Traces:
    """Tracing of one revision; implements `exchange.revision.Tracing`."""

    def __init__(self, telemetry: Telemetry, ids: Ids, tracer: Tracer, reports: Reports) -> None:
        self._tracing = Tracing(telemetry, ids)
        self.propagation = self._tracing.propagation
        self._inject = self.propagation.inject
        self._tracer = tracer
        self._reports = reports
        self._unrouted = RouteInfo("")

    def begin(self, exchange: ExchangeState, head: RequestHead) -> None:
        """Decide from the head's context, before anything is recorded."""
        context = exchange.context = self._tracing.begin(head, exchange.connection.peer[0])
        if context.sampled:
            exchange.sampled = True
            exchange.trace = ExchangeTrace(
                context,
                head,
                exchange.connection,
                self._unrouted,
                exchange.request_id,
                exchange.services.wall_ns(),
            )
        self._inject(head, context.trace_id, context.upstream_span_id, context.sampled, context.tracestate)

    def finish(self, exchange: ExchangeState) -> None:
        """Complete the trace and hand it over."""
        trace = exchange.trace
        if trace is None:
            return
        try:
            self._complete(exchange, trace)
            self._tracer.finish(trace)
        except Exception:
            _log.exception("the trace of a finished exchange failed")

    def _complete(self, exchange: ExchangeState, trace: ExchangeTrace) -> None:
        error = exchange.error
        trace.route = self._reports.of(exchange).info
        trace.end_ns = exchange.services.wall_ns()
        trace.status = exchange.status
        trace.error = type(error).__name__ if error is not None else ""
        trace.reply_source = exchange.reply_source
        trace.reply_filter = exchange.reply_filter
        trace.request_bytes = exchange.bytes_in
        trace.response_bytes = exchange.bytes_out
        trace.upstream_path = exchange.head.path
        if exchange.chain is not None:
            trace.records = list(exchange.chain.kept)
        upstream = exchange.upstream
        if upstream is not None:
            began_ns = trace.upstream_sent_ns
            for address, reused, failure, ended_ns in upstream.failures:
                failed = Attempt(exchange.cluster_name, began_ns, address, reused)
                failed.end_ns = began_ns = ended_ns
                if failure.isdigit():
                    failed.status = int(failure)
                else:
                    failed.error = failure
                trace.attempts.append(failed)
            last = Attempt(exchange.cluster_name, began_ns, upstream.address, upstream.reused)
            last.end_ns = trace.upstream_ended_ns or trace.end_ns
            if exchange.response is not None and exchange.reply_source == "upstream":
                last.status = exchange.response.status
            elif error is not None:
                last.error = type(error).__name__
            trace.attempts.append(last)
            secure = exchange.revision.clusters[exchange.cluster_name].secure
            for attempt in trace.attempts:
                attempt.secure = secure
        apparent_ns = trace.end_ns - trace.start_ns
        took_ns = int((exchange.services.clock() - exchange.began) * 1e9)
        if apparent_ns < 0 or abs(apparent_ns - took_ns) > CLOCK_STEP_NS:
            straighten(trace, took_ns)
        if trace.records:
            self._reports.filters_took(trace.records)
