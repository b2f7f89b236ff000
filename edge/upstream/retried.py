"""One request across the tries that a rule's `retry` allows."""

from __future__ import annotations

from math import inf
from time import time_ns
from typing import TYPE_CHECKING

from edge.errors import EdgeError
from edge.exchange.seams import Connection, ExchangeResponse
from edge.head import Fields, RequestHead, ResponseHead
from edge.upstream.request import HELD_MAX_BYTES, Failure, PooledRequest
from edge.upstream.try_response import Try

if TYPE_CHECKING:
    from edge.upstream.cluster import Cluster
    from edge.upstream.retry import Retry

CONTINUE = 100


class RetriedRequest:
    """Implements `seams.UpstreamRequest`. The request's body is kept while another try is possible."""

    __slots__ = (
        "_attempts",
        "_avoid",
        "_cluster",
        "_counted",
        "_current",
        "_end",
        "_ended",
        "_failures",
        "_kept",
        "_kept_bytes",
        "_over",
        "_policy",
        "_receiver",
        "_request",
        "_sender_paused",
        "_settled",
        "_timeout_s",
        "_trailers",
        "_tries",
        "_waiting",
        "deadline",
        "filed",
        "head",
    )

    def __init__(
        self,
        policy: Retry,
        cluster: Cluster,
        receiver: ExchangeResponse,
        head: RequestHead,
        end: bool,
        timeout_s: float,
    ) -> None:
        self._policy = policy
        self._cluster = cluster
        self._receiver = receiver
        self.head = head
        self._end = self._ended = end
        self._timeout_s = timeout_s
        self._request: PooledRequest | None = None
        """The latest try, also while the next one waits."""
        self._current: Try | None = None
        self._tries = 0
        self._attempts = 0
        self._failures: tuple[Failure, ...] = ()
        """As are those of the tries before the latest."""
        self._avoid = 0
        self._kept: list[bytes] | None = []
        """The body so far, None = it is not whole any more."""
        self._kept_bytes = 0
        self._trailers: Fields | None = None
        self._sender_paused = self._waiting = self._counted = self._settled = self._over = False
        self.deadline = self.filed = inf

    # -- what the exchange and its reports see ------------------------------------------------

    @property
    def connection(self) -> Connection | None:
        """The client's, for those who choose an endpoint by it."""
        return getattr(self._receiver, "connection", None)

    @property
    def address(self) -> str:
        return self._request.address if self._request is not None else ""

    @property
    def reused(self) -> bool:
        return self._request is not None and self._request.reused

    @property
    def attempts(self) -> int:
        return self._attempts + (self._request.attempts if self._request is not None else 0)

    @property
    def failures(self) -> tuple[Failure, ...]:
        return self._failures + (self._request.failures if self._request is not None else ())

    # -- one try after the other --------------------------------------------------------------

    def start(self) -> None:
        """The first try."""
        self._cluster.retry_budget.count()
        self._try()

    def _try(self) -> None:
        self._tries += 1
        current = self._current = Try(self)
        request = self._cluster.dispatch(current, self.head, self._end, self._timeout_s, self._avoid)
        if self._request is not None:
            self._attempts += self._request.attempts
        self._request = request
        current.started = True
        if current.error is not None:
            self.failed(current, current.error)
        elif not self._end and (self._kept or self._ended):
            self._send_again(current, request)

    def _send_again(self, current: Try, request: PooledRequest) -> None:
        for data in self._kept or ():
            if self._current is current:
                request.send_data(data, False)
        if self._kept_bytes > HELD_MAX_BYTES and self._current is current:
            self._kept = None
        if self._ended and self._current is current:
            if self._trailers is not None:
                request.send_trailers(self._trailers)
            else:
                request.send_data(b"", True)

    def expired(self) -> None:
        """The pause before the next try is over."""
        self._waiting = False
        self.deadline = inf
        self._let_sender_go()
        self._try()

    # -- what a try says ----------------------------------------------------------------------

    def informational(self, head: ResponseHead) -> None:
        if head.status != CONTINUE:
            self._kept = None  # The client has something of this response: no other may follow.
        self._receiver.response_informational(head)

    def response_head(self, current: Try, head: ResponseHead, end: bool) -> bool:
        """The final head of the current try; whether it goes to the exchange."""
        if self._policy.names_response(head, end) and self._may_try_again(False):
            request = self._request
            assert request is not None
            self._drop()
            if not end:
                if self._ended:
                    current.drain(request)
                else:
                    request.cancel()
            self._pause(str(head.status), head.get(b"retry-after"))
            return False
        self._settle()
        return True

    def failed(self, current: Try, error: EdgeError) -> None:
        """The current try has ended without a whole response."""
        policy = self._policy
        if policy.names_error(error) and self._may_try_again(policy.unseen(error)):
            self._drop()
            self._pause(type(error).__name__, None)
            return
        self._over = True
        self._drop()
        self._settle()
        self._receiver.upstream_failed(error)

    def _may_try_again(self, unseen: bool) -> bool:
        if self._settled or self._kept is None or self._tries > self._policy.attempts:
            return False
        if not unseen and not self._policy.safe(self.head):
            return False
        reason = self._cluster.refuses_retry(self._counted)
        if reason:
            self._cluster.rejected[reason] += 1
            return False
        return True

    def _pause(self, failure: str, asked: bytes | None) -> None:
        request = self._request
        assert request is not None
        self._failures += (*request.failures, (request.address, request.reused, failure, time_ns()))
        request.failures = ()
        if request.pool is not None:
            self._avoid |= 1 << request.pool.index
        if not self._counted:
            self._counted = True
            self._cluster.retrying += 1
        self._waiting = True
        self._let_sender_go()
        self.deadline = self._policy.clock() + self._policy.pause_s(self._tries, asked)
        self._policy.deadlines.watch(self)

    def _drop(self) -> None:
        """What the current try still says does not count."""
        if self._current is not None:
            self._current.part()
            self._current = None

    def _settle(self) -> None:
        """No try follows."""
        self._settled = True
        self._kept = None
        if self._counted:
            self._counted = False
            self._cluster.retrying -= 1

    def pause_request(self) -> None:
        if not self._sender_paused:
            self._sender_paused = True
            self._receiver.pause_request()

    def resume_request(self) -> None:
        self._let_sender_go()

    def _let_sender_go(self) -> None:
        if self._sender_paused:
            self._sender_paused = False
            self._receiver.resume_request()

    # -- called by the exchange ---------------------------------------------------------------

    def send_data(self, data: bytes, end: bool) -> None:
        if self._over or self._ended:
            return
        self._ended = end
        if self._kept is not None and data:
            self._keep(data)
        if not self._waiting and self._request is not None:
            self._request.send_data(data, end)

    def _keep(self, data: bytes) -> None:
        assert self._kept is not None
        self._kept.append(data)
        self._kept_bytes += len(data)
        if self._kept_bytes > HELD_MAX_BYTES:
            if not self._waiting:
                self._kept = None
            elif not self._ended:
                self.pause_request()

    def send_trailers(self, fields: Fields) -> None:
        if self._over or self._ended:
            return
        self._ended = True
        self._trailers = fields
        if not self._waiting and self._request is not None:
            self._request.send_trailers(fields)

    def cancel(self) -> None:
        if self._over:
            return
        self._over = True
        self._drop()
        self._settle()
        if self._waiting:
            self._waiting = False
            self._policy.deadlines.forget(self)
        elif self._request is not None:
            self._request.cancel()

    def pause_response(self) -> None:
        if not self._waiting and self._request is not None:
            self._request.pause_response()

    def resume_response(self) -> None:
        if not self._waiting and self._request is not None:
            self._request.resume_response()

    def is_current(self, one: Try) -> bool:
        """Whether what `one` says still counts."""
        return self._current is one

    @property
    def receiver(self) -> ExchangeResponse:
        """Who gets the response that no try follows."""
        return self._receiver
