"""Dialling, bodies that wait, retries, timeouts, cancelling, and the cap."""

from __future__ import annotations

import pytest

from edge.errors import EdgeError
from edge.upstream.cluster import Verdict
from tests.unit.upstream.fakes import OK, OK_CALLS, Bench, get, post


def test_body_that_comes_while_dialling_is_kept_and_sent_in_order() -> None:
    bench = Bench()
    request, _ = bench.send(post(length=6), end=False)
    request.send_data(b"abc", False)
    request.send_data(b"def", True)
    transport = bench.connect()
    assert transport.take() == b"POST / HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 6\r\n\r\nabcdef"


def test_a_body_without_length_goes_out_in_chunks_with_its_trailers() -> None:
    bench = Bench()
    request, _ = bench.send(post(), end=False)
    transport = bench.connect()
    assert b"transfer-encoding: chunked" in transport.take()
    request.send_data(b"hello", False)
    request.send_data(b"", False)
    request.send_trailers([(b"x-sum", b"1")])
    assert transport.take() == b"5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n"


def test_trailers_that_come_while_dialling_are_kept() -> None:
    bench = Bench()
    request, _ = bench.send(post(), end=False)
    request.send_data(b"hello", False)
    request.send_trailers([(b"x-sum", b"1")])
    assert bench.connect().take().endswith(b"\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n")


def test_more_than_64_kib_while_dialling_pauses_the_client_until_connected() -> None:
    bench = Bench()
    request, exchange = bench.send(post(), end=False)
    request.send_data(b"x" * 65536, False)
    assert exchange.calls == []
    request.send_data(b"x", False)
    assert exchange.calls == [("pause",)]
    transport = bench.connect()
    assert exchange.calls == [("pause",), ("resume",)]
    assert transport.take().count(b"x") == 65538  # and the one in the name


def test_a_full_write_buffer_pauses_the_client() -> None:
    bench = Bench()
    request, exchange = bench.send(post(), end=False)
    bench.connect()
    protocol = bench.dialer.dials[0].protocol
    protocol.pause_writing()
    protocol.resume_writing()
    assert exchange.calls == [("pause",), ("resume",)]
    request.send_data(b"x", True)


@pytest.mark.parametrize(("data", "end"), [(b"abcd", False), (b"ab", True), (b"", True)])
def test_a_body_that_contradicts_its_length_never_reaches_the_next_request(data: bytes, end: bool) -> None:
    bench = Bench()
    request, exchange = bench.send(post(length=3), end=False)
    transport = bench.connect()
    transport.take()
    request.send_data(data, end)
    assert transport.take() == b""
    assert transport.aborted
    assert exchange.calls == [("failed", "EdgeError", 500)]


def test_a_refused_connection_is_tried_at_each_endpoint_once() -> None:
    """F1."""
    bench = Bench(endpoints=3)
    request, exchange = bench.send(get())
    for index in range(3):
        assert exchange.calls == []
        bench.dialer.dials[index].failed("refused")
    assert [dial.host for dial in bench.dialer.dials] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert exchange.calls == [("failed", "ConnectFailed", 502)]
    assert request.attempts == 3
    assert bench.open == 0


def test_a_post_with_its_body_goes_to_the_next_endpoint_when_nothing_was_sent() -> None:
    bench = Bench(endpoints=2)
    request, exchange = bench.send(post(length=3), end=False)
    request.send_data(b"abc", True)
    bench.dialer.dials[0].failed("refused")
    assert bench.connect(1).take().endswith(b"\r\n\r\nabc")
    bench.dialer.dials[1].protocol.data_received(OK)
    assert exchange.calls == OK_CALLS
    assert (request.attempts, request.address) == (2, "10.0.0.2:80")
    assert [failure[:3] for failure in request.failures] == [("10.0.0.1:80", False, "ConnectFailed")]


def test_endpoints_take_turns() -> None:
    bench = Bench(endpoints=2)
    for _ in range(4):
        bench.send(get())
    assert [dial.host for dial in bench.dialer.dials] == ["10.0.0.1", "10.0.0.2"] * 2


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS"])
def test_a_stale_connection_is_retried_once_on_a_new_one(method: bytes) -> None:
    """F7."""
    bench = Bench()
    protocol, _ = bench.warm()
    request, exchange = bench.send(get(method=method))
    protocol.connection_lost(None)
    assert exchange.calls == []
    transport = bench.connect()
    assert transport.take().startswith(method)
    assert (request.attempts, request.reused) == (2, False)
    bench.dialer.dials[-1].protocol.connection_lost(None)
    assert exchange.calls == [("failed", "UpstreamClosed", 502)]


