"""HTTP/2 upstream: what ends a stream or a connection, and what is tried again."""

from __future__ import annotations

import asyncio
from typing import Any

import ngh2
import pytest
from h2 import events
from h2.errors import ErrorCodes
from hypothesis import given
from hypothesis import strategies as st

from edge import model
from edge.head import Fields
from edge.upstream.request import REFUSED_MAX
from tests.unit.upstream.fake_h2 import Peer
from tests.unit.upstream.fakes import Bench, get, post

OK = [("head", 200, False), ("data", b"hello", True)]
BAD = [("failed", "BadResponse", 502)]
CLOSED = [("failed", "UpstreamClosed", 502)]


@pytest.fixture
def bench() -> Bench:
    return Bench(protocol="h2")


# -- refused unseen ----------------------------------------------------------------------


def test_a_refused_get_is_sent_again(bench: Bench) -> None:
    request, exchange = bench.send(get())
    peer = Peer(bench)
    peer.h2.reset_stream(1, ErrorCodes.REFUSED_STREAM)
    peer.pump()
    peer.answer(3)
    assert exchange.calls == OK
    assert request.attempts == 2
    assert [failure[2] for failure in request.failures] == ["UpstreamRefused"]


def test_a_refused_post_is_sent_again_with_its_body_and_trailers(bench: Bench) -> None:
    request, exchange = bench.send(post(), end=False)
    peer = Peer(bench)
    request.send_data(b"abc", False)
    peer.pump()
    request.send_data(b"def", False)
    request.send_trailers([(b"x-sum", b"6")])
    peer.pump()
    peer.events.clear()
    peer.h2.reset_stream(1, ErrorCodes.REFUSED_STREAM)
    peer.pump()
    assert b"".join(event.data for event in peer.of(events.DataReceived)) == b"abcdef"
    assert [event.stream_id for event in peer.of(events.TrailersReceived)] == [3]
    peer.answer(3)
    assert exchange.calls == OK


def test_a_refused_post_whose_body_is_still_coming_goes_on(bench: Bench) -> None:
    request, exchange = bench.send(post(), end=False)
    peer = Peer(bench)
    request.send_data(b"abc", False)
    peer.pump()
    peer.h2.reset_stream(1, ErrorCodes.REFUSED_STREAM)
    peer.pump()
    peer.events.clear()
    request.send_data(b"def", True)
    peer.pump()
    assert [(event.stream_id, event.data) for event in peer.of(events.DataReceived)][-1] == (3, b"def")
    peer.answer(3)
    assert exchange.calls == OK


def test_a_body_too_large_to_keep_is_not_sent_again(bench: Bench) -> None:
    request, exchange = bench.send(post(), end=False)
    peer = Peer(bench)
    peer.h2.increment_flow_control_window(1 << 20)
    peer.pump()
    request.send_data(b"x" * 70_000, False)
    peer.pump()
    peer.h2.reset_stream(1, ErrorCodes.REFUSED_STREAM)
    peer.pump()
    assert exchange.calls[-1] == ("failed", "UpstreamRefused", 503)


def test_an_endpoint_that_refuses_for_ever_is_given_up(bench: Bench) -> None:
    request, exchange = bench.send(get())
    peer = Peer(bench)
    for stream_id in range(1, 2 * REFUSED_MAX, 2):
        peer.h2.reset_stream(stream_id, ErrorCodes.REFUSED_STREAM)
        peer.pump()
    assert exchange.calls == [("failed", "UpstreamRefused", 503)]
    assert request.attempts == REFUSED_MAX


class _Exhausted:
    """An engine that has no stream ids left."""

    def __init__(self, engine: ngh2.Connection) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def send_request(self, *_: object, **__: object) -> int:
        raise ngh2.NGH2Error("no stream ids left")


def test_a_body_kept_for_a_connection_that_takes_no_more_streams_goes_to_the_next(bench: Bench) -> None:
    request, exchange = bench.send(post(), end=False)
    peer = Peer(bench)
    request.send_data(b"abc", True)
    peer.pump()
    peer.protocol._engine = _Exhausted(peer.protocol._engine)
    peer.h2.reset_stream(1, ErrorCodes.REFUSED_STREAM)
    peer.pump()
    assert len(bench.dialer.dials) == 2
    other = Peer(bench)
    assert b"".join(event.data for event in other.of(events.DataReceived)) == b"abc"
    other.answer(1)
    assert exchange.calls == OK
    assert request.attempts == 3


