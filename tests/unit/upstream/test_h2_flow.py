"""HTTP/2 upstream: windows, pauses, limits of streams and connections."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from h2 import events
from h2.settings import SettingCodes

from edge.codec.h2.codes import MAX_WINDOW
from edge.upstream import multiplex
from edge.upstream.h2 import STREAM_WINDOW_BYTES
from edge.upstream.multiplex import FIRST_STREAMS, QUEUED_HIGH_BYTES
from edge.upstream.request import PooledRequest
from tests.unit.upstream.fake_h2 import Account, Peer
from tests.unit.upstream.fakes import Bench, get, post

OK = [("head", 200, False), ("data", b"hello", True)]
PIECE = b"x" * 16_384


@pytest.fixture
def bench() -> Bench:
    return Bench(protocol="h2")


# -- the request's way -------------------------------------------------------------------


def test_a_sender_is_paused_while_the_peer_gives_no_window_and_no_byte_is_lost(bench: Bench) -> None:
    request, exchange = bench.send(post(), end=False)
    peer = Peer(bench)
    sent = 0
    while exchange.calls != [("pause",)]:
        request.send_data(PIECE, False)
        sent += len(PIECE)
        peer.pump()
        assert sent <= 65_535 + QUEUED_HIGH_BYTES + len(PIECE)
    peer.h2.increment_flow_control_window(1 << 20)
    peer.pump()
    assert exchange.calls == [("pause",)]
    peer.h2.increment_flow_control_window(1 << 20, 1)
    peer.pump()
    assert exchange.calls == [("pause",), ("resume",)]
    request.send_data(b"end", True)
    peer.pump()
    assert sum(len(event.data) for event in peer.of(events.DataReceived)) == sent + 3
    peer.answer(1)
    assert exchange.calls[2:] == OK


def test_a_slow_socket_pauses_senders_and_holds_everything_back(bench: Bench) -> None:
    request, exchange = bench.send(post(), end=False)
    peer = Peer(bench)
    peer.protocol.pause_writing()
    for _ in range(5):
        request.send_data(PIECE, False)
        bench.end_turn()
    assert exchange.calls == [("pause",)]
    assert not peer.transport.take()
    peer.protocol.resume_writing()
    peer.pump()
    assert sum(len(event.data) for event in peer.of(events.DataReceived)) == 65_535
    peer.h2.increment_flow_control_window(1 << 20)
    peer.h2.increment_flow_control_window(1 << 20, 1)
    peer.pump()
    assert exchange.calls == [("pause",), ("resume",)]


def test_an_early_answer_calls_off_a_body_that_still_waits_for_the_window(bench: Bench) -> None:
    request, exchange = bench.send(post(), end=False)
    peer = Peer(bench)
    request.send_data(b"x" * 100_000, True)
    peer.pump()
    peer.answer(1)
    assert exchange.calls == OK
    assert [event.error_code for event in peer.of(events.StreamReset)] == [0]


# -- the response's way ------------------------------------------------------------------


def _fill(peer: Peer, stream_id: int) -> int:
    """Send on the stream until its window is used up."""
    sent = 0
    while size := min(peer.h2.local_flow_control_window(stream_id), len(PIECE)):
        peer.h2.send_data(stream_id, PIECE[:size])
        sent += size
        peer.pump()
    return sent


def test_a_paused_response_holds_one_window_and_others_flow(bench: Bench) -> None:
    slow, slow_exchange = bench.send(get())
    _, exchange = bench.send(get())
    peer = Peer(bench)
    peer.head(1)
    peer.pump()
    slow.pause_response()
    assert _fill(peer, 1) == STREAM_WINDOW_BYTES
    assert slow_exchange.calls == [("head", 200, False)]
    peer.answer(3)
    assert exchange.calls == OK
    slow.resume_response()
    assert len(slow_exchange.calls) == 1, "delivered inside the call"
    peer.pump()
    assert len(slow_exchange.body) == STREAM_WINDOW_BYTES
    assert peer.h2.local_flow_control_window(1) >= STREAM_WINDOW_BYTES // 2


def test_hundred_paused_responses_do_not_stop_another(bench: Bench) -> None:
    paused = [bench.send(get())[0] for _ in range(99)]
    peer = Peer(bench)
    for index, request in enumerate(paused):
        peer.head(2 * index + 1)
        peer.pump()
        request.pause_response()
        _fill(peer, 2 * index + 1)
    _, exchange = bench.send(get())
    peer.pump()
    peer.head(199)
    for _ in range(40):
        peer.h2.send_data(199, PIECE)
        peer.pump()
    assert len(exchange.body) == 40 * len(PIECE)


def test_what_is_held_is_delivered_in_order_even_after_the_peer_has_ended(bench: Bench) -> None:
    request, exchange = bench.send(get())
    peer = Peer(bench)
    peer.head(1)
    peer.pump()
    request.pause_response()
    peer.h2.send_data(1, b"one")
    peer.h2.send_data(1, b"two")
    peer.h2.send_headers(1, [(b"x-end", b"1")], end_stream=True)
    peer.pump()
    peer.protocol.connection_lost(None)
    assert exchange.calls == [("head", 200, False)]
    request.resume_response()
    bench.end_turn()
    assert exchange.calls[1:] == [
        ("data", b"one", False),
        ("data", b"two", False),
        ("trailers", [(b"x-end", b"1")]),
    ]


def test_a_cancelled_pause_drops_what_is_held_and_gives_its_window_back(bench: Bench) -> None:
    request, exchange = bench.send(get())
    peer = Peer(bench)
    peer.head(1)
    peer.pump()
    request.pause_response()
    peer.h2.send_data(1, PIECE)
    peer.pump()
    request.cancel()
    request.resume_response()
    peer.pump()
    assert exchange.calls == [("head", 200, False)]
    assert [event.error_code for event in peer.of(events.StreamReset)] == [8]


def _body_behind(peer: Peer, request: PooledRequest) -> None:
    peer.head(1)
    peer.pump()
    peer.h2.send_data(1, b"two")
    peer.h2.send_data(1, b"three", end_stream=True)


def _trailers(peer: Peer, request: PooledRequest) -> None:
    peer.head(1)
    peer.h2.send_data(1, b"two")
    peer.h2.send_data(1, b"three")
    peer.h2.send_headers(1, [(b"x-end", b"1")], end_stream=True)


def _cut(peer: Peer, request: PooledRequest) -> None:
    peer.head(1)
    peer.h2.send_data(1, b"two")
    peer.h2.reset_stream(1)


def _two_are_held(peer: Peer, request: PooledRequest) -> None:
    peer.head(1)
    peer.pump()
    request.pause_response()
    peer.h2.send_data(1, b"two")
    peer.pump()


def _cancelled(peer: Peer, request: PooledRequest) -> None:
    _two_are_held(peer, request)
    peer.h2.send_data(1, b"three", end_stream=True)
    peer.pump()
    request.cancel()


def _lost_while_paused(peer: Peer, request: PooledRequest) -> None:
    _two_are_held(peer, request)
    peer.h2.reset_stream(1)


def _malformed(peer: Peer, request: PooledRequest) -> None:
    peer.head(1, status=600)
    peer.h2.send_data(1, b"two")
    peer.h2.send_data(1, b"three", end_stream=True)


def _malformed_and_more(peer: Peer, request: PooledRequest) -> None:
    peer.head(1, status=600)
    peer.h2.send_data(1, b"two")


@pytest.mark.parametrize(
    "response",
    [_body_behind, _trailers, _cut, _cancelled, _lost_while_paused, _malformed, _malformed_and_more],
)
def test_all_that_came_is_credited_once_however_the_response_ends(
    bench: Bench, response: Callable[[Peer, PooledRequest], None]
) -> None:
    """What is not would be missing in the window of the connection for ever."""
    request, _ = bench.send(get())
    peer = Peer(bench)
    account = Account(peer)
    response(peer, request)
    peer.pump()
    bench.send(get())
    peer.pump()
    peer.answer(3)
    assert account.came == account.credited > len(b"hello")


def _cut_in_a_frame(peer: Peer, request: PooledRequest, stream_id: int) -> None:
    peer.head(stream_id)
    peer.h2.send_data(stream_id, PIECE)
    read = peer.h2.data_to_send()
    peer.protocol.data_received(read[:-100])
    request.cancel()
    peer.protocol.data_received(read[-100:])


def _too_long(peer: Peer, request: PooledRequest, stream_id: int) -> None:
    peer.head(stream_id, fields=[(b"content-length", b"5")])
    peer.h2.send_data(stream_id, PIECE)


@pytest.mark.parametrize("cut", [_cut_in_a_frame, _too_long])
def test_a_connection_whose_window_is_worn_by_responses_that_were_cut_is_left(
    cut: Callable[[Peer, PooledRequest, int], None], bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine tells nothing of their last frames: nobody can credit them."""
    monkeypatch.setattr(multiplex, "WORN_WINDOW_BYTES", MAX_WINDOW - 2 * len(PIECE))
    sent = [bench.send(get()) for _ in range(4)]
    peer = Peer(bench)
    account = Account(peer)
    for number in range(3):
        assert bench.idle == 1
        cut(peer, sent[number][0], 1 + 2 * number)
        peer.pump()
    assert (account.came, bench.idle) == (0, 0)
    _, exchange = bench.send(get())
    other = Peer(bench)
    other.answer(1)
    assert exchange.calls == OK
    peer.answer(7)
    assert sent[3][1].calls == OK
    assert (peer.transport.closing, len(bench.dialer.dials), bench.open) == (True, 2, 1)


