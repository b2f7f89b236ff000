"""Spans of mirrored requests: a client span of its own for each copy of a request that is sampled.

A copy may outlive its request, so its span travels alone, as a child of the request's server span.
"""

from __future__ import annotations

from typing import cast

from edge.exchange.seams import ClusterHandle
from edge.exchange.state import ExchangeState
from edge.head import RequestHead
from edge.route.site import Routed
from edge.telemetry.ids import Ids
from edge.telemetry.propagation import Propagation
from edge.telemetry.spans import Attempt
from edge.telemetry.tracer import Tracer
from edge.telemetry.tracing import Context

_ANSWERED = "answered"


class MirrorTraces:
    """Of one revision; `begin` implements `edge.route.site.TraceMirror`."""

    def __init__(self, propagation: Propagation, ids: Ids, tracer: Tracer) -> None:
        self._propagation = propagation
        self._ids = ids
        self.tracer = tracer

    def begin(self, exchange: Routed, head: RequestHead, cluster: ClusterHandle) -> _MirrorTrace:
        """The copy's upstream is told of the copy's span, unless the rule took what tells of a trace away."""
        state = cast(ExchangeState, exchange)
        context = cast(Context, state.context)
        span_id = self._ids.span_id()
        if self._propagation.carried(head):
            self._propagation.inject(head, context.trace_id, span_id, True, context.tracestate)
        attempt = Attempt(cluster.name, state.services.wall_ns())
        attempt.secure = cluster.secure
        return _MirrorTrace(self, state, span_id, head, attempt)


class _MirrorTrace:
    """Implements `edge.route.site.MirrorTrace`."""

    __slots__ = ("_attempt", "_context", "_head", "_services", "_span_id", "_traces")

    def __init__(
        self,
        traces: MirrorTraces,
        exchange: ExchangeState,
        span_id: bytes,
        head: RequestHead,
        attempt: Attempt,
    ) -> None:
        self._traces = traces
        self._services = exchange.services
        self._context = cast(Context, exchange.context)
        self._span_id = span_id
        self._head = head
        self._attempt = attempt

    def ended(self, outcome: str, address: str, reused: bool, status: int) -> None:
        """Encode the span and let it go."""
        attempt = self._attempt
        attempt.end_ns = self._services.wall_ns()
        attempt.address, attempt.reused, attempt.status = address, reused, status
        attempt.error = "" if outcome == _ANSWERED else outcome
        tracer = self._traces.tracer
        tracer.add(tracer.encoder.mirror(self._context, self._span_id, self._head, attempt, outcome))
