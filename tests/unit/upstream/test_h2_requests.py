"""HTTP/2 upstream: requests and responses on one connection, as the h2 library sees them."""

from __future__ import annotations

import pytest
from h2 import events

from tests.unit.upstream.fake_h2 import Peer
from tests.unit.upstream.fakes import Bench, Recorder, get, post

OK = [("head", 200, False), ("data", b"hello", True)]


@pytest.fixture
def bench() -> Bench:
    return Bench(protocol="h2")


def test_a_get_goes_out_and_its_answer_comes_back_whole(bench: Bench) -> None:
    request, exchange = bench.send(get(b"/a?b"))
    peer = Peer(bench)
    (received,) = peer.of(events.RequestReceived)
    assert received.headers == [
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":authority", b"shop.example"),
        (b":path", b"/a?b"),
        (b"accept", b"*/*"),
    ]
    assert received.stream_ended is not None
    peer.answer(received.stream_id)
    assert exchange.calls == OK
    assert (request.address, request.attempts, request.reused) == ("10.0.0.1:80", 1, False)


def test_many_requests_share_the_connection_that_is_being_made(bench: Bench) -> None:
    sent = [bench.send(get(b"/%d" % n)) for n in range(20)]
    peer = Peer(bench)
    for event in peer.of(events.RequestReceived):
        peer.answer(event.stream_id)
    assert [exchange.calls for _, exchange in sent] == [OK] * 20
    assert len(bench.dialer.dials) == 1
    assert bench.open == 1


def test_a_later_request_uses_the_same_connection_and_says_so(bench: Bench) -> None:
    bench.send(get())
    peer = Peer(bench)
    peer.answer(1)
    request, exchange = bench.send(get())
    peer.pump()
    peer.answer(3)
    assert exchange.calls == OK
    assert (request.reused, request.address, bench.open) == (True, "10.0.0.1:80", 1)


def test_a_body_and_its_trailers_go_out_and_come_back(bench: Bench) -> None:
    request, exchange = bench.send(post(), end=False)
    peer = Peer(bench)
    request.send_data(b"ping", False)
    request.send_trailers([(b"x-sum", b"1")])
    peer.pump()
    assert [event.data for event in peer.of(events.DataReceived)] == [b"ping"]
    assert [event.headers for event in peer.of(events.TrailersReceived)] == [[(b"x-sum", b"1")]]
    peer.head(1)
    peer.h2.send_data(1, b"pong")
    peer.h2.send_headers(1, [(b"grpc-status", b"0")], end_stream=True)
    peer.pump()
    assert exchange.calls == [
        ("head", 200, False),
        ("data", b"pong", False),
        ("trailers", [(b"grpc-status", b"0")]),
    ]


def test_a_body_that_came_before_the_connection_is_sent_on_it(bench: Bench) -> None:
    request, _ = bench.send(post(length=6), end=False)
    request.send_data(b"abc", False)
    request.send_data(b"def", True)
    peer = Peer(bench)
    (received,) = peer.of(events.RequestReceived)
    assert received.headers[-1] == (b"content-length", b"6")
    assert b"".join(event.data for event in peer.of(events.DataReceived)) == b"abcdef"
    assert peer.of(events.StreamEnded)


def test_trailers_only_is_a_head_that_ends(bench: Bench) -> None:
    _, exchange = bench.send(post())
    peer = Peer(bench)
    peer.head(1, fields=[(b"grpc-status", b"12")], end=True)
    peer.pump()
    assert exchange.calls == [("head", 200, True)]


def test_heads_before_the_final_one_are_told(bench: Bench) -> None:
    _, exchange = bench.send(get())
    peer = Peer(bench)
    peer.head(1, 103, [(b"link", b"</a>")])
    peer.answer(1)
    assert exchange.calls == [("informational", 103), *OK]


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", 200), (b"GET", 204), (b"GET", 304)])
def test_a_response_that_has_no_body_ends_with_its_head(bench: Bench, method: bytes, status: int) -> None:
    _, exchange = bench.send(get(method=method))
    peer = Peer(bench)
    peer.head(1, status, end=True)
    peer.pump()
    assert exchange.calls == [("head", status, True)]


def test_an_expectation_is_passed_on(bench: Bench) -> None:
    head = post(length=3)
    head.expect_continue = True
    request, exchange = bench.send(head, end=False)
    peer = Peer(bench)
    assert (b"expect", b"100-continue") in peer.of(events.RequestReceived)[0].headers
    peer.head(1, 100)
    peer.pump()
    assert exchange.calls == [("informational", 100)]
    request.send_data(b"abc", True)
    peer.pump()
    assert peer.of(events.StreamEnded)


def test_a_body_longer_or_shorter_than_its_length_is_never_sent_whole(bench: Bench) -> None:
    peer = None
    for body in (b"abcd", b"ab"):
        request, exchange = bench.send(post(length=3), end=False)
        peer = peer or Peer(bench)
        peer.pump()
        request.send_data(body, True)
        peer.pump()
        assert exchange.calls == [("failed", "EdgeError", 500)]
    assert peer is not None
    assert [event.error_code for event in peer.of(events.StreamReset)] == [8, 8]
    assert not peer.of(events.StreamEnded)


def test_after_an_early_answer_the_rest_of_the_request_is_called_off(bench: Bench) -> None:
    request, exchange = bench.send(post(), end=False)
    peer = Peer(bench)
    request.send_data(b"some", False)
    peer.pump()
    peer.answer(1)
    assert exchange.calls == OK
    assert [event.error_code for event in peer.of(events.StreamReset)] == [0]
    request.send_data(b"more", True)
    peer.pump()
    assert b"".join(event.data for event in peer.of(events.DataReceived)) == b"some"


def test_a_request_sent_from_inside_an_answer_takes_the_same_connection(bench: Bench) -> None:
    later: list[Recorder] = []
    _, exchange = bench.send(get())
    exchange.on_head = lambda: later.append(bench.send(get(b"/next"))[1])
    peer = Peer(bench, max_concurrent_streams=1)
    peer.answer(1)
    peer.answer(3)
    assert later[0].calls == OK
    assert bench.open == 1