def test_a_stale_connection_is_not_retried_on_another_idle_one() -> None:
    """After a restart of the upstream every idle connection is as dead as the first."""
    bench = Bench()
    bench.send(get())
    bench.send(get())
    for index in (0, 1):
        bench.connect(index)
        bench.dialer.dials[index].protocol.data_received(OK)
    _, exchange = bench.send(get())
    bench.dialer.dials[1].protocol.connection_lost(ConnectionResetError())
    bench.connect(2)
    bench.dialer.dials[2].protocol.data_received(OK)
    assert exchange.calls == OK_CALLS


def test_a_retry_at_the_cap_closes_an_idle_connection_to_make_room() -> None:
    bench = Bench(max_connections=2)
    bench.send(get())
    bench.send(get())
    for index in (0, 1):
        bench.connect(index)
        bench.dialer.dials[index].protocol.data_received(OK)
    bench.send(get())
    bench.send(get())
    bench.dialer.dials[0].protocol.data_received(OK)
    assert bench.cluster.decide(0, fresh=True)[0] is Verdict.EVICT
    bench.dialer.dials[1].protocol.connection_lost(None)
    assert len(bench.dialer.dials) == 3
    assert bench.open == 2


@pytest.mark.parametrize(
    ("name", "received", "fresh", "method", "body"),
    [
        ("POST", b"", False, b"POST", b""),
        ("PUT with a body byte sent", b"", False, b"PUT", b"x"),
        ("a byte of the response came", b"H", False, b"GET", b""),
        ("a 1xx came", b"HTTP/1.1 103 Early Hints\r\n\r\n", False, b"GET", b""),
        ("a new connection", b"", True, b"GET", b""),
    ],
)
def test_what_is_never_retried(name: str, received: bytes, fresh: bool, method: bytes, body: bytes) -> None:
    bench = Bench(endpoints=1)
    if not fresh:
        bench.warm()
    request, exchange = bench.send(post(method=method), end=False) if body else bench.send(get(method=method))
    if fresh:
        bench.connect()
    protocol = bench.dialer.dials[0].protocol
    if body:
        request.send_data(body, False)
    if received:
        protocol.data_received(received)
    protocol.connection_lost(None)
    assert exchange.calls[-1] == ("failed", "UpstreamClosed", 502), name
    assert len(bench.dialer.dials) == 1


def test_a_put_that_waited_with_its_body_is_not_sent_again() -> None:
    """What was held until there was a connection counts as sent once it is."""
    bench = Bench(max_connections=1)
    bench.send(get())
    request, exchange = bench.send(post(method=b"PUT"), end=False)
    request.send_data(b"x", False)
    transport = bench.connect()
    protocol = bench.dialer.dials[0].protocol
    protocol.data_received(OK)
    assert transport.take().endswith(b"1\r\nx\r\n")
    protocol.connection_lost(None)
    assert exchange.calls[-1] == ("failed", "UpstreamClosed", 502)
    assert len(bench.dialer.dials) == 1


def test_a_put_whose_body_has_not_begun_is_retried_whole() -> None:
    bench = Bench()
    protocol, _ = bench.warm()
    request, exchange = bench.send(post(method=b"PUT"), end=False)
    request.send_data(b"", True)
    protocol.connection_lost(None)
    assert bench.connect().take().endswith(b"\r\n\r\n0\r\n\r\n")
    assert exchange.calls == []


def test_connecting_takes_too_long() -> None:
    bench = Bench(connect_timeout_s=1.0)
    _, exchange = bench.send(get(), timeout_s=5.0)
    bench.time.pass_by(0.9)
    assert exchange.calls == []
    bench.time.pass_by(0.25)
    assert exchange.calls == [("failed", "ConnectFailed", 502)]
    assert bench.dialer.dials[0].given_up
    assert bench.open == 0


def test_a_timeout_shorter_than_the_connect_timeout_is_a_504() -> None:
    bench = Bench(connect_timeout_s=1.0)
    _, exchange = bench.send(get(), timeout_s=0.5)
    bench.time.pass_by(0.6)
    assert exchange.calls == [("failed", "UpstreamTimeout", 504)]


def test_an_upstream_that_hangs_is_a_504_in_time_and_its_connection_is_closed() -> None:
    """F2."""
    bench = Bench()
    _, transport = bench.warm()
    _, exchange = bench.send(get(), timeout_s=2.0)
    bench.time.pass_by(1.95)
    assert exchange.calls == []
    bench.time.pass_by(0.15)
    assert exchange.calls == [("failed", "UpstreamTimeout", 504)]
    assert transport.aborted
    assert bench.open == 0


def test_an_answer_in_time_disarms_the_timeout() -> None:
    bench = Bench()
    protocol, _ = bench.warm()
    _, exchange = bench.send(get(), timeout_s=2.0)
    protocol.data_received(OK)
    bench.time.pass_by(30.0)
    assert exchange.calls == OK_CALLS
    assert bench.idle == 1


