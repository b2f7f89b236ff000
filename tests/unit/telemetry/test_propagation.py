"""Contexts are read as W3C, B3 and Jaeger write them, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace as api
from opentelemetry.propagators.b3 import B3MultiFormat, B3SingleFormat
from opentelemetry.propagators.jaeger import JaegerPropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from edge.head import Fields, RequestHead
from edge.telemetry.propagation import Propagation, parse_traceparent

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01".encode()

ALL = Propagation(["w3c", "b3", "jaeger"], ["w3c"])
ORACLES: dict[str, TextMapPropagator] = {
    "w3c": TraceContextTextMapPropagator(),
    "b3": B3SingleFormat(),
    "b3multi": B3MultiFormat(),
    "jaeger": JaegerPropagator(),
}


def head(fields: Fields) -> RequestHead:
    return RequestHead(b"GET", b"http", b"a", b"/", fields)


def test_a_traceparent_gives_its_parts() -> None:
    parent = parse_traceparent(GOOD)
    assert parent is not None
    assert (parent.trace_id.hex(), parent.span_id.hex(), parent.sampled) == (TRACE, SPAN, True)


@pytest.mark.parametrize("flags,sampled", [(b"00", False), (b"01", True), (b"02", False), (b"ff", True)])
def test_only_the_lowest_flag_counts(flags: bytes, sampled: bool) -> None:
    parent = parse_traceparent(GOOD[:-2] + flags)
    assert parent is not None and parent.sampled is sampled


@pytest.mark.parametrize(
    "value",
    [
        b"",
        GOOD[:-1],
        GOOD + b"0",
        GOOD + b"-x",
        GOOD.upper(),
        b"ff" + GOOD[2:],
        b"0g" + GOOD[2:],
        GOOD.replace(TRACE.encode(), b"0" * 32),
        GOOD.replace(SPAN.encode(), b"0" * 16),
        GOOD.replace(b"-", b"_"),
        GOOD[:-2] + b"+1",
        GOOD[:-2] + b" 1",
        b"01" + GOOD[2:] + b"x",
    ],
)
def test_a_malformed_traceparent_is_none(value: bytes) -> None:
    assert parse_traceparent(value) is None


def test_a_later_version_may_be_longer() -> None:
    assert parse_traceparent(b"cc" + GOOD[2:] + b"-what-comes") is not None


def test_no_context_header_gives_none() -> None:
    assert ALL.extract([(b"accept", b"*/*"), (b"user-agent", b"x")]) is None


def test_two_traceparents_are_none_and_the_next_format_is_asked() -> None:
    twice: Fields = [(b"traceparent", GOOD), (b"traceparent", GOOD)]
    assert ALL.extract(twice) is None
    parent = ALL.extract([*twice, (b"b3", f"{'1' * 32}-{'2' * 16}-1".encode())])
    assert parent is not None and parent.trace_id.hex() == "1" * 32


def test_the_configured_order_decides() -> None:
    fields: Fields = [(b"traceparent", GOOD), (b"uber-trace-id", b"1:2:0:1")]
    parent = Propagation(["jaeger", "w3c"], []).extract(fields)
    assert parent is not None and parent.trace_id == b"\0" * 15 + b"\1"


def test_several_tracestates_are_joined_in_order() -> None:
    parent = ALL.extract([(b"tracestate", b"a=1"), (b"traceparent", GOOD), (b"tracestate", b"b=2")])
    assert parent is not None and parent.tracestate == b"a=1,b=2"


@pytest.mark.parametrize(
    "fields,sampled",
    [
        ([(b"b3", f"{TRACE}-{SPAN}-1".encode())], True),
        ([(b"b3", f"{TRACE}-{SPAN}-0".encode())], False),
        ([(b"b3", f"{TRACE}-{SPAN}-d".encode())], True),
        ([(b"b3", f"{TRACE}-{SPAN}".encode())], None),
        ([(b"b3", f"{TRACE}-{SPAN}-1-{SPAN}".encode())], True),
        ([(b"x-b3-traceid", TRACE.encode()), (b"x-b3-spanid", SPAN.encode())], None),
        ([(b"x-b3-traceid", TRACE.encode()), (b"x-b3-spanid", SPAN.encode()), (b"x-b3-flags", b"1")], True),
        (
            [(b"x-b3-traceid", TRACE.encode()), (b"x-b3-spanid", SPAN.encode()), (b"x-b3-sampled", b"0")],
            False,
        ),
        ([(b"uber-trace-id", f"{TRACE}:{SPAN}:0:1".encode())], True),
        ([(b"uber-trace-id", f"{TRACE}%3A{SPAN}%3A0%3A0".encode())], False),
        ([(b"uber-trace-id", f"{TRACE}:{SPAN}:0:3".encode())], True),
    ],
)
def test_b3_and_jaeger_are_read(fields: Fields, sampled: bool | None) -> None:
    parent = ALL.extract(fields)
    assert parent is not None
    assert (parent.trace_id.hex(), parent.span_id.hex(), parent.sampled) == (TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "fields",
    [
        [(b"b3", b"0")],
        [(b"b3", b"")],
        [(b"b3", f"{TRACE[:-1]}-{SPAN}-1".encode())],
        [(b"b3", f"{'0' * 32}-{SPAN}-1".encode())],
        [(b"x-b3-traceid", TRACE.encode())],
        [(b"uber-trace-id", f"{TRACE}:{SPAN}:1".encode())],
        [(b"uber-trace-id", f"{TRACE}:{SPAN}:0:xyz".encode())],
        [(b"uber-trace-id", f"{TRACE}1:{SPAN}:0:1".encode())],
        [(b"uber-trace-id", b"0:0:0:1")],
        [(b"tracestate", b"a=1")],
    ],
)
def test_a_malformed_context_is_none(fields: Fields) -> None:
    assert ALL.extract(fields) is None


@pytest.mark.parametrize("word", list(ORACLES))
@given(trace=st.integers(1, 2**128 - 1), span=st.integers(1, 2**64 - 1), sampled=st.booleans())
def test_what_we_write_the_sdk_reads_alike(word: str, trace: int, span: int, sampled: bool) -> None:
    written = head([(b"accept", b"*/*")])
    Propagation([word], [word]).inject(written, trace.to_bytes(16, "big"), span.to_bytes(8, "big"), sampled)
    carrier = {name.decode(): value.decode() for name, value in written.fields}
    seen = api.get_current_span(ORACLES[word].extract(carrier)).get_span_context()
    assert (seen.trace_id, seen.span_id, bool(seen.trace_flags & 1)) == (trace, span, sampled)


@pytest.mark.parametrize("word", list(ORACLES))
@given(trace=st.integers(1, 2**128 - 1), span=st.integers(1, 2**64 - 1), sampled=st.booleans())
def test_what_the_sdk_writes_we_read_alike(word: str, trace: int, span: int, sampled: bool) -> None:
    flags = api.TraceFlags(1 if sampled else 0)
    context = api.SpanContext(trace, span, False, flags, api.TraceState([("vendor", "1")]))
    carrier: dict[str, str] = {}
    ORACLES[word].inject(carrier, api.set_span_in_context(api.NonRecordingSpan(context)))
    fields = [(name.lower().encode(), value.encode()) for name, value in carrier.items()]
    parent = Propagation([word], [word]).extract(fields)
    assert parent is not None
    assert int.from_bytes(parent.trace_id, "big") == trace
    assert int.from_bytes(parent.span_id, "big") == span
    assert parent.sampled is sampled
    assert parent.tracestate == (b"vendor=1" if word == "w3c" else b"")


@given(
    st.lists(
        st.tuples(st.sampled_from([b"traceparent", b"b3", b"uber-trace-id", b"x-b3-traceid"]), st.binary())
    )
)
def test_no_bytes_make_extract_raise(fields: Fields) -> None:
    parent = ALL.extract(fields)
    assert parent is None or (len(parent.trace_id), len(parent.span_id)) == (16, 8)


@given(
    at=st.integers(0, 54),
    by=st.characters(min_codepoint=0x21, max_codepoint=0x7E),
    more=st.text("-a0", max_size=3),
)
def test_a_changed_traceparent_is_judged_as_the_sdk_judges_it(at: int, by: str, more: str) -> None:
    text = GOOD.decode()
    changed = text[:at] + by + text[at + 1 :] + more
    context = ORACLES["w3c"].extract({"traceparent": changed})
    oracle = api.get_current_span(context).get_span_context()
    parent = parse_traceparent(changed.encode())
    assert (parent is not None) is oracle.is_valid
    if parent is not None:
        assert int.from_bytes(parent.span_id, "big") == oracle.span_id
        assert parent.sampled is bool(oracle.trace_flags & 1)


def test_inject_replaces_what_came_and_keeps_other_fields() -> None:
    request = head([(b"traceparent", GOOD), (b"accept", b"*/*"), (b"tracestate", b"a=1")])
    ALL.inject(request, b"\1" * 16, b"\2" * 8, False, b"a=1")
    assert request.fields == [
        (b"accept", b"*/*"),
        (b"tracestate", b"a=1"),
        (b"traceparent", b"00-" + b"01" * 16 + b"-" + b"02" * 8 + b"-00"),
    ]


def test_a_tracestate_without_a_valid_parent_is_dropped() -> None:
    request = head([(b"traceparent", b"junk"), (b"tracestate", b"a=1")])
    ALL.inject(request, b"\1" * 16, b"\2" * 8, True)
    assert [name for name, _ in request.fields] == [b"traceparent"]


def test_clear_takes_formats_and_header_names() -> None:
    propagation = Propagation(["w3c"], ["w3c"], ["b3", "uber-trace-id"])
    request = head([(b"b3", b"x"), (b"x-b3-traceid", b"y"), (b"uber-trace-id", b"z"), (b"via", b"1")])
    propagation.inject(request, b"\1" * 16, b"\2" * 8, True)
    assert [name for name, _ in request.fields] == [b"via", b"traceparent"]


def test_inject_drops_the_cached_guest_encoding() -> None:
    request = head([])
    request.encoded()
    ALL.inject(request, b"\1" * 16, b"\2" * 8, True)
    assert b"traceparent" in request.encoded()[0]


def test_an_unknown_format_is_refused_with_its_name() -> None:
    with pytest.raises(ValueError, match="xray"):
        Propagation(["xray"], [])