def test_goaway_lets_older_streams_end_and_sends_newer_ones_elsewhere(bench: Bench) -> None:
    sent = [bench.send(post(), end=True) for _ in range(3)]
    peer = Peer(bench)
    peer.h2.close_connection(last_stream_id=1)
    peer.pump()
    assert [exchange.calls for _, exchange in sent] == [[], [], []]
    other = Peer(bench)
    other.answer(1)
    other.answer(3)
    assert [exchange.calls for _, exchange in sent] == [[], OK, OK]
    assert bench.open == 2
    peer.h2 = _Mute(peer.h2)  # type: ignore[assignment]
    peer.protocol.data_received(HEAD_OF_1 + DATA_OF_1)
    assert sent[0][1].calls == OK
    bench.end_turn()
    assert peer.transport.closing
    assert bench.open == 1


class _Mute:
    """h2 itself would say nothing more after its GOAWAY."""

    def __init__(self, h2: object) -> None:
        self._h2 = h2

    def receive_data(self, data: bytes) -> list[events.Event]:
        return []

    def data_to_send(self) -> bytes:
        return b""


HEAD_OF_1 = b"\0\0\1\1\4\0\0\0\1\x88"
DATA_OF_1 = b"\0\0\5\0\1\0\0\0\1hello"


def test_an_announced_goaway_only_stops_new_streams(bench: Bench) -> None:
    _, exchange = bench.send(get())
    peer = Peer(bench)
    peer.protocol.data_received(b"\0\0\x08\7\0\0\0\0\0\x7f\xff\xff\xff\0\0\0\0")
    bench.send(get())
    assert len(bench.dialer.dials) == 2
    peer.answer(1)
    assert exchange.calls == OK
    assert peer.transport.closing


# -- reset, closed, malformed ------------------------------------------------------------


@pytest.mark.parametrize("code", [ErrorCodes.NO_ERROR, ErrorCodes.CANCEL, ErrorCodes.INTERNAL_ERROR])
def test_a_reset_is_not_tried_again(bench: Bench, code: ErrorCodes) -> None:
    request, exchange = bench.send(get())
    peer = Peer(bench)
    peer.h2.reset_stream(1, code)
    peer.pump()
    assert exchange.calls == CLOSED
    assert (request.attempts, bench.open) == (1, 1)


def test_a_reset_in_the_body_never_ends_cleanly(bench: Bench) -> None:
    _, exchange = bench.send(get())
    peer = Peer(bench)
    peer.head(1)
    peer.h2.send_data(1, b"part")
    peer.h2.reset_stream(1, ErrorCodes.NO_ERROR)
    peer.pump()
    assert exchange.calls == [("head", 200, False), ("data", b"part", False), *CLOSED]


def test_a_connection_that_closes_fails_all_its_streams_and_leaves_the_pool(bench: Bench) -> None:
    sent = [bench.send(post()) for _ in range(3)]
    peer = Peer(bench)
    peer.protocol.connection_lost(ConnectionResetError("reset by peer"))
    assert [exchange.calls for _, exchange in sent] == [CLOSED] * 3
    assert (bench.open, bench.idle) == (0, 0)


def test_stale_connections_cost_no_get(bench: Bench) -> None:
    bench.send(get())
    peer = Peer(bench)
    peer.answer(1)
    stale = [bench.send(get()) for _ in range(5)]
    posted = bench.send(post())
    peer.protocol.connection_lost(None)
    assert posted[1].calls == CLOSED
    other = Peer(bench)
    for event in other.of(events.RequestReceived):
        other.answer(event.stream_id)
    assert [exchange.calls for _, exchange in stale] == [OK] * 5
    assert bench.open == 1


def test_a_failed_dial_fails_all_who_wait_for_it_or_sends_them_elsewhere() -> None:
    bench = Bench(endpoints=2, protocol="h2")
    first = bench.send(get())
    second = bench.send(get())
    third = bench.send(get())
    failed = 0
    while failed < len(bench.dialer.dials):
        bench.dialer.dials[failed].failed("refused")
        failed += 1
    for _, exchange in (first, second, third):
        assert exchange.calls == [("failed", "ConnectFailed", 502)]
    assert [request.attempts for request, _ in (first, second, third)] == [2, 2, 2]
    assert (bench.open, failed) == (0, 3)


