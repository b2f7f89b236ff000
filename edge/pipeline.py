"""The whole way of a request, read from top to bottom. Start here.

    codec → Pipeline.accept → route → chain (filters, in order) → forward_request_head → upstream
    upstream → response_head → chain (backwards) → forward_response_head → codec → finish

Every step is a plain call. Where a step must wait (a filter pauses, a connection is dialled) its
owner keeps what came and goes on later by the same calls.
"""

from __future__ import annotations

from typing import Final

from edge.chain.express import open_run
from edge.errors import BadRequest, EdgeError, LimitExceeded, NoCapacity, RouteError
from edge.exchange.admission import OVERLOADED
from edge.exchange.arrival import Arrivals
from edge.exchange.ending import Ending
from edge.exchange.revision import Revision, Services
from edge.exchange.seams import Connection, Downstream
from edge.head import Fields, RequestHead, ResponseHead
from edge.syntax import NOT_SERVED, canonical_authority, canonical_path

KNOWN_PEERS: Final = 1024
"""Addresses whose forwarding fields are kept ready."""


class Pipeline:
    """Takes request heads of one listener and starts their exchanges."""

    __slots__ = ("_forwarded", "_listener", "_services", "arrivals")

    def __init__(self, listener: str, services: Services) -> None:
        self._listener = listener
        self._services = services
        self._forwarded: dict[str, Fields] = {}
        self.arrivals: Arrivals | None = None
        """Where there is more to say about a client than its connection's address."""

    def pin(self, revision: Revision) -> None:
        """The listener is going: what its connections still ask is served by `revision`."""
        self._services = self._services.pinned(revision)

    def accept(
        self, connection: Connection, downstream: Downstream, head: RequestHead, end: bool
    ) -> Exchange:
        """Start the exchange of `head`; `end` True = no body follows."""
        services = self._services
        revision = services.revision
        assert revision is not None
        revision.active += 1
        exchange = Exchange(services, revision, self._listener, connection, downstream, head, end)
        try:
            arrivals = self.arrivals
            refusal: EdgeError | None = None
            if arrivals is None:
                peer = connection.peer[0]
                head.fields += self._forwarded.get(peer) or self._forwarded_fields(peer, head.scheme)
            else:
                exchange.connection, refusal = arrivals.enter(connection, head)
            head.fields.append((b"x-request-id", exchange.request_id))
            if revision.tracing is not None:
                revision.tracing.begin(exchange, head)
            if services.admission.level:
                refusal = self._strained(connection) or refusal
            if refusal is None:
                exchange.route(end)
            else:
                exchange._fail(refusal)
        except Exception:
            exchange.abandon()
            raise
        return exchange

    def _strained(self, connection: Connection) -> EdgeError | None:
        """The worker is nearly full: no connection outlives its request; when it is full, 503."""
        connection.shutdown()
        return NoCapacity("overloaded") if self._services.admission.level == OVERLOADED else None

    def _forwarded_fields(self, peer: str, scheme: bytes) -> Fields:
        """Who the client is, as we saw it; the codec has dropped what the client claimed."""
        if len(self._forwarded) >= KNOWN_PEERS:
            self._forwarded.clear()
        fields = [(b"x-forwarded-for", peer.encode()), (b"x-forwarded-proto", scheme)]
        self._forwarded[peer] = fields
        return fields


