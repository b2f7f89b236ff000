"""Response bytes to calls, in any pieces, and what ends in BadResponse."""

from __future__ import annotations

from typing import Any

import pytest

from edge import model
from tests.unit.upstream.fakes import OK, OK_CALLS, Bench, get

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def receive(
    data: bytes, step: int = 0, method: bytes = b"GET", **limits: Any
) -> tuple[Bench, list[tuple[Any, ...]]]:
    bench = Bench(limits=model.Limits(**limits))
    _, exchange = bench.send(get(method=method))
    transport = bench.connect()
    protocol = bench.dialer.dials[0].protocol
    for at in range(0, len(data), step or len(data)):
        if not transport.aborted:
            protocol.data_received(data[at : at + (step or len(data))])
    return bench, exchange.calls


@pytest.mark.parametrize("step", [1, 2, 3, 7, 0])
def test_a_length_body_comes_whole_in_any_pieces(step: int) -> None:
    bench, calls = receive(OK, step)
    assert calls[0] == ("head", 200, False)
    assert b"".join(call[1] for call in calls[1:]) == b"hello"
    assert [call[2] for call in calls[1:]].count(True) == 1
    assert calls[-1][2] is True
    assert bench.idle == 1


@pytest.mark.parametrize("step", [1, 2, 5, 0])
def test_a_chunked_body_and_its_trailers_come_whole_in_any_pieces(step: int) -> None:
    bench, calls = receive(CHUNKED + b"5\r\nhello\r\n3;x=y\r\n yo\r\n0\r\nx-sum: 7\r\n\r\n", step)
    assert b"".join(call[1] for call in calls if call[0] == "data") == b"hello yo"
    assert calls[-1] == ("trailers", [(b"x-sum", b"7")])
    assert all(not call[2] for call in calls if call[0] == "data")
    assert bench.idle == 1


def test_a_chunked_body_without_trailers_ends_with_its_last_data() -> None:
    bench, calls = receive(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n")
    assert calls == OK_CALLS
    assert bench.idle == 1


@pytest.mark.parametrize("step", [1, 0])
def test_informational_heads_are_forwarded_before_the_final_one(step: int) -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    bench, calls = receive(early + b"HTTP/1.1 204 No Content\r\n\r\n", step)
    assert calls == [("informational", 100), ("informational", 103), ("head", 204, True)]
    assert bench.idle == 1


def test_sixteen_informational_heads_pass_and_one_more_is_a_flood() -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    _, calls = receive(hint * 16 + OK)
    assert calls[16:] == OK_CALLS
    _, calls = receive(hint * 17 + OK)
    assert calls[16:] == [("failed", "BadResponse", 502)]


@pytest.mark.parametrize("step", [1, 0])
@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("two lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello"),
        ("malformed length", b"HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\nhello"),
        (
            "length and chunked",
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\nhello",
        ),
        ("unknown coding", b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nhello"),
        ("not HTTP", b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n"),
        ("HTTP/2 preface", b"HTTP/2.0 200 OK\r\n\r\n"),
        ("status of two digits", b"HTTP/1.1 20 OK\r\n\r\n"),
        ("status 600", b"HTTP/1.1 600 No\r\n\r\n"),
        ("bare LF", b"HTTP/1.1 200 OK\ncontent-length: 5\n\nhello"),
        ("bare LF inside", b"HTTP/1.1 200 OK\r\nx: y\ncontent-length: 5\r\n\r\nhello"),
        ("folded field", b"HTTP/1.1 200 OK\r\nx: y\r\n z\r\n\r\n"),
        ("NUL", b"HTTP/1.1 200 OK\r\nx: \0\r\n\r\n"),
        ("space before the colon", b"HTTP/1.1 200 OK\r\nx : y\r\n\r\n"),
        (
            "101 nobody asked for",
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        ),
    ],
)
def test_a_malformed_head_is_a_502_and_the_connection_is_closed(name: str, data: bytes, step: int) -> None:
    """F6."""
    bench, calls = receive(data, step)
    assert calls == [("failed", "BadResponse", 502)], name
    assert (bench.open, bench.idle) == (0, 0)


@pytest.mark.parametrize("step", [1, 100, 0])
def test_a_head_over_the_limit_is_refused_without_being_kept(step: int) -> None:
    data = b"HTTP/1.1 200 OK\r\nx: " + b"y" * 2000 + b"\r\n\r\n"
    bench, calls = receive(data, step, head_bytes=1000)
    assert calls == [("failed", "BadResponse", 502)]
    assert bench.open == 0


@pytest.mark.parametrize("chunks", [b"x\r\nhello", b"5\r\nhelloXX", b"5\nhello", b"+5\r\nhello\r\n"])
def test_a_malformed_chunk_fails_the_response_after_its_head(chunks: bytes) -> None:
    bench, calls = receive(CHUNKED + chunks)
    assert calls[0] == ("head", 200, False)
    assert calls[-1] == ("failed", "BadResponse", 502)
    assert bench.open == 0


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello",
        CHUNKED + b"5\r\nhello\r\n",
        CHUNKED + b"9\r\nhello",
    ],
)
@pytest.mark.parametrize("reset", [True, False])
def test_a_truncated_body_never_ends_cleanly(data: bytes, reset: bool) -> None:
    """F3, F4."""
    bench = Bench()
    _, exchange = bench.send(get())
    bench.connect()
    protocol = bench.dialer.dials[0].protocol
    protocol.data_received(data)
    if not reset:
        protocol.eof_received()
    protocol.connection_lost(ConnectionResetError() if reset else None)
    assert exchange.body == b"hello"
    assert exchange.calls[-1] == ("failed", "UpstreamClosed", 502)
    assert all(not call[2] for call in exchange.calls if call[0] == "data")
    assert bench.open == 0


