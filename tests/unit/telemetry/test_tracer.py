"""Batches: what leaves a worker, what waits, what is dropped, and the ring that shows it."""

from __future__ import annotations

from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans

from edge.telemetry.batch import is_sound
from edge.telemetry.otlp import Encoder
from edge.telemetry.ring import Ring
from edge.telemetry.tracer import BATCH_BYTES, BATCH_SPANS, DELAY_S, QUEUE_SPANS, Tracer
from edge.wire import Spans
from tests.unit.telemetry.exchanges import SPAN_ID, FixedIds, exchange
from tests.unit.telemetry.loop import FakeLoop


class Channel:
    """Takes batches while it is open."""

    def __init__(self) -> None:
        self.open = True
        self.batches: list[Spans] = []

    def send(self, batch: Spans) -> bool:
        if self.open:
            self.batches.append(batch)
        return self.open


def made() -> tuple[Tracer, Channel, FakeLoop]:
    channel, loop = Channel(), FakeLoop()
    return Tracer(Encoder(FixedIds(), ["page"]), channel.send, loop.call_later), channel, loop


def test_traces_leave_together_after_the_delay() -> None:
    tracer, channel, loop = made()
    tracer.finish(exchange())
    tracer.finish(exchange(filters=0))
    assert not channel.batches and [delay for delay, _ in loop.calls] == [DELAY_S]
    loop.run()
    (batch,) = channel.batches
    assert batch.count == len(ScopeSpans.FromString(batch.payload).spans) == 6 and batch.dropped == 0
    loop.run()
    assert len(channel.batches) == 1 and not loop.calls


def test_a_full_batch_does_not_wait_for_the_delay() -> None:
    tracer, _, loop = made()
    for _ in range(BATCH_SPANS // 4):
        tracer.finish(exchange())
    assert sorted(delay for delay, _ in loop.calls) == [0, DELAY_S]


def test_a_full_channel_keeps_spans_up_to_the_queue_then_drops_and_tells() -> None:
    tracer, channel, loop = made()
    channel.open = False
    for _ in range(QUEUE_SPANS // 4 + 10):
        tracer.finish(exchange())
    loop.run()
    tracer.finish(exchange())
    assert tracer.dropped == 44 and not channel.batches and loop.calls
    channel.open = True
    loop.run()
    assert sum(batch.count for batch in channel.batches) == QUEUE_SPANS
    assert [batch.dropped for batch in channel.batches] == [44, 0, 0, 0]
    tracer.finish(exchange())
    assert tracer.flush() and channel.batches[-1].dropped == 0


def test_batches_keep_both_limits() -> None:
    tracer, channel, _ = made()
    for _ in range(300):
        trace = exchange(path=b"/" + b"p" * 4000 + b"?" + b"q" * 4000)
        trace.upstream_path = trace.path
        trace.records[0].attributes = [(f"{number}", "v" * 256) for number in range(32)]
        tracer.finish(trace)
    tracer.flush()
    assert all(batch.count <= BATCH_SPANS and len(batch.payload) <= BATCH_BYTES for batch in channel.batches)
    assert sum(batch.count for batch in channel.batches) == 1200 and len(channel.batches) > 3


def test_one_trace_with_odd_values_does_not_cost_the_others() -> None:
    tracer, channel, _ = made()
    odd = exchange()
    odd.start_ns = -1
    tracer.finish(exchange())
    tracer.finish(odd)
    tracer.finish(exchange())
    assert tracer.flush()
    assert channel.batches[0].count == 8 and tracer.dropped == 4 and channel.batches[0].dropped == 4


def batch_of(*traces_and_ids: bytes) -> Spans:
    entries = [
        entry for id_ in traces_and_ids for entry in Encoder(FixedIds()).encode(exchange(trace_id=id_))
    ]
    return Spans(len(entries), 0, b"".join(entries))


def test_the_ring_shows_a_trace_as_a_tree_with_times() -> None:
    ring = Ring()
    ring.add(batch_of(b"\xab" * 16))
    (trace,) = ring.traces()
    assert (trace["traceId"], trace["name"], trace["error"]) == ("ab" * 16, "GET /api", False)
    assert trace["durationMs"] == 10.0
    server, *others = trace["spans"]
    assert server["kind"] == "server" and server["spanId"] == SPAN_ID.hex() and server["offsetMs"] == 0
    assert {span["parentSpanId"] for span in others} == {SPAN_ID.hex()}
    assert sorted(span["kind"] for span in others) == ["client", "internal", "internal"]
    client = next(span for span in others if span["kind"] == "client")
    assert abs(client["offsetMs"] - 2) < 0.001 and abs(client["durationMs"] - 7) < 0.001
    assert client["attributes"]["edge.connection.reused"] is True
    filters = [span for span in others if span["kind"] == "internal"]
    assert filters[0]["attributes"]["edge.filter.edits"] == ["x-consumer"]
    assert ring.trace("ab" * 16) == trace and ring.trace("cd" * 16) is None


def test_the_ring_keeps_the_newest() -> None:
    ring = Ring(limit_spans=12)
    for number in range(1, 10):
        ring.add(batch_of(bytes([number]) * 16))
    assert {trace["traceId"][:2] for trace in ring.traces()} == {"07", "08", "09"}
    assert len(ring.traces(limit=2)) == 2


def test_a_trace_in_several_batches_is_one_trace() -> None:
    ring = Ring()
    entries = Encoder(FixedIds()).encode(exchange())
    for entry in entries:
        ring.add(Spans(1, 0, entry))
    (trace,) = ring.traces()
    assert len(trace["spans"]) == 4


def test_what_is_no_batch_is_refused_and_counted() -> None:
    good = batch_of(b"\1" * 16)
    assert is_sound(good) and is_sound(Spans(0, 0, b""))
    bad = [
        Spans(3, 0, good.payload),
        Spans(4, 0, good.payload[:-1]),
        Spans(4, 0, good.payload + b"\x12"),
        Spans(4, -1, good.payload),
        Spans(1, 0, b"\x1a\x01x"),
        Spans(1, 0, b"\x12\xff\xff\xff\xff\xff\xff\x01"),
    ]
    ring = Ring()
    for batch in bad:
        assert not is_sound(batch)
        ring.add(batch)
    ring.add(Spans(1, 0, b"\x12\x03\x0a\xffx"))
    assert ring.traces() == [] and ring.malformed == len(bad) + 1
