"""Long answers are read in portions, short ones as they come."""

from __future__ import annotations

import pytest

from edge.upstream.portions import CAREFUL_BYTES, PORTION_BYTES, Portions
from tests.unit.upstream.fakes import Bench, FakeTransport, Recorder, get

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def begun(first: bytes) -> tuple[Bench, FakeTransport, Recorder]:
    bench = Bench()
    _, exchange = bench.send(get())
    transport = bench.connect()
    bench.dialer.dials[0].protocol.data_received(first)
    return bench, transport, exchange


def length(size: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size


def filled(transport: FakeTransport, data: bytes) -> None:
    """As uvloop does it."""
    portions = transport.protocol
    assert isinstance(portions, Portions)
    room = portions.get_buffer(-1)
    room[: len(data)] = data
    portions.buffer_updated(len(data))


@pytest.mark.parametrize(
    "first", [length(PORTION_BYTES), length(PORTION_BYTES + 4) + b"some", length(2) + b"ok", CHUNKED + END]
)
def test_what_one_portion_holds_is_read_as_ever(first: bytes) -> None:
    _, transport, _ = begun(first)
    assert transport.protocol is None


@pytest.mark.parametrize(
    ("head", "pieces"),
    [
        (length(PORTION_BYTES + 9), [b"a" * PORTION_BYTES, b"b" * 9]),
        (CHUNKED, [b"5\r\nhel", b"lo\r\n", END]),
        (CHUNKED, [b"5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n"]),
    ],
)
def test_a_long_body_comes_whole_and_the_next_answer_as_ever(head: bytes, pieces: list[bytes]) -> None:
    bench, transport, exchange = begun(head)
    for piece in pieces:
        filled(transport, piece)
    whole = b"".join(pieces) if head != CHUNKED else b"hello"
    assert exchange.body == whole
    assert transport.protocol is bench.dialer.dials[0].protocol
    assert bench.idle == 1


def test_no_portion_is_larger_than_it_may_be() -> None:
    _, transport, _ = begun(length(1 << 20))
    assert isinstance(transport.protocol, Portions)
    assert len(transport.protocol.get_buffer(1 << 18)) == PORTION_BYTES


def test_a_body_that_is_read_for_long_comes_in_larger_pieces() -> None:
    bench, transport, exchange = begun(length(1 << 23))
    careful = 0
    while isinstance(transport.protocol, Portions):
        filled(transport, b"x" * PORTION_BYTES)
        careful += PORTION_BYTES
    assert CAREFUL_BYTES < careful <= CAREFUL_BYTES + PORTION_BYTES
    bench.dialer.dials[0].protocol.data_received(b"x" * ((1 << 23) - careful))
    assert len(exchange.body) == 1 << 23
    assert bench.idle == 1


def test_what_else_befalls_the_connection_reaches_its_protocol() -> None:
    bench, transport, exchange = begun(length(1 << 20) + b"some")
    portions = transport.protocol
    assert isinstance(portions, Portions)
    portions.pause_writing()
    protocol = bench.dialer.dials[0].protocol
    assert protocol.write_paused
    portions.resume_writing()
    assert not protocol.write_paused
    assert not portions.eof_received()
    portions.connection_lost(None)
    assert exchange.calls[-1][:2] == ("failed", "UpstreamClosed")


def test_a_body_until_the_end_of_the_connection_comes_in_portions_too() -> None:
    _, transport, exchange = begun(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nsome")
    filled(transport, b" more")
    portions = transport.protocol
    assert isinstance(portions, Portions)
    portions.eof_received()
    assert exchange.calls[-1] == ("data", b"", True)
    assert exchange.body == b"some more"
