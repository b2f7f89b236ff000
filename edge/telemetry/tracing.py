"""What a request's trace context becomes here: one call at the start of each exchange."""

from __future__ import annotations

from edge.head import RequestHead
from edge.model import Telemetry
from edge.telemetry.ids import Ids
from edge.telemetry.propagation import Propagation
from edge.telemetry.sampling import Sampler


class Context:
    """Identity of one exchange. `span_id` is the server span's, `parent_id` empty for a root.

    `upstream_span_id` goes to the upstream: the client span's on a sampled exchange, else ours.
    """

    __slots__ = ("parent_id", "sampled", "span_id", "trace_id", "tracestate", "upstream_span_id")

    def __init__(
        self,
        trace_id: bytes,
        span_id: bytes,
        parent_id: bytes,
        upstream_span_id: bytes,
        sampled: bool,
        tracestate: bytes,
    ) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_id = parent_id
        self.upstream_span_id = upstream_span_id
        self.sampled = sampled
        self.tracestate = tracestate


class Tracing:
    """Propagation, sampling and ids of one revision, built from its model. ValueError if that is wrong."""

    def __init__(self, telemetry: Telemetry, ids: Ids) -> None:
        self.ids = ids
        self._enabled = telemetry.tracing
        self.sampler = Sampler(
            telemetry.ratio if telemetry.tracing else 0.0, telemetry.trust, telemetry.tracing
        )
        self.propagation = Propagation(telemetry.extract, telemetry.inject, telemetry.clear)

    def begin(self, head: RequestHead, peer: str) -> Context:
        """Decide for a request of the client address `peer`; `head` is only read."""
        ids = self.ids
        parent = self.propagation.extract(head.fields)
        if parent is None:
            trace_id, span_id, upstream = ids.trace_ids()
            sampled = self.sampler.decide(None, trace_id, peer)
            return Context(trace_id, span_id, b"", upstream if sampled else span_id, sampled, b"")
        span_id = ids.span_id()
        sampled = self.sampler.decide(parent, parent.trace_id, peer)
        upstream = ids.span_id() if sampled else span_id
        return Context(parent.trace_id, span_id, parent.span_id, upstream, sampled, parent.tracestate)

    def inject(self, head: RequestHead, context: Context) -> None:
        """Write our context into the head that goes upstream; with tracing off it passes untouched."""
        if not self._enabled:
            return
        self.propagation.inject(
            head, context.trace_id, context.upstream_span_id, context.sampled, context.tracestate
        )