def test_cancel_while_dialling_gives_the_connection_up() -> None:
    """F9."""
    bench = Bench()
    request, exchange = bench.send(get())
    request.cancel()
    assert bench.dialer.dials[0].given_up
    assert bench.open == 0
    late = bench.connect()
    assert late.aborted
    bench.dialer.dials[0].protocol.connection_lost(None)
    assert exchange.calls == []


def test_cancel_while_waiting_for_the_response_closes_the_connection_at_once() -> None:
    bench = Bench()
    protocol, transport = bench.warm()
    request, exchange = bench.send(get())
    request.cancel()
    request.cancel()
    assert transport.aborted
    protocol.connection_lost(None)
    assert exchange.calls == []
    assert bench.open == 0


def test_cancel_after_the_end_leaves_the_connection_to_others() -> None:
    bench = Bench()
    protocol, transport = bench.warm()
    request, _ = bench.send(get())
    protocol.data_received(OK)
    other, exchange = bench.send(get())
    request.cancel()
    assert not transport.aborted
    protocol.data_received(OK)
    assert exchange.calls == OK_CALLS
    other.cancel()


def test_an_empty_cluster_is_a_503_at_once() -> None:
    bench = Bench(endpoints=0)
    request, exchange = bench.send(get())
    assert exchange.calls == [("failed", "NoEndpoint", 503)]
    assert request.attempts == 0


def test_at_the_cap_requests_wait_and_go_on_in_order() -> None:
    bench = Bench(max_connections=1)
    protocol, transport = bench.warm()
    _, first = bench.send(get(b"/1"))
    _, second = bench.send(get(b"/2"))
    request, third = bench.send(post(length=3), end=False)
    request.send_data(b"abc", True)
    assert transport.take().startswith(b"GET /1 ")
    protocol.data_received(OK)
    assert transport.take().startswith(b"GET /2 ")
    protocol.data_received(OK)
    assert transport.take().endswith(b"\r\n\r\nabc")
    protocol.data_received(OK)
    assert first.calls == second.calls == third.calls == OK_CALLS
    assert len(bench.dialer.dials) == 1


def test_a_waiting_request_gets_a_new_connection_when_the_busy_one_ends() -> None:
    bench = Bench(max_connections=1)
    bench.warm()
    first, _ = bench.send(get())
    bench.send(get(b"/2"))
    first.cancel()
    assert len(bench.dialer.dials) == 2
    assert bench.connect().take().startswith(b"GET /2 ")


def test_waiting_is_bounded_in_time_and_number() -> None:
    bench = Bench(max_connections=1, max_pending=2)
    bench.warm()
    bench.send(get())
    _, waits = bench.send(get())
    _, waits_less = bench.send(get(), timeout_s=1.0)
    _, refused = bench.send(get())
    assert refused.calls == [("failed", "Overloaded", 503)]
    bench.time.pass_by(1.15)
    assert waits_less.calls == [("failed", "Overloaded", 503)]
    assert waits.calls == []
    bench.time.pass_by(9.0)
    assert waits.calls == [("failed", "Overloaded", 503)]
    assert bench.cluster.rejected == {"max_pending": 1, "max_connections": 2}


def test_a_waiting_request_can_be_cancelled() -> None:
    bench = Bench(max_connections=1)
    protocol, transport = bench.warm()
    bench.send(get())
    request, exchange = bench.send(get(b"/2"))
    request.cancel()
    transport.take()
    protocol.data_received(OK)
    assert transport.take() == b""
    assert exchange.calls == []
    assert bench.idle == 1


def test_at_the_cap_an_idle_connection_to_another_endpoint_is_used() -> None:
    bench = Bench(endpoints=2, max_connections=2)
    bench.send(get())
    bench.send(get())
    bench.connect(0)
    bench.connect(1)
    bench.dialer.dials[1].protocol.data_received(OK)
    _, exchange = bench.send(get(b"/2"))
    assert len(bench.dialer.dials) == 2
    bench.dialer.dials[1].protocol.data_received(OK)
    assert exchange.calls == OK_CALLS


def test_an_error_while_making_room_is_an_answer_for_one_request_only() -> None:
    bench = Bench(max_connections=1)
    protocol, transport = bench.warm()
    bench.send(get())
    broken, first = bench.send(post(length=3), end=False)
    broken.send_data(b"toolong", True)
    _, second = bench.send(get(b"/2"))
    protocol.data_received(OK)
    assert first.calls == [("failed", EdgeError.__name__, 500)]
    assert transport.aborted
    bench.connect()
    bench.dialer.dials[-1].protocol.data_received(OK)
    assert second.calls == OK_CALLS