MALFORMED: list[tuple[str, Fields]] = [
    ("no status", [(b"x", b"y")]),
    ("a status that is none", [(b":status", b"abc")]),
    ("101", [(b":status", b"101")]),
    ("status twice", [(b":status", b"200"), (b":status", b"200")]),
    ("a pseudo field after the others", [(b":status", b"200"), (b"x", b"y"), (b":path", b"/")]),
    ("an upper-case name", [(b":status", b"200"), (b"X-A", b"y")]),
    ("a connection field", [(b":status", b"200"), (b"connection", b"close")]),
    ("transfer-encoding", [(b":status", b"200"), (b"transfer-encoding", b"chunked")]),
    ("an upgrade", [(b":status", b"200"), (b"upgrade", b"h2c")]),
    ("te", [(b":status", b"200"), (b"te", b"trailers")]),
    ("CR LF in a value", [(b":status", b"200"), (b"x", b"a\r\nb: c")]),
    ("NUL in a value", [(b":status", b"200"), (b"x", b"a\0")]),
    ("a blank in a name", [(b":status", b"200"), (b"x y", b"a")]),
    ("an empty name", [(b":status", b"200"), (b"", b"a")]),
    ("a length that is none", [(b":status", b"200"), (b"content-length", b"+5")]),
    ("two lengths", [(b":status", b"200"), (b"content-length", b"5"), (b"content-length", b"5")]),
    ("a body shorter than its length", [(b":status", b"200"), (b"content-length", b"6")]),
    ("a body longer than its length", [(b":status", b"200"), (b"content-length", b"4")]),
    ("a head over its limit", [(b":status", b"200"), (b"x", b"a" * 100_000)]),
    ("too many fields", [(b":status", b"200"), *[(b"x", b"y")] * 101]),
    ("a body of a 204", [(b":status", b"204")]),
]


@pytest.mark.parametrize(("fields"), [pytest.param(fields, id=name) for name, fields in MALFORMED])
def test_a_malformed_response_fails_its_exchange_and_no_other(bench: Bench, fields: Fields) -> None:
    """F6."""
    _, exchange = bench.send(get())
    _, other = bench.send(get())
    peer = Peer(bench)
    peer.h2.send_headers(1, fields)
    peer.h2.send_data(1, b"hello", end_stream=True)
    peer.pump()
    assert exchange.calls in (BAD, [("head", 204, True)], [("head", 200, False), *BAD])
    assert (fields[0] == (b":status", b"204")) is (exchange.calls != BAD and len(exchange.calls) == 1)
    peer.answer(3)
    assert other.calls == OK


def test_malformed_cases_are_all_there() -> None:
    assert len(MALFORMED) == 21


@pytest.mark.parametrize("fields", [[(b":status", b"200")], [(b"x", b"a\nb")], [(b"connection", b"close")]])
def test_malformed_trailers_fail_the_exchange(bench: Bench, fields: Fields) -> None:
    _, exchange = bench.send(get())
    peer = Peer(bench)
    peer.head(1)
    peer.h2.send_data(1, b"hello")
    peer.h2.send_headers(1, fields, end_stream=True)
    peer.pump()
    assert exchange.calls == [("head", 200, False), ("data", b"hello", False), *BAD]


def test_too_many_heads_before_the_final_one_are_a_bad_response(bench: Bench) -> None:
    _, exchange = bench.send(get())
    peer = Peer(bench)
    for _ in range(17):
        peer.head(1, 103)
    peer.pump()
    assert exchange.calls == [("informational", 103)] * 16 + BAD


@pytest.mark.parametrize(
    "frames",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\xff" * 64,
        b"\0\0\1\5\4\0\0\0\1\0",
        b"\0\0\4\1\5\0\0\0\1\xff\xff\xff\xff",
    ],
    ids=["http/1", "garbage", "push", "hpack"],
)
def test_bytes_that_are_not_http_2_cost_the_connection(bench: Bench, frames: bytes) -> None:
    _, exchange = bench.send(post())
    peer = Peer(bench)
    peer.protocol.data_received(frames)
    bench.end_turn()
    assert exchange.calls[0][0] == "failed"
    assert exchange.calls[0][1] in ("BadResponse", "UpstreamClosed")
    assert bench.open == 0


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param(b"\0\0\x08\6\0\0\0\0\0" + b"12345678", id="ping"),
        pytest.param(b"\0\0\0\4\0\0\0\0\0", id="settings"),
    ],
)
def test_a_flood_that_we_cannot_answer_costs_the_connection(bench: Bench, frames: bytes) -> None:
    _, exchange = bench.send(post())
    peer = Peer(bench)
    peer.protocol.pause_writing()
    for _ in range(30):
        peer.protocol.data_received(frames * 100)
        bench.end_turn()
    assert exchange.calls == BAD
    assert bench.open == 0


def test_a_head_without_end_costs_the_connection(bench: Bench) -> None:
    _, exchange = bench.send(post())
    peer = Peer(bench)
    peer.protocol.data_received(b"\0\0\1\1\0\0\0\0\1\x88" + b"\0\0\0\x09\0\0\0\0\1" * 20)
    bench.end_turn()
    assert exchange.calls == BAD
    assert bench.open == 0