# -- streams and connections -------------------------------------------------------------


def test_the_peers_limit_of_streams_is_kept_and_more_go_on_another_connection(bench: Bench) -> None:
    bench.send(get())
    peer = Peer(bench, max_concurrent_streams=2)
    peer.answer(1)
    sent = [bench.send(get()) for _ in range(3)]
    peer.pump()
    assert len(peer.of(events.RequestReceived)) == 3
    other = Peer(bench)
    assert len(other.of(events.RequestReceived)) == 1
    assert bench.open == 2
    other.answer(1)
    assert sent[2][1].calls == OK


def test_at_the_limit_of_connections_requests_wait_for_a_stream() -> None:
    bench = Bench(protocol="h2", max_connections=1)
    bench.send(get())
    peer = Peer(bench, max_concurrent_streams=1)
    waiting = [bench.send(get()) for _ in range(3)]
    for stream_id in (1, 3, 5, 7):
        peer.answer(stream_id)
    assert [exchange.calls for _, exchange in waiting] == [OK] * 3
    assert (len(bench.dialer.dials), bench.open) == (1, 1)


def test_while_a_connection_is_made_no_more_join_than_any_peer_takes(bench: Bench) -> None:
    for _ in range(FIRST_STREAMS + 1):
        bench.send(get())
    assert len(bench.dialer.dials) == 2


