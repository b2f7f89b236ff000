"""Tries of a rule's `retry` over HTTP/2: what the endpoint proves about a request, and what it does not."""

from __future__ import annotations

import pytest
from h2 import events
from h2.errors import ErrorCodes

from edge import model
from edge.upstream.request import REFUSED_MAX
from edge.upstream.retried import RetriedRequest
from edge.upstream.retry import CONDITIONS, Retry
from tests.unit.upstream.fake_h2 import Peer
from tests.unit.upstream.fakes import Bench, Recorder, get, post

OK = [("head", 200, False), ("data", b"hello", True)]


def ask(bench: Bench, method: bytes = b"POST", **policy: object) -> tuple[RetriedRequest, Recorder]:
    """A request by a rule that names every condition; POSTs have `abc`."""
    given = {"codes": [503], "conditions": list(CONDITIONS), "backoff_s": 0.1, "max_backoff_s": 0.1}
    retry = Retry(model.Retry(**{**given, **policy}), bench.deadlines, bench.time.clock, lambda: 0.0)  # type: ignore[arg-type]
    recorder = Recorder()
    if method == b"GET":
        return retry.dispatch(bench.cluster, recorder, get(), True, 0.0), recorder
    request = retry.dispatch(bench.cluster, recorder, post(3), False, 0.0)
    request.send_data(b"abc", True)
    return request, recorder


def pause_is_over(bench: Bench, peer: Peer) -> None:
    bench.time.pass_by(0.3)
    peer.pump()


def test_a_post_that_is_refused_again_and_again_is_tried_after_a_pause() -> None:
    bench = Bench(protocol="h2")
    request, exchange = ask(bench)
    peer = Peer(bench)
    for number in range(REFUSED_MAX):
        peer.h2.reset_stream(1 + 2 * number, ErrorCodes.REFUSED_STREAM)
        peer.pump()
    assert exchange.calls == []
    pause_is_over(bench, peer)
    peer.answer(1 + 2 * REFUSED_MAX)
    assert exchange.calls == OK
    assert request.attempts == REFUSED_MAX + 1
    assert [event.data for event in peer.of(events.DataReceived)] == [b"abc"] * (REFUSED_MAX + 1)


def test_a_post_behind_the_last_id_of_a_goaway_goes_elsewhere() -> None:
    bench = Bench(endpoints=2, protocol="h2")
    request, exchange = ask(bench)
    first = Peer(bench)
    first.h2.close_connection(last_stream_id=0)
    first.pump()
    second = Peer(bench)
    second.answer(1)
    assert exchange.calls == OK
    assert request.address == "10.0.0.2:80"


@pytest.mark.parametrize(("method", "again"), [(b"GET", True), (b"POST", False)])
def test_a_stream_that_is_reset_is_tried_again_only_if_that_is_safe(method: bytes, again: bool) -> None:
    bench = Bench(protocol="h2")
    _, exchange = ask(bench, method)
    peer = Peer(bench)
    peer.h2.reset_stream(1, ErrorCodes.INTERNAL_ERROR)
    peer.pump()
    pause_is_over(bench, peer)
    assert len(peer.of(events.RequestReceived)) == (2 if again else 1)
    assert exchange.calls == ([] if again else [("failed", "UpstreamClosed", 502)])


def test_a_retried_status_leaves_the_connection_to_others() -> None:
    bench = Bench(protocol="h2")
    _, exchange = ask(bench, b"GET")
    peer = Peer(bench)
    peer.head(1, 503)
    peer.pump()
    peer.h2.send_data(1, b"busy", end_stream=True)
    peer.pump()
    pause_is_over(bench, peer)
    peer.answer(3)
    assert exchange.calls == OK
    assert len(bench.dialer.dials) == 1


def test_a_grpc_call_that_found_nobody_is_tried_again_where_that_is_allowed() -> None:
    for allowed in (True, False):
        bench = Bench(protocol="h2")
        _, exchange = ask(bench, codes=[], grpc_statuses=[14], non_idempotent=allowed)
        peer = Peer(bench)
        peer.head(1, 200, [(b"grpc-status", b"14")], end=True)
        peer.pump()
        assert exchange.calls == ([] if allowed else [("head", 200, True)])
