"""How an exchange ends: a response, a reply of our own, a failure or a reset; always exactly once."""

from __future__ import annotations

from math import inf
from typing import Final

from edge.chain.filter import LocalReply
from edge.errors import EdgeError, UpstreamTimeout
from edge.exchange.flow import Flow
from edge.head import Fields, ResponseHead

SWITCHING: Final = 101


class Ending(Flow):
    """Adds the ways out."""

    __slots__ = ()

    def response_informational(self, head: ResponseHead) -> None:
        if not self.response_out and not self.closing:
            if head.status == 100:
                if not self.head.expect_continue:
                    return
                self.head.expect_continue = False
            self.downstream.send_informational(head)

    def request_needs_body(self) -> None:
        """A filter waits for the body: a client that waits for a 100 must get it from us."""
        if self.head.expect_continue and not self.response_out:
            self.head.expect_continue = False
            self.downstream.send_informational(ResponseHead(100, []))

    def forward_response_head(self, head: ResponseHead, end: bool) -> None:
        """The head has passed every filter: out to the client."""
        self._settle_on(head)
        if head.status == SWITCHING:
            self.tunnel = True
            self.request_timeout_at = inf
        elif self.joining and not end:
            self.head_held = head
            return
        self.downstream.send_head(head, end)
        if end:
            self._finish()

    def _settle_on(self, head: ResponseHead) -> None:
        """It is what the client gets."""
        self.response = head
        self.status = head.status
        self.response_out = True
        alt_svc = self.services.alt_svc
        if alt_svc:
            field = alt_svc.get(self.listener)
            if field is not None:
                head.fields.append(field)

    def forward_response_data(self, data: bytes, end: bool) -> None:
        self.bytes_out += len(data)
        held = self.head_held
        if held is not None:
            self.head_held = None
            if end and data:
                self.downstream.send_whole(held, data)
                self._finish()
                return
            self.downstream.send_head(held, False)
        self.downstream.send_data(data, end)
        if end:
            self._finish()

    def _release_head(self) -> None:
        """What was to join the head has not come: the head goes alone."""
        self.joining = False
        held, self.head_held = self.head_held, None
        if held is not None and not self.finished:
            self.downstream.send_head(held, False)

    def forward_response_trailers(self, fields: Fields) -> None:
        self._release_head()
        self.downstream.send_trailers(fields)
        self._finish()

    def upstream_failed(self, error: EdgeError) -> None:
        """No response, or no complete one, will come."""
        self._upstream_over()
        try:
            self._fail(error)
        except Exception as fault:
            self.fault(fault)

    def downstream_failed(self, error: EdgeError) -> None:
        """The client is gone, or its body is malformed (the codec answers that itself)."""
        self._note(error)
        if not self.response_out:
            self.status = error.status
            self.reply_source = "edge"
        self._finish()

    def answer(self, reply: LocalReply) -> None:
        """End by an answer of the rule itself; it passes the filters whose request head ran."""
        if self.finished or self.closing:
            return
        if self.chain is None:
            self.reply_won(reply)
            self._send_reply(reply)
        elif not self.chain.reply(reply):
            self.reset_exchange(EdgeError("no answer can be given any more"))

    def limit_duration(self, seconds: float) -> None:
        """End the whole exchange `seconds` after it began. Spec: Gateway API HTTPRouteTimeouts.request."""
        self.request_timeout_at = self.began + seconds
        self._set_deadline()

    def _fail(self, error: EdgeError) -> None:
        """End by `error`: a reply of edge's own while the head is not out, else a reset."""
        if self.finished or self.closing:
            return
        self._note(error)
        if self.response_out:
            self.reset_exchange(error)
            return
        fields = [(b"content-type", b"text/plain")]
        if error.retry_after_s:
            fields.append((b"retry-after", b"%d" % error.retry_after_s))
        reply = LocalReply(
            error.status,
            fields,
            _REASONS[error.source.value],
            error.detail,
            "edge",
        )
        if self.chain is None:
            self.reply_won(reply)
            self._send_reply(reply)
        elif not self.chain.reply(reply):
            self.reset_exchange(error)

    def reply_won(self, reply: LocalReply) -> None:
        """`reply` is the one answer of this exchange; upstream is not wanted any more."""
        self.closing = True
        self.reply_source = reply.source
        self.reply_filter = reply.source_name
        self.reply_details = reply.details
        self._stop_upstream()

    def _send_reply(self, reply: LocalReply) -> None:
        self.joining = True
        head = ResponseHead(reply.status, reply.fields, len(reply.body))
        self.forward_response_head(head, not reply.body)
        if reply.body:
            self.forward_response_data(reply.body, True)

    def reset_exchange(self, error: EdgeError) -> None:
        """Both sides end uncleanly, so that nobody takes half a message for a whole one."""
        if self.finished:
            return
        self._note(error)
        self._stop_upstream()
        try:
            self.downstream.reset(error)
        finally:
            self._finish()

    def fault(self, error: Exception) -> None:
        """Something of ours failed: this exchange ends, and no other."""
        try:
            self.abandon()
        except Exception as another:
            self.services.unhandled(another)
        self.services.unhandled(error)

    def abandon(self) -> None:
        """Let go of an exchange whose state cannot be trusted any more."""
        if not self.response_out:
            self.status = EdgeError.status
            self.reply_source = "edge"
        self.reset_exchange(EdgeError("a fault inside edge"))

    def _note(self, error: EdgeError) -> None:
        if self.error is None:
            self.error = error
            self.flag = error.flag

    def _stop_upstream(self) -> None:
        if self.upstream is not None and not self.upstream_done:
            self._upstream_over()
            self.upstream.cancel()

    def _upstream_over(self) -> None:
        """The upstream's part ends here; what filters still do is not its time."""
        self.upstream_done = True
        trace = self.trace
        if trace is not None and not trace.upstream_ended_ns:
            trace.upstream_ended_ns = self.services.wall_ns()

    def _finish(self) -> None:
        """The last byte or the reset is out: count, log, trace, let go."""
        if self.finished:
            return
        self.finished = self.closing = True
        if self.tunnel and self.upstream is not None:
            # Upstream may have ended its half only: the client's half ends with the exchange.
            self.upstream.cancel()
        elif not self.upstream_done:
            self._stop_upstream()
        if self.filed != inf:
            self.services.deadlines.forget(self)
        chain = self.chain
        try:
            if chain is not None:
                if chain.failure is not None:
                    self._note(chain.failure)
                chain.done()
        finally:
            revision = self.revision
            if self.sampled and revision.tracing is not None:
                revision.tracing.finish(self)
            revision.reporting.finish(self)
            revision.release()
            # Both point back at us: let them go by count, not by the collector.
            self.upstream = None
            self.chain = None

    def _time_out(self) -> None:
        error = UpstreamTimeout("the request took longer than timeouts.request")
        if self.closing:
            # A filter holds up the reply that won: no other can.
            self.reset_exchange(error)
        else:
            self._fail(error)

    def set_pause_deadline(self, deadline_in_s: float | None) -> None:
        self.pause_at = inf if deadline_in_s is None else self.services.clock() + deadline_in_s
        self._set_deadline()

    def _set_deadline(self) -> None:
        self.deadline = min(self.pause_at, self.request_timeout_at)
        self.services.deadlines.watch(self)

    def expired(self) -> None:
        """A pause or the whole request took too long."""
        if self.finished:
            return
        now = self.services.clock()
        if self.request_timeout_at <= now:
            self.request_timeout_at = inf
            self._guarded(self._time_out)
        elif self.pause_at <= now and self.chain is not None:
            self.pause_at = inf
            self._guarded(self.chain.pause_expired)
        if not self.finished:
            self._set_deadline()


_REASONS = {
    "downstream": b"bad request\n",
    "upstream": b"upstream failed\n",
    "filter": b"filter failed\n",
    "edge": b"not available\n",
}
