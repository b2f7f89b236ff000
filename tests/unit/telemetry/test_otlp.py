"""The encoder's bytes, read back with opentelemetry-proto."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span, Status

from edge.chain.filter import Direction
from edge.chain.passage import Passage, Shape, recorded
from edge.telemetry import attributes, filter_span, protobuf
from edge.telemetry.otlp import Encoder
from edge.telemetry.redaction import redact_query
from edge.telemetry.spans import SPAN_LIMIT, ExchangeTrace, FilterInfo, RouteInfo
from tests.unit.telemetry.exchanges import (
    PARENT_ID,
    SPAN_ID,
    START_NS,
    TRACE_ID,
    UPSTREAM_ID,
    FixedIds,
    exchange,
)


def encode(trace: ExchangeTrace, safe: tuple[str, ...] = ("page",)) -> list[Span]:
    entries = Encoder(FixedIds(), safe).encode(trace)
    spans = list(ScopeSpans.FromString(b"".join(entries)).spans)
    assert len(spans) == len(entries)
    return spans


def shown(span: Span) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for entry in span.attributes:
        assert entry.key not in values, f"{entry.key} twice"
        which = entry.value.WhichOneof("value")
        assert which is not None
        value = getattr(entry.value, which)
        values[entry.key] = [v.string_value for v in value.values] if which == "array_value" else value
    return values


def test_the_server_span_has_all_it_should() -> None:
    span = encode(exchange())[0]
    assert (span.trace_id, span.span_id, span.parent_span_id) == (TRACE_ID, SPAN_ID, PARENT_ID)
    assert (span.name, span.kind, span.trace_state) == ("GET /api", Span.SPAN_KIND_SERVER, "vendor=1")
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (START_NS, START_NS + 10_000_000)
    assert span.flags == 0x301 and span.status.code == Status.STATUS_CODE_UNSET
    assert shown(span) == {
        "http.request.method": "GET",
        "url.path": "/api/items",
        "url.query": "page=2&token=REDACTED",
        "url.scheme": "https",
        "server.address": "shop.example",
        "server.port": 8443,
        "http.route": "/api",
        "http.response.status_code": 200,
        "client.address": "192.0.2.7",
        "network.peer.address": "192.0.2.7",
        "network.peer.port": 50123,
        "network.protocol.version": "1.1",
        "tls.protocol.version": "1.3",
        "user_agent.original": "curl/8.9",
        "http.request.body.size": 0,
        "http.response.body.size": 23,
        "edge.listener.name": "web",
        "edge.route.name": "api",
        "edge.chain.name": "main",
        "edge.config.revision": 7,
        "edge.reply.source": "upstream",
        "edge.request.id": "req-1",
    }


def test_the_client_span_hangs_under_the_server_span() -> None:
    span = encode(exchange())[1]
    assert (span.span_id, span.parent_span_id) == (UPSTREAM_ID, SPAN_ID)
    assert (span.name, span.kind) == ("GET", Span.SPAN_KIND_CLIENT)
    assert shown(span) == {
        "http.request.method": "GET",
        "server.address": "127.0.0.1",
        "server.port": 9000,
        "network.peer.address": "127.0.0.1",
        "network.peer.port": 9000,
        "url.full": "http://127.0.0.1:9000/v2/items?page=2&token=REDACTED",
        "http.response.status_code": 200,
        "edge.cluster.name": "shop",
        "edge.endpoint.address": "127.0.0.1:9000",
        "edge.connection.reused": True,
    }


def test_the_url_of_an_upstream_in_tls_says_so() -> None:
    trace = exchange()
    trace.attempts[0].secure = True
    assert shown(encode(trace)[1])["url.full"].startswith("https://127.0.0.1:9000/")


def test_each_try_is_a_span_and_the_last_has_the_id_that_was_sent() -> None:
    first, second = encode(exchange(tries=2))[1:3]
    assert shown(first)["error.type"] == "UC" and first.status.code == Status.STATUS_CODE_ERROR
    assert "http.request.resend_count" not in shown(first)
    assert shown(second)["http.request.resend_count"] == 1 and second.span_id == UPSTREAM_ID
    assert first.span_id != UPSTREAM_ID


def test_the_filter_span_shows_where_its_time_went() -> None:
    span = encode(exchange())[3]
    assert (span.name, span.kind, span.parent_span_id) == ("filter split", Span.SPAN_KIND_INTERNAL, SPAN_ID)
    assert span.end_time_unix_nano - span.start_time_unix_nano == 900
    values = shown(span)
    assert values.pop("edge.filter.guest_time") == pytest.approx(7e-7)
    assert values.pop("edge.filter.host_time") == pytest.approx(1.5e-7)
    assert values.pop("edge.filter.wait_time") == pytest.approx(5e-8)
    assert values == {
        "edge.filter.name": "split",
        "edge.filter.module.digest": "22" * 32,
        "edge.filter.module.version": "1.2",
        "edge.filter.abi": "proxy-wasm/0.2.0",
        "edge.filter.fail_strategy": "FAIL_OPEN",
        "edge.filter.direction": "request",
        "edge.filter.position": 1,
        "edge.filter.decision": "continue",
        "edge.filter.calls": 1,
        "edge.filter.hostcalls": 3,
        "edge.filter.edits": ["x-consumer"],
        "edge.filter.memory.peak": 131072,
        "edge.filter.bytes.in": 11,
        "edge.filter.bytes.out": 12,
        "edge.guest.split.tenant": "acme",
    }


def test_a_trap_is_an_error_with_its_type() -> None:
    trace = exchange()
    record = trace.records[0]
    record.decision, record.error, record.direction = "trap", "edge.trap.unreachable", Direction.RESPONSE
    span = encode(trace)[2]
    assert span.status.code == Status.STATUS_CODE_ERROR
    assert shown(span)["error.type"] == "edge.trap.unreachable"
    assert shown(span)["edge.filter.direction"] == "response"


_SHAPES: list[Shape] = [
    ("api-key", 0, Direction.REQUEST, (77 << 32) | 3, 65536, (b"x-a", b"x-b")),
    ("split", 1, Direction.REQUEST, 0, 131072, ()),
    ("unknown", 5, Direction.RESPONSE, 1, 65536, (b"y" * 400,)),
]


@pytest.mark.parametrize("count", [0, 1, 3, 7, 70])
@pytest.mark.parametrize("parent", [b"", PARENT_ID])
def test_filters_that_only_let_a_head_pass_have_the_spans_of_their_records(count: int, parent: bytes) -> None:
    passages: list[Passage] = [
        (_SHAPES[index % 3], START_NS + 10 * index, START_NS + 10 * index + 1_500) for index in range(count)
    ]
    passed, plain = exchange(filters=0, parent=parent), exchange(filters=0, parent=parent)
    passed.records = [*passages]
    plain.records = [*recorded(passages)]
    by_record = encode(plain)
    assert [(each.name, each.span_id, shown(each)) for each in encode(passed)] == [
        (each.name, each.span_id, shown(each)) for each in by_record
    ]
    for _ in range(3):
        # One by one, then by a template that is made, then by one that is kept.
        together = ScopeSpans.FromString(Encoder(FixedIds(), ("page",)).joined(passed)).spans
        assert len(together) == passed.span_count()
        for ours, theirs in zip(together, encode(plain), strict=True):
            assert shown(ours) == shown(theirs)
            ours.ClearField("attributes")
            theirs.ClearField("attributes")
            assert ours == theirs


def test_a_passage_of_another_chain_with_the_same_names_is_another() -> None:
    passage: Passage = (_SHAPES[0], START_NS, START_NS + 5)
    one, other = exchange(filters=0, parent=b""), exchange(filters=0, parent=b"")
    one.records = other.records = [passage]
    changed = FilterInfo("api-key", "33" * 32, "proxy-wasm/0.2.1")
    other.route = RouteInfo("web", "api", "/api", "main", 8, (changed,))
    digests = []
    for trace in (one, other, one, other):
        spans = ScopeSpans.FromString(Encoder(FixedIds()).joined(trace)).spans
        digests.append(shown(spans[-1])["edge.filter.module.digest"])
    assert digests == ["11" * 32, "33" * 32] * 2


@pytest.mark.parametrize(
    "status,error,code,error_type",
    [
        (200, "", Status.STATUS_CODE_UNSET, None),
        (404, "", Status.STATUS_CODE_UNSET, None),
        (404, "NR", Status.STATUS_CODE_UNSET, "NR"),
        (500, "", Status.STATUS_CODE_ERROR, "500"),
        (504, "UT", Status.STATUS_CODE_ERROR, "UT"),
        (200, "UC", Status.STATUS_CODE_ERROR, "UC"),
        (0, "DC", Status.STATUS_CODE_ERROR, "DC"),
    ],
)
def test_the_server_status_follows_the_convention(
    status: int, error: str, code: Status.StatusCode.ValueType, error_type: str | None
) -> None:
    trace = exchange()
    trace.status, trace.error = status, error
    span = encode(trace)[0]
    assert span.status.code == code and shown(span).get("error.type") == error_type


def test_a_4xx_is_an_error_on_the_client_span() -> None:
    trace = exchange()
    trace.attempts[0].status = 404
    span = encode(trace)[1]
    assert span.status.code == Status.STATUS_CODE_ERROR and shown(span)["error.type"] == "404"


def test_an_odd_method_makes_no_new_name() -> None:
    span = encode(exchange(method=b"BREW"))[0]
    assert span.name == "HTTP /api"
    assert shown(span)["http.request.method"] == "_OTHER"
    assert shown(span)["http.request.method_original"] == "BREW"


def test_a_root_has_no_parent_and_no_remote_flag() -> None:
    span = encode(exchange(parent=b""))[0]
    assert span.parent_span_id == b"" and span.flags == 0x101 and span.trace_state == ""


def test_who_answered_is_named() -> None:
    trace = exchange(tries=0)
    trace.reply_source, trace.reply_filter, trace.status = "filter", "api-key", 401
    values = shown(encode(trace)[0])
    assert (values["edge.reply.source"], values["edge.reply.filter"]) == ("filter", "api-key")


def test_no_clock_going_back_gives_a_negative_span() -> None:
    trace = exchange()
    trace.end_ns = START_NS - 5
    assert encode(trace)[0].end_time_unix_nano == START_NS


def test_bytes_that_are_not_utf8_and_long_values_are_tamed() -> None:
    trace = exchange(path=b"/\xff\xfe" + b"a" * 10_000)
    trace.records[0].attributes = [(f"{number}" + "k" * 500, "v" * 5000) for number in range(80)]
    trace.records[0].attributes += [("\ud800", "\ud800")]
    trace.records[1].attributes = [("\ud800", "\ud800"), ("twice", "1"), ("twice", "2")]
    trace.records[0].edits = [f"x-{number}" for number in range(100)]
    spans = encode(trace)
    assert shown(spans[0])["url.path"].startswith("/\ufffd\ufffda")
    assert len(shown(spans[0])["url.path"].encode()) < 2100
    guest = [entry for entry in spans[2].attributes if entry.key.startswith("edge.guest.")]
    assert len(guest) == filter_span.GUEST_ATTRIBUTES
    assert shown(spans[3])["edge.guest.split.twice"] == "2"
    assert max(len(entry.value.string_value) for entry in guest) == filter_span.GUEST_VALUE_BYTES
    assert len(shown_list(spans[2], "edge.filter.edits")) == filter_span.EDITS_SHOWN


def shown_list(span: Span, key: str) -> list[str]:
    return [v.string_value for e in span.attributes if e.key == key for v in e.value.array_value.values]


def test_one_exchange_cannot_make_more_spans_than_the_limit() -> None:
    trace = exchange()
    trace.records = trace.records * 100
    assert len(encode(trace)) == trace.span_count() == SPAN_LIMIT


def test_the_attribute_cache_is_bounded_and_paths_stay_out_of_it() -> None:
    encoder = Encoder(FixedIds())
    for number in range(3 * protobuf.CACHED_VALUES):
        trace = exchange(path=b"/items/%d?id=%d" % (number, number))
        trace.authority = b"h%d.example" % number
        encoder.encode(trace)
    assert len(attributes.SERVER_ADDRESS) <= protobuf.CACHED_VALUES
    assert not attributes.URL_PATH and not attributes.URL_QUERY and not attributes.URL_FULL


@given(
    authority=st.sampled_from([b"a", b"a:80", b"[::1]:8443", b"[::1]", b"a:b", b"a:123456", b""]),
    address=st.sampled_from(["", "[::1]:80", "unix", "10.0.0.1:9"]),
    status=st.integers(0, 999),
    size=st.integers(0, 2**63),
)
def test_every_exchange_gives_readable_spans(authority: bytes, address: str, status: int, size: int) -> None:
    trace = exchange()
    trace.authority, trace.status, trace.response_bytes = authority, status, size
    trace.attempts[0].address = address
    spans = encode(trace)
    assert len(spans) == 4
    values = shown(spans[0])
    if authority.startswith(b"["):
        assert values["server.address"] == "::1"
    assert values["http.response.body.size"] == (size if size < 2**63 else -(2**63))


@pytest.mark.parametrize(
    "query,redacted",
    [
        (b"", b""),
        (b"page=2", b"page=2"),
        (b"sig=abc&page=2&x", b"sig=REDACTED&page=2&REDACTED"),
        (b"a=b=c&&page=1&page=2", b"a=REDACTED&&page=1&page=2"),
        (b"Page=2", b"Page=REDACTED"),
    ],
)
def test_only_safe_values_of_a_query_are_shown(query: bytes, redacted: bytes) -> None:
    assert redact_query(query, frozenset((b"page",))) == redacted


def test_long_values_of_strangers_are_never_kept() -> None:
    trace = exchange()
    trace.user_agent, trace.authority = b"long" * 1000, b"h" * 5000
    trace.records[0].edits = ["x" * 200, "y" * 200]
    encode(trace)
    assert trace.user_agent not in attributes.USER_AGENT and trace.authority not in attributes.SERVER_ADDRESS
    assert tuple(trace.records[0].edits) not in attributes.EDITS
