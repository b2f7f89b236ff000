"""Every error that can end an exchange, in one tree.

A leaf says where the fault lies (`source`), the status a client gets while the response head
is not out (`status`), whether another try is allowed (`retry`) and the flag the access log
shows (`flag`). Foreign exceptions are mapped to one of these at the border they cross.
"""

from __future__ import annotations

from enum import Enum


class Source(Enum):
    """Whose fault ended the exchange."""

    DOWNSTREAM = "downstream"
    UPSTREAM = "upstream"
    FILTER = "filter"
    EDGE = "edge"


class Retry(Enum):
    """Whether a failed attempt may be made again elsewhere."""

    NEVER = "never"
    IF_REUSED = "if_reused"
    """Once, silently, when a pooled connection closed before its first response byte."""
    YES = "yes"
    """Nothing was sent, or nothing was done with it: any other endpoint may be tried."""


class EdgeError(Exception):
    """Base of the tree. `detail` is one line for logs and spans, never for clients."""

    source = Source.EDGE
    status = 500
    retry = Retry.NEVER
    flag = "EI"
    retry_after_s = 0
    """Seconds after which another request may fare better, 0 = nobody knows."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail


class NoCapacity(EdgeError):
    """This worker has too little memory or too few descriptors left."""

    status = 503
    flag = "OM"
    retry_after_s = 1


class DownstreamError(EdgeError):
    """The client broke a rule or went away."""

    source = Source.DOWNSTREAM
    status = 400
    flag = "DPE"


class BadRequest(DownstreamError):
    """Malformed bytes: the client gets `status`, `connection: close`, then close."""

    def __init__(self, detail: str, status: int = 400) -> None:
        super().__init__(detail)
        self.status = status


class Flooded(DownstreamError):
    """The client asked again and again for work that leads to nothing: its connection was cut."""

    status = 0
    flag = "DF"


class Misdirected(DownstreamError):
    """The request came on a connection that is not good for its host. Spec: RFC 9110 §15.5.20."""

    status = 421
    flag = "MR"


class HandshakeFailed(DownstreamError):
    """No TLS came about: a version, a certificate or bytes that cannot be; the client got an alert."""

    status = 0
    flag = "TF"


class DownstreamClosed(DownstreamError):
    """The client closed or reset before the response was complete."""

    status = 499
    flag = "DC"


class DownstreamTimeout(DownstreamError):
    """Head or body did not arrive in time."""

    status = 408
    flag = "DT"


class RouteError(EdgeError):
    """No rule takes this request."""

    status = 404
    flag = "NR"


class NoBackend(EdgeError):
    """The rule has no backend, or none with a weight."""

    flag = "NC"


class LimitExceeded(EdgeError):
    """A size or count limit of edge was passed; `status` says which kind (413, 431, 500, 503)."""

    flag = "LM"

    def __init__(self, detail: str, status: int) -> None:
        super().__init__(detail)
        self.status = status


class UpstreamError(EdgeError):
    """The chosen endpoint failed."""

    source = Source.UPSTREAM
    status = 502
    flag = "UE"


class ConnectFailed(UpstreamError):
    """No connection could be made; nothing was sent."""

    retry = Retry.YES
    status = 502
    flag = "UF"


class NoEndpoint(UpstreamError):
    """The cluster has no endpoint to offer."""

    status = 503
    flag = "UH"


class Overloaded(UpstreamError):
    """A limit of the cluster is reached: connections, waiting requests, requests under way."""

    status = 503
    flag = "UO"
    retry_after_s = 1


class UpstreamClosed(UpstreamError):
    """The connection ended before the response was complete."""

    retry = Retry.IF_REUSED
    flag = "UC"


class UpstreamTimeout(UpstreamError):
    """No response head, or no next byte, in time."""

    status = 504
    flag = "UT"


class UpstreamRefused(UpstreamError):
    """The endpoint said that it has not begun with the request: REFUSED_STREAM, or GOAWAY before it."""

    retry = Retry.YES
    status = 503
    flag = "UR"


class BadResponse(UpstreamError):
    """The response broke the protocol: 502, the connection is closed and never reused."""

    flag = "UPE"


class StrayBytes(BadResponse):
    """A reused connection brought bytes that nobody asked for where an answer should begin.

    They belong to an earlier answer, so they say nothing about this request. `unsent` = they were
    found before the request was sent.
    """

    retry = Retry.IF_REUSED

    def __init__(self, detail: str, unsent: bool = False) -> None:
        super().__init__(detail)
        self.unsent = unsent


class FilterError(EdgeError):
    """A filter ended the exchange."""

    source = Source.FILTER
    status = 503
    flag = "FE"

    def __init__(self, detail: str, filter_name: str = "", code: str = "") -> None:
        super().__init__(detail)
        self.filter_name = filter_name
        self.code = code


class FilterTrap(FilterError):
    """The guest trapped or passed a budget; `code` is the trap's short name."""

    flag = "FT"


class FilterUnavailable(FilterError):
    """No instance of the filter could be started (FAIL_CLOSE)."""

    flag = "FU"


class FilterPauseExpired(FilterError):
    """A filter held the exchange longer than `limits.pause` while it waited for nothing."""

    status = 504
    flag = "FP"


class FilterReset(FilterError):
    """A filter asked to reset the stream."""

    flag = "FR"
