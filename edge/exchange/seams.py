"""The seams between codecs, exchange and upstream: plain synchronous method calls.

Data is pushed. Whoever cannot take more calls `pause_*` on the side that reads, and `resume_*`
later; a call already under way may still push what it holds. No method here raises for the
peer's faults: they arrive as calls too.
"""

from __future__ import annotations

from typing import Protocol

from edge.errors import EdgeError
from edge.exchange.identity import ClientIdentity
from edge.head import Fields, RequestHead, ResponseHead


class Downstream(Protocol):
    """The client's side of one exchange, implemented by each downstream codec."""

    def send_informational(self, head: ResponseHead) -> None:
        """A 1xx other than 101. Ignored after the final head."""

    def send_head(self, head: ResponseHead, end: bool) -> None:
        """The final head, once. `end` True = no body follows (for HEAD, 204, 304 always).

        `head.length` None and `end` False = length unknown (chunked, or close for HTTP/1.0).
        Status 101 with `end` False turns the stream into a tunnel.
        """

    def send_whole(self, head: ResponseHead, body: bytes, trailers: Fields | None = None) -> None:
        """`send_head`, `send_data` and, unless None, `send_trailers`, in one write where that can be.

        Neither `body` nor `trailers` is empty.
        """

    def send_data(self, data: bytes, end: bool) -> None:
        """Body bytes after the head, `data` may be empty when `end`."""

    def send_trailers(self, fields: Fields) -> None:
        """Ends the response. Dropped where the protocol cannot carry them."""

    def reset(self, error: EdgeError) -> None:
        """The response cannot be completed: H1 closes without a clean end, H2/H3 reset."""

    def pause_request(self) -> None:
        """Stop delivering request body until `resume_request`."""

    def resume_request(self) -> None:
        """Undo `pause_request`."""


class ExchangeRequest(Protocol):
    """What a downstream codec calls on the exchange it was given for a request head."""

    def request_data(self, data: bytes, end: bool) -> None: ...
    def request_trailers(self, fields: Fields) -> None:
        """Ends the request."""

    def body_progress(self) -> int | None:
        """Request body bytes so far; None = the client need not hurry with the rest."""

    def downstream_failed(self, error: EdgeError) -> None:
        """The client is gone, or broke framing inside the body (the codec has answered)."""

    def pause_response(self) -> None:
        """The client reads slowly."""

    def resume_response(self) -> None: ...


class Accept(Protocol):
    """Given to a codec per listener: starts an exchange for a head."""

    def __call__(
        self, connection: Connection, downstream: Downstream, head: RequestHead, end: bool
    ) -> ExchangeRequest: ...


class Connection(Protocol):
    """What an exchange may know of the client's connection."""

    id: int
    peer: tuple[str, int]
    local: tuple[str, int]
    client: bytes
    """`ip:port` of the peer, as logs show it."""
    tls_version: str
    """Empty on plain connections, else e.g. `TLSv1.3`."""
    sni: str
    identity: ClientIdentity | None
    """By which rules the client was asked for a certificate, and what it showed; None = it was not asked."""

    def shutdown(self) -> None:
        """Close when what is under way is done."""


class UpstreamRequest(Protocol):
    """The upstream side of one attempt or more; returned by `ClusterHandle.dispatch`."""

    @property
    def address(self) -> str:
        """`ip:port` of the endpoint of the latest attempt, empty before one was chosen."""

    @property
    def reused(self) -> bool: ...
    @property
    def attempts(self) -> int:
        """Attempts started so far (1 = no retry)."""

    @property
    def failures(self) -> tuple[tuple[str, bool, str, int], ...]:
        """Attempts before the latest: address, reused, error type or status, wall-clock ns of its end."""

    def send_data(self, data: bytes, end: bool) -> None: ...
    def send_trailers(self, fields: Fields) -> None:
        """Ends the request."""

    def cancel(self) -> None:
        """The response is not wanted any more: the connection is closed or, if clean, reused."""

    def pause_response(self) -> None: ...
    def resume_response(self) -> None: ...


class ExchangeResponse(Protocol):
    """What upstream calls on the exchange. After `end`, trailers or failure nothing follows."""

    def response_informational(self, head: ResponseHead) -> None: ...
    def response_head(self, head: ResponseHead, end: bool) -> None:
        """Final head; 101 with `end` False means that bytes now flow both ways untouched."""

    def response_whole(self, head: ResponseHead, body: bytes, trailers: Fields | None = None) -> None:
        """`response_head`, `response_data` and, unless None, `response_trailers`: all of it came at once.

        Neither `body` nor `trailers` is empty.
        """

    def response_data(self, data: bytes, end: bool) -> None: ...
    def response_trailers(self, fields: Fields) -> None: ...
    def upstream_failed(self, error: EdgeError) -> None:
        """No (complete) response will come; all retries allowed have been made."""

    def pause_request(self) -> None: ...
    def resume_request(self) -> None: ...


class ClusterHandle(Protocol):
    """A cluster as the exchange sees it. `secure` = its endpoints are spoken to in TLS."""

    name: str
    secure: bool

    def dispatch(
        self, receiver: ExchangeResponse, head: RequestHead, end: bool, timeout_s: float
    ) -> UpstreamRequest:
        """Send `head` to an endpoint chosen now. Never blocks, never raises for upstream faults.

        `end` True = no body. `timeout_s` (0 = none) bounds the wait for each attempt's response
        head. Calls on `receiver` may come before this returns only for `upstream_failed`.
        """


class Retrying(Protocol):
    """A rule's policy of tries; stands between the exchange and the cluster that was chosen."""

    def dispatch(
        self,
        cluster: ClusterHandle,
        receiver: ExchangeResponse,
        head: RequestHead,
        end: bool,
        timeout_s: float,
    ) -> UpstreamRequest:
        """As `cluster.dispatch`."""
