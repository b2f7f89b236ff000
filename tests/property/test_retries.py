"""Retries under any failures: one answer, the whole body at each try, nothing done twice that must not be."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edge import model
from edge.head import RequestHead
from edge.upstream.request import IDEMPOTENT
from edge.upstream.retry import CONDITIONS, Retry
from tests.unit.upstream.fakes import Bench, FakeDial, FakeTransport, Recorder

ENDS = (
    "ok",
    "busy",
    "busy and slow",
    "refused",
    "cut",
    "half a head",
    "half a body",
    "silent",
    "leave",
    "bad",
)
BUSY = b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
TIMEOUT_S = 1.0

policies = st.builds(
    model.Retry,
    codes=st.sampled_from([[], [503]]),
    conditions=st.lists(st.sampled_from(list(CONDITIONS)), unique=True),
    attempts=st.integers(1, 4),
    backoff_s=st.just(0.1),
    max_backoff_s=st.just(0.2),
    non_idempotent=st.booleans(),
)


class Conversation:
    """One request by one policy; what connections meet is drawn as they come."""

    def __init__(self, policy: model.Retry, fields: dict[str, Any]) -> None:
        self.bench = Bench(retry_percent=100, min_retries_per_s=100, **fields)
        self.retry = Retry(policy, self.bench.deadlines, self.bench.time.clock, lambda: 0.5)
        self.exchange = Recorder()
        self.sent: dict[FakeTransport, bytes] = {}
        self.fates: dict[FakeDial, str] = {}

    def collect(self) -> None:
        """Note what each connection was sent."""
        for dial in self.bench.dialer.dials:
            transport = getattr(dial, "transport", None)
            if transport is not None:
                self.sent[transport] = self.sent.get(transport, b"") + transport.take()

    def meet(self, dial: FakeDial, fate: str) -> None:
        """What happens on a connection that was asked for."""
        if dial.given_up:
            return
        if fate == "refused":
            dial.failed("refused")
            return
        dial.transport = dial.connect()  # type: ignore[attr-defined]

    def answer(self, dial: FakeDial, fate: str) -> None:
        """How the connection answers the request it got."""
        protocol, transport = dial.protocol, dial.transport  # type: ignore[attr-defined]
        if transport.aborted or transport.closing:
            return
        if fate == "ok":
            protocol.data_received(OK)
        elif fate == "bad":
            protocol.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n")
        elif fate == "busy":
            protocol.data_received(BUSY)
        elif fate == "busy and slow":
            protocol.data_received(BUSY[:-4])
            protocol.data_received(BUSY[-4:])
        elif fate == "half a head":
            protocol.data_received(OK[:20])
            protocol.connection_lost(None)
        elif fate == "half a body":
            protocol.data_received(OK[:-2])
            protocol.connection_lost(None)
        elif fate == "cut":
            protocol.connection_lost(ConnectionResetError())

    def over(self) -> bool:
        calls = self.exchange.calls
        return any(call[0] in ("failed", "trailers") or call[-1] is True for call in calls)


@settings(deadline=None, max_examples=400)
@given(
    policy=policies,
    method=st.sampled_from([b"GET", b"PUT", b"POST", b"PATCH", b"DELETE"]),
    pieces=st.lists(st.binary(min_size=1, max_size=30_000), max_size=4),
    at_once=st.booleans(),
    fates=st.lists(st.sampled_from(ENDS), min_size=1, max_size=12),
    endpoints=st.integers(1, 3),
    outliers=st.booleans(),
)
def test_one_answer_whole_bodies_and_nothing_done_twice(
    policy: model.Retry,
    method: bytes,
    pieces: list[bytes],
    at_once: bool,
    fates: list[str],
    endpoints: int,
    outliers: bool,
) -> None:
    more: dict[str, Any] = {"outliers": model.Outliers(consecutive_local=2)} if outliers else {}
    it = Conversation(policy, {"endpoints": endpoints, **more})
    body = b"".join(pieces)
    head = RequestHead(method, b"http", b"shop.example", b"/", [], len(body) if pieces else None)
    request = it.retry.dispatch(it.bench.cluster, it.exchange, head, not pieces, TIMEOUT_S)
    waiting = list(pieces)
    while at_once and waiting:
        request.send_data(waiting.pop(0), not waiting)
    seen, left = 0, False
    for fate in fates * 3:
        if it.over():
            break
        if fate == "leave":
            request.cancel()
            left = True
            break
        dials = it.bench.dialer.dials
        if seen < len(dials):
            dial = dials[seen]
            seen += 1
            it.meet(dial, fate)
            while waiting and not it.over():
                request.send_data(waiting.pop(0), not waiting)
            it.collect()
            if fate != "refused" and not dial.given_up:
                it.answer(dial, fate)
        else:
            for dial in dials:
                transport = getattr(dial, "transport", None)
                if transport is not None and not transport.aborted:
                    it.collect()
                    it.answer(dial, fate)
        it.collect()
        it.bench.time.pass_by(1.3)
    if not left and not it.over():
        request.cancel()
        left = True
    it.collect()
    _check(it, policy, method, body, left)


def _check(it: Conversation, policy: model.Retry, method: bytes, body: bytes, left: bool) -> None:
    calls = it.exchange.calls
    endings = [call for call in calls if call[0] == "failed" or call[-1] is True]
    assert len(endings) == (0 if left else 1), calls
    assert sum(call[0] == "head" for call in calls) <= 1
    assert calls == [] or not left or endings == []
    if endings and endings[0][0] != "failed":
        assert it.exchange.body in (b"hello", b"busy")
    assert not any(call[:2] == ("failed", "EdgeError") for call in calls), "a body was not sent whole"
    reached = 0
    for data in it.sent.values():
        for text in data.split(method + b" / HTTP/1.1\r\n")[1:]:
            reached += 1
            assert body.startswith(text.partition(b"\r\n\r\n")[2])
    if method not in IDEMPOTENT and not policy.non_idempotent:
        assert reached <= 1
    assert reached <= (policy.attempts + 1) * (len(it.bench.cluster.pools) + 1)
    assert it.bench.cluster.retrying == 0
    it.bench.cluster.close()
    it.bench.time.pass_by(400.0)
    assert it.bench.open == 0
