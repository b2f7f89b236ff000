"""Who is believed, and how many are traced."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from edge.head import RequestHead
from edge.model import Telemetry
from edge.telemetry.ids import Ids
from edge.telemetry.propagation import Parent
from edge.telemetry.sampling import Sampler
from edge.telemetry.tracing import Tracing

TRACEPARENT = (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
CHEAP = b"\xaa" * 8 + b"\0" * 8
"""A trace id that every ratio takes."""


def parent(sampled: bool | None) -> Parent:
    return Parent(CHEAP, b"\1" * 8, sampled)


@given(st.floats(0, 1), st.integers(1, 2**128 - 1))
def test_a_root_is_decided_as_the_sdk_decides_it(ratio: float, trace_id: int) -> None:
    oracle = (
        TraceIdRatioBased(ratio).should_sample(None, trace_id, "x").decision is Decision.RECORD_AND_SAMPLE
    )
    assert Sampler(ratio).decide(None, trace_id.to_bytes(16, "big"), "192.0.2.1") is oracle


@pytest.mark.parametrize("flag", [True, False])
def test_a_trusted_peer_decides(flag: bool) -> None:
    sampler = Sampler(0.0 if flag else 1.0, ["10.0.0.0/8", "2001:db8::/32"])
    for peer in ("10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1"):
        assert sampler.decide(parent(flag), CHEAP, peer) is flag


def test_a_stranger_cannot_buy_traces_by_flag_or_by_trace_id() -> None:
    sampler = Sampler(0.001, ["10.0.0.0/8"])
    taken = sum(sampler.decide(parent(True), CHEAP, "192.0.2.1") for _ in range(2000))
    assert taken < 100
    assert not any(Sampler(0.0).decide(parent(True), CHEAP, "10.0.0.1") for _ in range(100))


def test_a_stranger_cannot_prevent_traces() -> None:
    assert all(Sampler(1.0).decide(parent(False), CHEAP, "192.0.2.1") for _ in range(100))


def test_a_trusted_parent_without_a_decision_leaves_it_to_us() -> None:
    assert Sampler(1.0, ["10.0.0.0/8"]).decide(parent(None), CHEAP, "10.0.0.1")
    assert not Sampler(0.0, ["10.0.0.0/8"]).decide(parent(None), CHEAP, "10.0.0.1")


def test_the_peers_remembered_are_bounded() -> None:
    sampler = Sampler(1.0, ["10.0.0.0/8"])
    for number in range(10_000):
        assert sampler.trusts(f"10.0.{number // 250}.{number % 250}")
    assert len(sampler._peers) <= 4096


def test_what_is_no_address_is_not_trusted() -> None:
    assert not Sampler(1.0, ["0.0.0.0/0"]).trusts("/run/edge.sock")


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan")])
def test_a_ratio_outside_0_to_1_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="ratio"):
        Sampler(ratio)


def test_a_bad_cidr_is_refused() -> None:
    with pytest.raises(ValueError):
        Sampler(1.0, ["10.0.0.0/99"])


def begin(telemetry: Telemetry, fields: list[tuple[bytes, bytes]]) -> tuple[RequestHead, Tracing]:
    return RequestHead(b"GET", b"http", b"a", b"/", fields), Tracing(telemetry, Ids())


def test_a_stranger_keeps_its_trace_id_but_not_its_flag() -> None:
    head, tracing = begin(Telemetry(ratio=0.0), [TRACEPARENT])
    context = tracing.begin(head, "192.0.2.1")
    assert context.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert context.parent_id.hex() == "b7ad6b7169203331"
    assert not context.sampled
    tracing.inject(head, context)
    assert head.fields == [
        (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-%b-00" % context.span_id.hex().encode())
    ]


def test_a_sampled_exchange_sends_the_client_span_upstream() -> None:
    head, tracing = begin(Telemetry(ratio=1.0), [])
    context = tracing.begin(head, "192.0.2.1")
    assert context.sampled and context.parent_id == b"" and context.upstream_span_id != context.span_id
    tracing.inject(head, context)
    expected = f"00-{context.trace_id.hex()}-{context.upstream_span_id.hex()}-01".encode()
    assert head.fields == [(b"traceparent", expected)]


def test_with_tracing_off_the_context_passes_untouched() -> None:
    head, tracing = begin(Telemetry(tracing=False, ratio=1.0, trust=["0.0.0.0/0"]), [TRACEPARENT])
    context = tracing.begin(head, "192.0.2.1")
    tracing.inject(head, context)
    assert not context.sampled and head.fields == [TRACEPARENT]


def test_ids_have_their_sizes_and_do_not_repeat() -> None:
    ids = Ids()
    spans = {ids.span_id() for _ in range(5000)}
    traces = {ids.trace_id() for _ in range(5000)}
    requests = {ids.request_id() for _ in range(5000)}
    assert len(spans) == len(traces) == len(requests) == 5000
    assert (
        {len(s) for s in spans} == {8}
        and {len(t) for t in traces} == {16}
        and {len(r) for r in requests} == {32}
    )
    assert all(int(request, 16) >= 0 for request in requests)
