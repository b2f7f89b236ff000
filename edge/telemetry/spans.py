"""What an exchange leaves behind when it is sampled: plain records, encoded later in a batch.

The pipeline makes one `ExchangeTrace` when a sampled request begins, fills it in while the
exchange lives, and hands it to `Tracer.finish` once. All times are wall-clock nanoseconds.
"""

from __future__ import annotations

from typing import Final

from edge.chain.filter import FilterRecord
from edge.chain.passage import Passage
from edge.exchange.seams import Connection
from edge.head import RequestHead
from edge.telemetry.tracing import Context

VALUE_LIMIT_BYTES: Final = 2048
"""Longer attribute values are cut, so that a long target cannot fill a batch alone."""

SPAN_LIMIT: Final = 64
"""Spans of one exchange; further filter records or attempts are not shown."""


class FilterInfo:
    """What is the same for every span of one filter of a prepared chain."""

    __slots__ = ("abi", "digest", "fail_open", "name", "version")

    def __init__(self, name: str, digest: str, abi: str, fail_open: bool = False, version: str = "") -> None:
        self.name = name
        self.digest = digest
        self.abi = abi
        self.fail_open = fail_open
        self.version = version


class RouteInfo:
    """What is the same for every server span of one rule on one listener.

    `template` is the low-cardinality path of `http.route` (e.g. `/api`), empty = no route.
    `filters` are the chain's in request order: `FilterRecord.position` counts in it from 0.
    """

    __slots__ = ("chain", "filters", "listener", "revision", "route", "template")

    def __init__(
        self,
        listener: str,
        route: str = "",
        template: str = "",
        chain: str = "",
        revision: int = 0,
        filters: tuple[FilterInfo, ...] = (),
    ) -> None:
        self.listener = listener
        self.route = route
        self.template = template
        self.chain = chain
        self.revision = revision
        self.filters = filters


class Attempt:
    """One try at an endpoint. `address` is `ip:port`; `error` an error type, empty for none."""

    __slots__ = ("address", "cluster", "end_ns", "error", "reused", "secure", "start_ns", "status")

    def __init__(self, cluster: str, start_ns: int, address: str = "", reused: bool = False) -> None:
        self.cluster = cluster
        self.start_ns = start_ns
        self.end_ns = start_ns
        self.address = address
        self.reused = reused
        self.secure = False
        """Whether the connection to the endpoint is TLS."""
        self.status = 0
        self.error = ""


class ExchangeTrace:
    """One sampled exchange. The constructor copies what filters may edit later.

    `reply_source` is `upstream`, `filter` or `edge`; `reply_filter` names the filter that
    answered; `error` is an error type (short and of few values), empty when all went well.
    """

    __slots__ = (
        "attempts",
        "authority",
        "connection",
        "context",
        "end_ns",
        "error",
        "method",
        "path",
        "protocol",
        "records",
        "reply_filter",
        "reply_source",
        "request_bytes",
        "request_id",
        "response_bytes",
        "route",
        "scheme",
        "start_ns",
        "status",
        "upstream_ended_ns",
        "upstream_path",
        "upstream_sent_ns",
        "user_agent",
    )

    def __init__(
        self,
        context: Context,
        head: RequestHead,
        connection: Connection,
        route: RouteInfo,
        request_id: bytes,
        start_ns: int,
    ) -> None:
        self.context = context
        self.method = head.method
        self.scheme = head.scheme
        self.authority = head.authority
        self.path = head.path
        self.upstream_path = head.path
        self.protocol = head.protocol
        self.user_agent = head.get(b"user-agent")
        self.connection = connection
        self.route = route
        self.request_id = request_id
        self.start_ns = start_ns
        self.end_ns = start_ns
        self.upstream_sent_ns = self.upstream_ended_ns = 0
        self.status = 0
        self.error = ""
        self.reply_source = "edge"
        self.reply_filter = ""
        self.request_bytes = 0
        self.response_bytes = 0
        self.attempts: list[Attempt] = []
        self.records: list[FilterRecord | Passage] = []

    def span_count(self) -> int:
        """How many spans this exchange encodes to."""
        return min(1 + len(self.attempts) + len(self.records), SPAN_LIMIT)
