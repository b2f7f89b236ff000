"""When a connection is used again, and when it never is."""

from __future__ import annotations

import pytest

from tests.unit.upstream.fakes import OK, OK_CALLS, Bench, get, post


def test_a_response_in_one_read_comes_as_head_and_last_data_and_the_connection_is_idle() -> None:
    bench = Bench()
    request, exchange = bench.send(get(b"/a?b"))
    assert (request.attempts, request.reused, request.address) == (1, False, "10.0.0.1:80")
    transport = bench.connect()
    assert transport.take() == b"GET /a?b HTTP/1.1\r\nhost: shop.example\r\naccept: */*\r\n\r\n"
    assert transport.high == 262144
    bench.dialer.dials[0].protocol.data_received(OK)
    assert exchange.calls == OK_CALLS
    assert (bench.open, bench.idle) == (1, 1)


def test_the_next_request_goes_out_synchronously_on_the_idle_connection() -> None:
    bench = Bench()
    protocol, transport = bench.warm()
    request, exchange = bench.send(get())
    assert transport.take().startswith(b"GET / HTTP/1.1\r\n")
    assert request.reused
    assert len(bench.dialer.dials) == 1
    protocol.data_received(OK)
    assert exchange.calls == OK_CALLS


def test_the_connection_is_free_before_the_last_bytes_are_delivered() -> None:
    bench = Bench()
    protocol, _ = bench.warm()
    _, first = bench.send(get())
    seen: list[int] = []
    first.on_head = lambda: seen.append(bench.idle)
    protocol.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    assert first.calls == [("head", 200, True)]
    assert seen == [1]


def test_idle_connections_are_used_last_in_first_out() -> None:
    bench = Bench()
    bench.send(get())
    bench.send(get())
    transports = [bench.connect(0), bench.connect(1)]
    for dial in bench.dialer.dials:
        dial.protocol.data_received(OK)
    for transport in transports:
        transport.take()
    bench.send(get())
    assert [bool(transport.take()) for transport in transports] == [False, True]


def test_an_idle_connection_is_closed_after_the_idle_timeout() -> None:
    bench = Bench(idle_timeout_s=5.0)
    _, transport = bench.warm()
    bench.time.pass_by(4.9)
    assert not transport.aborted
    bench.time.pass_by(0.3)
    assert transport.aborted
    assert (bench.open, bench.idle) == (0, 0)


def test_a_reused_connection_counts_its_idle_time_anew() -> None:
    bench = Bench(idle_timeout_s=5.0)
    protocol, transport = bench.warm()
    for _ in range(4):
        bench.time.pass_by(3.0)
        bench.send(get())
        protocol.data_received(OK)
    assert not transport.aborted
    bench.time.pass_by(5.2)
    assert transport.aborted


@pytest.mark.parametrize(
    ("name", "response"),
    [
        ("connection: close", b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello"),
        ("HTTP/1.0", b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello"),
        ("a second response behind the first", OK + OK),
        ("one byte behind the first", OK + b"x"),
        (
            "bytes behind chunks",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nHTTP",
        ),
    ],
)
def test_a_connection_in_doubt_is_delivered_from_but_closed(name: str, response: bytes) -> None:
    bench = Bench()
    _, exchange = bench.send(get())
    transport = bench.connect()
    bench.dialer.dials[0].protocol.data_received(response)
    assert exchange.body == b"hello", name
    assert exchange.calls[-1][-1] is True
    assert transport.aborted
    assert (bench.open, bench.idle) == (0, 0)


@pytest.mark.parametrize("status", [b"200 OK", b"204 No Content", b"304 Not Modified"])
def test_a_body_that_may_not_be_there_is_dropped_and_the_connection_closed(status: bytes) -> None:
    """Case 46."""
    bench = Bench()
    _, exchange = bench.send(get(method=b"HEAD"))
    transport = bench.connect()
    bench.dialer.dials[0].protocol.data_received(
        b"HTTP/1.1 " + status + b"\r\ncontent-length: 5\r\n\r\nhello"
    )
    assert [call[0] for call in exchange.calls] == ["head"]
    assert exchange.calls[0][2] is True
    assert transport.aborted


def test_head_with_a_length_needs_no_body_and_keeps_the_connection() -> None:
    bench = Bench()
    _, exchange = bench.send(get(method=b"HEAD"))
    bench.connect()
    bench.dialer.dials[0].protocol.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")
    assert exchange.calls == [("head", 200, True)]
    assert bench.idle == 1


def test_bytes_on_an_idle_connection_poison_it() -> None:
    """F6: a second response that comes later must never answer the next request."""
    bench = Bench()
    protocol, transport = bench.warm()
    protocol.data_received(OK)
    assert transport.aborted
    assert bench.idle == 0
    bench.send(get())
    assert len(bench.dialer.dials) == 2


def test_an_early_response_is_delivered_and_the_connection_not_reused() -> None:
    bench = Bench()
    request, exchange = bench.send(post(length=100), end=False)
    transport = bench.connect()
    request.send_data(b"x" * 10, False)
    bench.dialer.dials[0].protocol.data_received(OK)
    assert exchange.calls == OK_CALLS
    assert transport.aborted
    before = len(transport.written)
    request.send_data(b"x" * 90, True)
    assert len(transport.written) == before


def test_a_close_delimited_body_ends_at_eof() -> None:
    bench = Bench()
    _, exchange = bench.send(get())
    transport = bench.connect()
    protocol = bench.dialer.dials[0].protocol
    protocol.data_received(b"HTTP/1.1 200 OK\r\n\r\nhel")
    protocol.data_received(b"lo")
    assert protocol.eof_received() is False
    protocol.connection_lost(None)
    assert exchange.body == b"hello"
    assert exchange.calls[-1] == ("data", b"", True)
    assert transport.aborted
    assert bench.open == 0


def test_an_idle_connection_that_the_upstream_closes_is_forgotten() -> None:
    bench = Bench()
    protocol, _ = bench.warm()
    protocol.eof_received()
    protocol.connection_lost(None)
    assert (bench.open, bench.idle) == (0, 0)


def test_a_closed_cluster_keeps_nothing_but_finishes_what_runs() -> None:
    bench = Bench()
    protocol, _ = bench.warm()
    _, exchange = bench.send(get())
    bench.cluster.close()
    protocol.data_received(OK)
    assert exchange.calls == OK_CALLS
    assert (bench.open, bench.idle) == (0, 0)


def test_closing_a_cluster_closes_its_idle_connections() -> None:
    bench = Bench()
    _, transport = bench.warm()
    bench.cluster.close()
    assert transport.aborted
    assert bench.open == 0