def test_an_exchange_that_fails_in_a_call_ends_alone(bench: Bench) -> None:
    told: list[BaseException] = []

    def burst() -> None:
        raise ZeroDivisionError

    async def case() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
        _, broken = bench.send(get())
        broken.on_head = burst
        _, exchange = bench.send(get())
        peer = Peer(bench)
        peer.head(1)
        peer.h2.send_data(1, b"part")
        peer.pump()
        assert broken.calls == [("head", 200, False), ("failed", "EdgeError", 500)]
        assert [event.error_code for event in peer.of(events.StreamReset)] == [2]
        peer.answer(3)
        assert exchange.calls == OK

    asyncio.run(case())
    assert [type(error) for error in told] == [ZeroDivisionError]


# -- time and cancelling -----------------------------------------------------------------


def test_no_head_in_time_is_a_504_and_the_stream_is_cancelled(bench: Bench) -> None:
    """F2."""
    _, exchange = bench.send(get(), timeout_s=2.0)
    peer = Peer(bench)
    bench.time.pass_by(1.9)
    assert not exchange.calls
    bench.time.pass_by(0.2)
    assert exchange.calls == [("failed", "UpstreamTimeout", 504)]
    peer.pump()
    assert [event.error_code for event in peer.of(events.StreamReset)] == [8]


def test_a_connection_that_said_nothing_until_the_timeout_takes_no_new_requests(bench: Bench) -> None:
    _, first = bench.send(get())
    peer = Peer(bench)
    peer.answer(1)
    assert first.calls == OK
    bench.send(get(), timeout_s=1.0)
    peer.bench.end_turn()
    bench.time.pass_by(1.1)
    assert (bench.idle, bench.open) == (0, 0)
    bench.send(get())
    assert len(bench.dialer.dials) == 2


def test_a_connection_not_made_in_time_is_a_504_for_who_cannot_wait(bench: Bench) -> None:
    _, hasty = bench.send(get(), timeout_s=0.3)
    _, patient = bench.send(get())
    bench.time.pass_by(0.4)
    assert hasty.calls == [("failed", "UpstreamTimeout", 504)]
    bench.time.pass_by(0.7)
    assert patient.calls == [("failed", "ConnectFailed", 502)]
    assert bench.dialer.dials[0].given_up


def test_a_body_that_stops_is_cut(bench: Bench) -> None:
    _, exchange = bench.send(get())
    peer = Peer(bench)
    peer.head(1)
    peer.h2.send_data(1, b"part")
    peer.pump()
    bench.time.pass_by(model.Limits().body_idle_timeout_s + 0.1)
    assert exchange.calls[2:] == [("failed", "UpstreamTimeout", 504)]


def test_a_cancelled_request_is_reset_and_its_place_is_free(bench: Bench) -> None:
    request, exchange = bench.send(post(), end=False)
    peer = Peer(bench, max_concurrent_streams=1)
    request.cancel()
    _, other = bench.send(get())
    peer.pump()
    assert [event.error_code for event in peer.of(events.StreamReset)] == [8]
    peer.answer(3)
    assert (exchange.calls, other.calls) == ([], OK)


def test_cancelling_the_last_that_waits_gives_the_dial_up(bench: Bench) -> None:
    first, _ = bench.send(get())
    second, _ = bench.send(get())
    first.cancel()
    assert not bench.dialer.dials[0].given_up
    second.cancel()
    assert bench.dialer.dials[0].given_up
    assert bench.open == 0


@given(st.lists(st.tuples(st.floats(0.0, 0.1), st.floats(1.0, 6.0), st.booleans()), min_size=1, max_size=8))
def test_each_response_head_has_its_own_time_however_many_wait(
    asked: list[tuple[float, float, bool]],
) -> None:
    bench = Bench(protocol="h2")
    bench.send(get())
    peer = Peer(bench)
    peer.answer(1)
    waiting = []
    for index, (pause, timeout_s, answered) in enumerate(asked):
        bench.time.pass_by(pause)
        _, exchange = bench.send(get(), timeout_s=timeout_s)
        peer.pump()
        if answered:
            peer.answer(3 + 2 * index)
            assert exchange.calls == OK
        else:
            waiting.append((exchange, bench.time.now + timeout_s))
    for exchange, due in sorted(waiting, key=lambda each: each[1]):
        bench.time.pass_by(max(0.0, due - 0.01 - bench.time.now))
        if bench.time.now < due:
            assert exchange.calls == []
        bench.time.pass_by(max(0.0, due + 0.11 - bench.time.now))
        assert exchange.calls == [("failed", "UpstreamTimeout", 504)]
