"""What is known of one exchange: facts for the log, the metrics, the trace and the properties."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from edge.errors import EdgeError
from edge.exchange.revision import Revision, Services
from edge.exchange.seams import Connection, Downstream, UpstreamRequest
from edge.head import RequestHead, ResponseHead

if TYPE_CHECKING:
    from edge.chain.express import ExpressRun
    from edge.chain.run import ChainRun
    from edge.route import Candidate
    from edge.route.backend import Backend
    from edge.telemetry.spans import ExchangeTrace
    from edge.telemetry.tracing import Context


class ExchangeState:
    """The data of an exchange; `edge.pipeline.Exchange` adds what happens.

    `path`, `method` and `authority` are those the client sent (canonical), before filters and rewrites.
    Byte counts are body bytes as they crossed the client's connection. `closing` = what either side
    still sends is not wanted; `request_held`, `response_held` = who holds that direction back.
    """

    __slots__ = (
        "authority",
        "backend",
        "began",
        "bytes_in",
        "bytes_out",
        "candidate",
        "chain",
        "chosen",
        "closing",
        "cluster_name",
        "connection",
        "context",
        "deadline",
        "downstream",
        "error",
        "filed",
        "finished",
        "flag",
        "head",
        "head_held",
        "joining",
        "listener",
        "method",
        "path",
        "pause_at",
        "reply_details",
        "reply_filter",
        "reply_source",
        "request_ended",
        "request_held",
        "request_id",
        "request_timeout_at",
        "response",
        "response_held",
        "response_out",
        "revision",
        "sampled",
        "services",
        "status",
        "trace",
        "tunnel",
        "upstream",
        "upstream_done",
    )

    def __init__(
        self,
        services: Services,
        revision: Revision,
        listener: str,
        connection: Connection,
        downstream: Downstream,
        head: RequestHead,
        end: bool,
    ) -> None:
        # A callable that an object keeps is cheaper to call when it was read first.
        clock, next_request_id = services.clock, services.next_request_id
        self.services = services
        self.revision = revision
        self.listener = listener
        self.connection = connection
        self.downstream = downstream
        self.request_ended = end
        self.head = head
        self.method = head.method
        self.path = head.path
        self.authority = head.authority
        self.began = clock()
        self.request_id = next_request_id()
        self.candidate: Candidate | None = None
        self.chosen: Backend | None = None
        self.chain: ChainRun | ExpressRun | None = None
        self.backend = ""
        self.cluster_name = ""
        self.upstream: UpstreamRequest | None = None
        self.response: ResponseHead | None = None
        self.status = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.error: EdgeError | None = None
        self.flag = ""
        self.reply_source = "upstream"
        self.reply_filter = ""
        self.reply_details = ""
        self.sampled = False
        self.context: Context | None = None
        self.trace: ExchangeTrace | None = None
        self.deadline = self.filed = self.pause_at = self.request_timeout_at = inf
        self.closing = self.finished = self.tunnel = self.response_out = self.upstream_done = self.joining = (
            False
        )
        self.head_held: ResponseHead | None = None
        self.request_held = self.response_held = 0

    def duration_s(self) -> float:
        """Seconds since the head was complete, coarse."""
        return self.services.clock() - self.began
