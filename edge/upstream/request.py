"""One request to a cluster, across the attempts it takes."""

from __future__ import annotations

from math import inf
from time import time_ns
from typing import TYPE_CHECKING, Final

from edge.errors import EdgeError, Retry, StrayBytes, UpstreamRefused
from edge.exchange.seams import ExchangeResponse
from edge.head import Fields, RequestHead
from edge.upstream.carrier import Carrier

if TYPE_CHECKING:
    from edge.upstream.cluster import Cluster
    from edge.upstream.pool import Pool

HELD_MAX_BYTES: Final = 64 << 10
"""Request body kept while no connection is there; past it the sender is paused."""

REFUSED_MAX: Final = 3
"""Refusals of one request after which it fails: an endpoint that refuses may do so for ever."""

IDEMPOTENT: Final = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE"))
"""RFC 9110 §9.2.2: may be sent again when the first try got no answer."""

Failure = tuple[str, bool, str, int]
"""An attempt that was made again elsewhere: address, reused, error type, wall-clock ns of its end."""


class PooledRequest:
    """Implements `seams.UpstreamRequest` and the `Caller` of a connection.

    Body that comes while there is no connection is held here and never lost. A body byte that
    has reached a connection forbids every further attempt, because it cannot be had again.
    """

    __slots__ = (
        "_body_sent",
        "_client",
        "_cluster",
        "_end",
        "_ended",
        "_held",
        "_held_bytes",
        "_over",
        "_paused",
        "_refused",
        "_replay",
        "_replay_bytes",
        "_retried",
        "_trailers",
        "address",
        "attempt_deadline",
        "attempts",
        "failures",
        "head",
        "key",
        "pool",
        "receiver",
        "reused",
        "timeout_s",
        "tried",
    )

    def __init__(
        self, cluster: Cluster, receiver: ExchangeResponse, head: RequestHead, end: bool, timeout_s: float
    ) -> None:
        self._cluster = cluster
        self.receiver = receiver
        self.head = head
        self.timeout_s = timeout_s
        self.address = ""
        self.key = 0
        """Hash of the request, where its cluster's balancer wants one."""
        self.pool: Pool | None = None
        """Of the latest attempt."""
        self.reused = False
        self.attempts = 0
        self.failures: tuple[Failure, ...] = ()
        self.tried = 0
        """Bit n = endpoint n had an attempt that found no connection."""
        self.attempt_deadline = inf
        self._client: Carrier | None = None
        self._end = end
        self._ended = end
        self._over = False
        self._paused = False
        self._retried = False
        self._refused = 0
        self._body_sent = False
        self._replay: list[bytes] | None = [] if cluster.shared else None
        self._replay_bytes = 0
        self._held: list[bytes] | None = None
        self._held_bytes = 0
        self._trailers: Fields | None = None

    # -- called by the cluster and the connection ------------------------------------------

    def use(self, client: Carrier, pool: Pool) -> None:
        """An idle connection was chosen."""
        self.pool = pool
        self.address = pool.address
        self.reused = True
        self.attempts += 1
        if self._held is None and self._ended is self._end:
            self._client = client
            client.begin(self, self.head, self._end, self.attempt_deadline)
        else:
            self._send_on(client)

    def dialling(self, client: Carrier, pool: Pool) -> None:
        """A new connection is being made."""
        self.pool = pool
        self.address = pool.address
        self.reused = False
        self.attempts += 1
        self._held = self._held or []
        self._client = client

    def connected(self, address: str) -> None:
        self.address = address
        if self._client is not None:
            self._send_on(self._client)

    def _send_on(self, client: Carrier) -> None:
        self._client = client
        client.begin(self, self.head, self._end, self.attempt_deadline)
        if self._client is not client:
            # It could not even begin. What is held is for the next attempt, or went with it.
            return
        held = self._held
        self._held = None
        if held:
            self._held_bytes = 0
            for data in held:
                self._sent(data)
                client.send_data(data, False)
        if self._ended and not self._end and self._client is client:
            if self._trailers is not None:
                client.send_trailers(self._trailers)
            else:
                client.send_data(b"", True)
        if self._paused and self._client is client and not client.write_paused:
            self.writable(True)

    def writable(self, yes: bool) -> None:
        if yes == self._paused and not self._over:
            self._paused = not yes
            if yes:
                self.receiver.resume_request()
            else:
                self.receiver.pause_request()

    def failed(self, error: EdgeError, untouched: bool) -> None:
        self._client = None
        if self._may_retry(error, untouched):
            self.failures += ((self.address, self.reused, type(error).__name__, time_ns()),)
            self._cluster.assign(self, fresh=self._retried)
        else:
            self.give_up(error)

    def _may_retry(self, error: EdgeError, untouched: bool) -> bool:
        if error.retry is Retry.YES:
            if isinstance(error, UpstreamRefused):
                return self._may_repeat()
            return self._cluster.untried(self.tried)
        if (
            error.retry is Retry.IF_REUSED
            and untouched
            and self.reused
            and not self._retried
            and not self._body_sent
            and (self.head.method in IDEMPOTENT or (isinstance(error, StrayBytes) and error.unsent))
        ):
            self._retried = True
            return True
        return False

    def _may_repeat(self) -> bool:
        """After a refusal nothing was done with the request: it may go anywhere, even there again."""
        self._refused += 1
        if self._refused >= REFUSED_MAX or (self._body_sent and self._replay is None):
            return False
        self.tried = 0
        if self._replay:
            self._held = self._replay
            self._held_bytes = self._replay_bytes
            self._replay = []
            self._replay_bytes = 0
            self._body_sent = False
        return True

    def give_up(self, error: EdgeError) -> None:
        """No attempt is left."""
        self._over = True
        self._held = None
        self.receiver.upstream_failed(error)

    def finished(self) -> None:
        self._over = True
        self._client = None

    # -- called by the exchange --------------------------------------------------------------

    def send_data(self, data: bytes, end: bool) -> None:
        if self._over or self._ended:
            return
        self._ended = end
        if self._held is None and self._client is not None:
            if data:
                self._sent(data)
            self._client.send_data(data, end)
        elif data:
            self._hold(data)

    def _sent(self, data: bytes) -> None:
        """Small bodies are kept where an endpoint may refuse a request after it got them."""
        self._body_sent = True
        replay = self._replay
        if replay is not None:
            replay.append(data)
            self._replay_bytes += len(data)
            if self._replay_bytes > HELD_MAX_BYTES:
                self._replay = None

    def _hold(self, data: bytes) -> None:
        if self._held is None:
            self._held = []
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > HELD_MAX_BYTES and not self._ended:
            self.writable(False)

    def send_trailers(self, fields: Fields) -> None:
        if self._over or self._ended:
            return
        self._ended = True
        self._trailers = fields
        if self._held is None and self._client is not None:
            self._client.send_trailers(fields)

    def cancel(self) -> None:
        if self._over:
            return
        self._over = True
        self._held = None
        client = self._client
        self._client = None
        if client is not None:
            client.give_up()
        else:
            self._cluster.queue.leave(self)

    def pause_response(self) -> None:
        if self._client is not None:
            self._client.pause_response()

    def resume_response(self) -> None:
        if self._client is not None:
            self._client.resume_response()