class Exchange(Ending):
    """One exchange on its way; the methods stand in the order in which it lives."""

    __slots__ = ()

    # ---- the request, on its way in

    def route(self, end: bool) -> None:
        """Choose the rule, then run its chain, or go straight to upstream."""
        head = self.head
        revision = self.revision
        limit = revision.limits.body_bytes
        if limit and head.length is not None and head.length > limit:
            self._fail(LimitExceeded(f"content-length {head.length} is over {limit}", 413))
            return
        candidate = revision.tables[self.listener].match(head)
        if candidate is None:
            self._fail(RouteError(f"no rule for {head.authority!r}"))
            return
        self.candidate = candidate
        rule = candidate.rule
        if rule.entry is not None:
            reply = rule.entry(self, head)
            if reply is not None:
                self.answer(reply)
                return
        if rule.chain:
            sampled = self.sampled and rule.detailed
            self.chain = run = open_run(rule.express, rule.chain, self, sampled, self.services.wall_ns)
            run.request_head(head, end)
        else:
            self.forward_request_head(head, end)

    def forward_request_head(self, head: RequestHead, end: bool) -> None:
        """The head has passed every filter: edit it by the rule and send it upstream, or answer it."""
        candidate = self.candidate
        assert candidate is not None
        rule = candidate.rule
        try:
            if head.path is not self.path and canonical_path(head.path) != head.path:
                raise BadRequest(f"a filter left the path {head.path[:80]!r}, which is not canonical")
            if self.chain is not None:
                if head.authority is not self.authority:
                    head.authority = canonical_authority(head.authority)
                if head.method is not self.method and head.method in NOT_SERVED:
                    raise BadRequest(f"a filter set the method {head.method.decode()}")
            if rule.outbound is not None:
                reply = rule.outbound(self, head)
                if reply is not None:
                    self.answer(reply)
                    return
        except EdgeError as error:
            self._fail(error)
            return
        cluster = self.revision.clusters[self.backend] if self.backend else rule.cluster
        assert cluster is not None
        self.cluster_name = cluster.name
        if self.trace is not None:
            self.trace.upstream_sent_ns = self.services.wall_ns()
        sender = rule.sender
        if sender is None:
            upstream = cluster.dispatch(self, head, end, rule.backend_timeout_s)
        else:
            upstream = sender.dispatch(cluster, self, head, end, rule.backend_timeout_s)
        if not self.finished:
            self.upstream = upstream

    def request_data(self, data: bytes, end: bool) -> None:
        """Body bytes from the codec."""
        if self.closing:
            return
        self.bytes_in += len(data)
        self.request_ended = end
        limit = self.revision.limits.body_bytes
        if limit and self.bytes_in > limit and not self.tunnel:
            self._fail(LimitExceeded(f"body over {limit} bytes", 413))
        elif self.chain is not None and not self.tunnel:
            self.chain.request_data(data, end)
        elif self.upstream is not None:
            self.upstream.send_data(data, end)

    def forward_request_data(self, data: bytes, end: bool) -> None:
        if self.upstream is not None:
            self.upstream.send_data(data, end)

    def request_trailers(self, fields: Fields) -> None:
        if self.closing:
            return
        self.request_ended = True
        if self.chain is not None:
            self.chain.request_trailers(fields)
        else:
            self.forward_request_trailers(fields)

    def forward_request_trailers(self, fields: Fields) -> None:
        if self.upstream is not None:
            self.upstream.send_trailers(fields)

    # ---- the response, on its way out

    def response_head(self, head: ResponseHead, end: bool) -> None:
        """The final head from upstream."""
        if self.closing:
            return
        if end:
            self._upstream_over()
        candidate = self.candidate
        if candidate is not None and candidate.rule.inbound is not None:
            candidate.rule.inbound(self, head)
        self.response = head
        try:
            if self.chain is not None:
                self.chain.response_head(head, end)
            else:
                self.forward_response_head(head, end)
        except Exception as error:
            self.fault(error)

    def response_whole(self, head: ResponseHead, body: bytes, trailers: Fields | None = None) -> None:
        """All of it came at once, and leaves in one write if the filters let all of it pass at once."""
        if self.closing:
            return
        if self.trace is not None:
            self.trace.upstream_ended_ns = self.services.wall_ns()
        candidate = self.candidate
        if candidate is not None and candidate.rule.inbound is not None:
            candidate.rule.inbound(self, head)
        try:
            chain = self.chain
            if chain is not None:
                self.response = head
                self.joining = True
                if not chain.response_passes(head):
                    self._follow_head(body, trailers)
                    return
            self.upstream_done = True
            self._settle_on(head)
            self.bytes_out += len(body)
            self.downstream.send_whole(head, body, trailers)
            self._finish()
        except Exception as error:
            self.fault(error)

    def _follow_head(self, body: bytes, trailers: Fields | None) -> None:
        """The filters were asked about a head; all that belongs to it is here."""
        if not self.closing:
            self.response_data(body, trailers is None)
        if trailers is not None:
            self.response_trailers(trailers)
        self._release_head()

    def response_data(self, data: bytes, end: bool) -> None:
        if self.closing:
            return
        if end:
            self._upstream_over()
        try:
            if self.chain is not None and not self.tunnel:
                self.chain.response_data(data, end)
            else:
                self.forward_response_data(data, end)
        except Exception as error:
            self.fault(error)

    def response_trailers(self, fields: Fields) -> None:
        if self.closing:
            return
        self._upstream_over()
        try:
            if self.chain is not None:
                self.chain.response_trailers(fields)
            else:
                self.forward_response_trailers(fields)
        except Exception as error:
            self.fault(error)