def test_a_peer_that_lowers_its_limit_is_obeyed(bench: Bench) -> None:
    sent = [bench.send(get()) for _ in range(3)]
    peer = Peer(bench, max_concurrent_streams=1)
    seen = [event.stream_id for event in peer.of(events.RequestReceived)]
    for stream_id in seen:
        peer.answer(stream_id)
    bench.send(get())
    assert len(sent) == 3
    assert (bench.idle, bench.open) == (0, 1)


def test_an_idle_connection_says_goodbye_and_closes(bench: Bench) -> None:
    bench.send(get())
    peer = Peer(bench)
    peer.answer(1)
    bench.time.pass_by(59.9)
    assert bench.open == 1
    bench.time.pass_by(0.2)
    assert (bench.open, peer.transport.closing) == (0, True)
    peer.pump()
    assert peer.of(events.ConnectionTerminated)


def test_a_busy_connection_is_not_idle(bench: Bench) -> None:
    _, exchange = bench.send(get())
    peer = Peer(bench)
    bench.time.pass_by(200.0)
    peer.answer(1)
    assert exchange.calls == OK
    bench.time.pass_by(60.1)
    assert bench.open == 0


def test_closing_a_cluster_lets_what_is_under_way_end(bench: Bench) -> None:
    _, exchange = bench.send(get())
    peer = Peer(bench)
    bench.cluster.close()
    assert not peer.transport.closing
    peer.answer(1)
    assert exchange.calls == OK
    assert (bench.open, peer.transport.closing) == (0, True)


def test_closing_a_cluster_while_it_dials_lets_the_request_end(bench: Bench) -> None:
    _, exchange = bench.send(get())
    bench.cluster.close()
    peer = Peer(bench)
    peer.answer(1)
    assert exchange.calls == OK
    assert (bench.open, peer.transport.closing) == (0, True)


def test_settings_that_say_nothing_of_streams_leave_their_number_as_it_was(bench: Bench) -> None:
    """As servers send them to widen windows."""
    bench.send(get())
    peer = Peer(bench, max_concurrent_streams=2)
    peer.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1 << 17})
    peer.pump()
    for _ in range(2):
        bench.send(get())
    peer.pump()
    assert (peer.protocol.room, peer.protocol.active, len(bench.dialer.dials)) == (2, 2, 2)
    peer.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 3})
    peer.pump()
    assert peer.protocol.room == 3