def test_a_reset_is_no_end_of_a_close_delimited_body() -> None:
    bench = Bench()
    _, exchange = bench.send(get())
    bench.connect()
    protocol = bench.dialer.dials[0].protocol
    protocol.data_received(b"HTTP/1.1 200 OK\r\n\r\nhello")
    protocol.connection_lost(ConnectionResetError())
    assert exchange.calls[-1] == ("failed", "UpstreamClosed", 502)


def test_the_exchange_may_cancel_inside_any_call() -> None:
    part = OK[:-1]
    for data in (part, CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nhello"):
        bench = Bench()
        request, exchange = bench.send(get())
        transport = bench.connect()
        exchange.on_head = request.cancel
        bench.dialer.dials[0].protocol.data_received(data)
        assert exchange.calls == [("head", 200, False)]
        assert transport.aborted
        assert bench.open == 0


def test_a_paused_response_stops_reading_and_a_finished_one_reads_again() -> None:
    bench = Bench()
    request, exchange = bench.send(get())
    transport = bench.connect()
    protocol = bench.dialer.dials[0].protocol
    protocol.data_received(OK[:-3])
    request.pause_response()
    assert not transport.reading
    request.resume_response()
    assert transport.reading
    request.pause_response()
    protocol.data_received(OK[-3:])
    assert exchange.body == b"hello"
    assert transport.reading
    assert bench.idle == 1


def test_no_next_byte_in_time_fails_the_response_unless_the_client_is_the_slow_one() -> None:
    bench = Bench(limits=model.Limits(body_idle_timeout_s=10.0))
    request, exchange = bench.send(get())
    bench.connect()
    protocol = bench.dialer.dials[0].protocol
    protocol.data_received(OK[:-3])
    bench.time.pass_by(8)
    protocol.data_received(OK[-3:-2])
    bench.time.pass_by(8)
    request.pause_response()
    bench.time.pass_by(60)
    assert exchange.calls[-1][0] == "data"
    request.resume_response()
    bench.time.pass_by(9.8)
    assert exchange.calls[-1][0] == "data"
    bench.time.pass_by(0.5)
    assert exchange.calls[-1] == ("failed", "UpstreamTimeout", 504)
    assert bench.open == 0


def upgraded(bench: Bench) -> tuple[Any, Any, Any, Any]:
    head = get()
    head.upgrade = b"websocket"
    head.fields.append((b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="))
    request, exchange = bench.send(head, end=False)
    transport = bench.connect()
    assert b"upgrade: websocket\r\n" in transport.take()
    protocol = bench.dialer.dials[0].protocol
    protocol.data_received(
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: WebSocket\r\n"
        b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x00"
    )
    assert exchange.calls == [("head", 101, False), ("data", b"\x81\x00", False)]
    return request, exchange, transport, protocol


def test_after_101_bytes_flow_untouched_both_ways_and_no_deadline_ends_them() -> None:
    bench = Bench()
    request, exchange, transport, protocol = upgraded(bench)
    request.send_data(b"\x82\x01a", False)
    assert transport.take() == b"\x82\x01a"
    bench.time.pass_by(10_000)
    protocol.data_received(OK)
    assert exchange.calls[-1] == ("data", OK, False)


def test_the_client_ends_its_half_of_a_tunnel_first() -> None:
    bench = Bench()
    request, exchange, transport, protocol = upgraded(bench)
    request.send_data(b"bye", True)
    assert (transport.take(), transport.eof, transport.is_closing()) == (b"bye", True, False)
    protocol.data_received(b"answer")
    protocol.eof_received()
    assert exchange.calls[-2:] == [("data", b"answer", False), ("data", b"", True)]
    assert transport.closing
    assert bench.open == 0


def test_the_upstream_ends_its_half_of_a_tunnel_first() -> None:
    bench = Bench()
    request, exchange, transport, protocol = upgraded(bench)
    assert protocol.eof_received() is True
    assert exchange.calls[-1] == ("data", b"", True)
    request.send_data(b"still", False)
    assert transport.take() == b"still"
    assert not transport.is_closing()
    request.send_data(b"", True)
    assert transport.closing
    assert bench.open == 0


def test_a_half_open_tunnel_does_not_stay_for_ever() -> None:
    bench = Bench(limits=model.Limits(body_idle_timeout_s=10.0))
    _, _, transport, protocol = upgraded(bench)
    protocol.eof_received()
    bench.time.pass_by(10.2)
    assert transport.aborted
    assert bench.open == 0


def test_a_tunnel_over_tls_goes_on_when_the_client_ends_its_half() -> None:
    bench = Bench(limits=model.Limits(body_idle_timeout_s=10.0))
    request, exchange, transport, protocol = upgraded(bench)
    transport.half_closes = False
    request.send_data(b"bye", True)
    protocol.data_received(b"answer")
    assert exchange.calls[-1] == ("data", b"answer", False)
    protocol.eof_received()
    assert exchange.calls[-1] == ("data", b"", True)
    assert bench.open == 0


def test_a_tunnel_over_tls_whose_upstream_then_falls_silent_is_cut() -> None:
    bench = Bench(limits=model.Limits(body_idle_timeout_s=10.0))
    request, exchange, transport, _ = upgraded(bench)
    transport.half_closes = False
    request.send_data(b"bye", True)
    request.pause_response()
    bench.time.pass_by(10.2)
    request.resume_response()
    assert exchange.calls[-1][0] != "failed"
    bench.time.pass_by(10.2)
    assert exchange.calls[-1] == ("failed", "UpstreamTimeout", 504)
    assert transport.aborted


def test_a_tunnel_over_tls_ends_when_the_upstream_ends_its_half() -> None:
    bench = Bench()
    request, exchange, transport, protocol = upgraded(bench)
    transport.half_closes = False
    assert not protocol.eof_received()
    assert exchange.calls[-1] == ("data", b"", True)
    request.send_data(b"late", False)
    assert (transport.closing, bench.open) == (True, 0)


def test_a_tunnel_that_does_not_flush_is_aborted_in_the_end() -> None:
    bench = Bench()
    request, _, transport, protocol = upgraded(bench)
    request.send_data(b"bye", True)
    protocol.eof_received()
    assert not transport.aborted
    bench.time.pass_by(10.2)
    assert transport.aborted


def test_a_reset_tunnel_fails() -> None:
    bench = Bench()
    _, exchange, _, protocol = upgraded(bench)
    protocol.connection_lost(ConnectionResetError())
    assert exchange.calls[-1] == ("failed", "UpstreamClosed", 502)


def test_an_upgrade_that_is_not_granted_is_an_answer_and_no_byte_went_before() -> None:
    """P30."""
    bench = Bench()
    head = get()
    head.upgrade = b"websocket"
    _, exchange = bench.send(head, end=False)
    transport = bench.connect()
    bench.dialer.dials[0].protocol.data_received(OK)
    assert exchange.calls == OK_CALLS
    assert transport.aborted


def test_bytes_before_the_101_are_never_sent() -> None:
    bench = Bench()
    head = get()
    head.upgrade = b"websocket"
    request, exchange = bench.send(head, end=False)
    transport = bench.connect()
    transport.take()
    request.send_data(b"GET /admin HTTP/1.1\r\n\r\n", False)
    assert transport.take() == b""
    assert exchange.calls == [("failed", "EdgeError", 500)]
