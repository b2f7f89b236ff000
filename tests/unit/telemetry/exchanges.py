"""Sampled exchanges with fixed content, for encoder, tracer and ring."""

from __future__ import annotations

from edge.chain.filter import Direction, FilterRecord
from edge.head import RequestHead
from edge.telemetry.ids import Ids
from edge.telemetry.spans import Attempt, ExchangeTrace, FilterInfo, RouteInfo
from edge.telemetry.tracing import Context

START_NS = 1_790_000_000_000_000_000
TRACE_ID = bytes.fromhex("0af7651916cd43dd8448eb211c80319c")
SPAN_ID = bytes.fromhex("b7ad6b7169203331")
UPSTREAM_ID = bytes.fromhex("00f067aa0ba902b7")
PARENT_ID = bytes.fromhex("53995c3f42cd8ad8")


class FixedIds(Ids):
    """Counts instead of rolling dice."""

    def __init__(self) -> None:
        super().__init__()
        self.made = 0

    def span_id(self) -> bytes:
        self.made += 1
        return self.made.to_bytes(8, "big")

    def span_ids(self, count: int) -> list[bytes]:
        return [self.span_id() for _ in range(count)]


class FakeConnection:
    """What an exchange knows of its client."""

    id = 1
    peer = ("192.0.2.7", 50123)
    local = ("127.0.0.1", 8443)
    tls_version = "TLSv1.3"
    sni = "shop.example"
    identity = None


FILTERS = (
    FilterInfo("api-key", "11" * 32, "proxy-wasm/0.2.1"),
    FilterInfo("split", "22" * 32, "proxy-wasm/0.2.0", fail_open=True, version="1.2"),
)


def exchange(
    path: bytes = b"/api/items?page=2&token=hush",
    method: bytes = b"GET",
    parent: bytes = PARENT_ID,
    trace_id: bytes = TRACE_ID,
    filters: int = 2,
    tries: int = 1,
) -> ExchangeTrace:
    """A finished exchange of 10 ms with `filters` filter records and `tries` attempts."""
    head = RequestHead(method, b"https", b"shop.example:8443", path, [(b"user-agent", b"curl/8.9")])
    context = Context(trace_id, SPAN_ID, parent, UPSTREAM_ID, True, b"vendor=1" if parent else b"")
    route = RouteInfo("web", "api", "/api", "main", 7, FILTERS)
    trace = ExchangeTrace(context, head, FakeConnection(), route, b"req-1", START_NS)
    for index in range(tries):
        attempt = Attempt("shop", START_NS + 2_000_000 + index, "127.0.0.1:9000", index == 0)
        attempt.end_ns = START_NS + 9_000_000
        if index == tries - 1:
            attempt.status = 200
        else:
            attempt.error = "UC"
        trace.attempts.append(attempt)
    for index in range(filters):
        record = FilterRecord(FILTERS[index].name, index, Direction.REQUEST, START_NS + 1000 * (index + 1))
        record.end_ns = record.start_ns + 900
        record.guest_ns, record.host_ns, record.wait_ns = 700, 150, 50
        record.calls, record.host_calls = 1, 3
        record.bytes_in, record.bytes_out, record.memory_bytes = 11, 12, 131072
        record.edits = ["x-consumer"]
        record.attributes = [("tenant", "acme")]
        trace.records.append(record)
    trace.upstream_path = b"/v2/items?page=2&token=hush"
    trace.status = 200
    trace.reply_source = "upstream"
    trace.request_bytes, trace.response_bytes = 0, 23
    trace.end_ns = START_NS + 10_000_000
    return trace
