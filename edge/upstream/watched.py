"""A request of a guarded cluster: it is counted, what it ends in is told, a cookie may be added."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.errors import EdgeError, UpstreamError, UpstreamRefused
from edge.exchange.seams import Connection, ExchangeResponse
from edge.head import Field, Fields, RequestHead, ResponseHead
from edge.upstream.outliers import Outliers
from edge.upstream.request import PooledRequest

if TYPE_CHECKING:
    from edge.upstream.guarded import GuardedCluster


class WatchedRequest(PooledRequest):
    """Stands between the carrier and the exchange, as the `ExchangeResponse` that carriers know."""

    __slots__ = ("_cookie", "_guard", "_outer", "_outliers")

    def __init__(
        self,
        cluster: GuardedCluster,
        receiver: ExchangeResponse,
        head: RequestHead,
        end: bool,
        timeout_s: float,
    ) -> None:
        super().__init__(cluster, receiver, head, end, timeout_s)
        self._guard = cluster
        self._outer = receiver
        self._outliers: Outliers | None = cluster.endpoints.outliers
        self._cookie: Field | None = None
        cluster.active += 1
        if self._outliers is not None:
            self.receiver = self

    def give_cookie(self, cookie: Field) -> None:
        """The response's client shall have it."""
        self._cookie = cookie
        self.receiver = self

    @property
    def connection(self) -> Connection | None:
        """The client's."""
        return getattr(self._outer, "connection", None)

    # -- the response, on its way to the exchange --------------------------------------------

    def response_informational(self, head: ResponseHead) -> None:
        self._outer.response_informational(head)

    def response_head(self, head: ResponseHead, end: bool) -> None:
        self._look_at(head)
        self._outer.response_head(head, end)

    def response_whole(self, head: ResponseHead, body: bytes, trailers: Fields | None = None) -> None:
        self._look_at(head)
        self._outer.response_whole(head, body, trailers)

    def _look_at(self, head: ResponseHead) -> None:
        if self._cookie is not None:
            head.fields.append(self._cookie)
        if self._outliers is not None and self.pool is not None:
            self._outliers.answered(self.pool.index, head.status)

    def response_data(self, data: bytes, end: bool) -> None:
        self._outer.response_data(data, end)

    def response_trailers(self, fields: Fields) -> None:
        self._outer.response_trailers(fields)

    def upstream_failed(self, error: EdgeError) -> None:
        self._outer.upstream_failed(error)

    def pause_request(self) -> None:
        self._outer.pause_request()

    def resume_request(self) -> None:
        self._outer.resume_request()

    # -- how its tries end --------------------------------------------------------------------

    def failed(self, error: EdgeError, untouched: bool) -> None:
        stale = untouched and self.reused
        counts = isinstance(error, UpstreamError) and not isinstance(error, UpstreamRefused) and not stale
        if counts and self._outliers is not None and self.pool is not None:
            self._outliers.unanswered(self.pool.index)
        super().failed(error, untouched)

    def give_up(self, error: EdgeError) -> None:
        self._leave()
        super().give_up(error)

    def finished(self) -> None:
        self._leave()
        super().finished()

    def cancel(self) -> None:
        self._leave()
        super().cancel()

    def _leave(self) -> None:
        if not self._over:
            self._guard.active -= 1
        self.receiver = self._outer  # Or it would keep itself alive.
