"""F10 on HTTP/1.1: bodies sent and answers read too slowly, in process."""

from __future__ import annotations

import pytest

from edge.errors import DownstreamTimeout
from edge.head import ResponseHead
from edge.model import Limits
from tests.hostile.fake_h1 import Edge, FakeExchange

LIMITS = Limits(min_rate_bytes_s=500, rate_window_s=10.0, body_idle_timeout_s=60.0, send_timeout_s=60.0)
HEAD = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"


class Uploaded(FakeExchange):
    """Says what a real exchange says of its request's body."""

    in_no_hurry = False

    def body_progress(self) -> int | None:
        return None if self.in_no_hurry else len(self.body)


def edge_with(data: bytes, limits: Limits = LIMITS) -> tuple[Edge, Uploaded]:
    edge = Edge(Uploaded, limits)
    edge.feed(data)
    (exchange,) = edge.exchanges
    assert isinstance(exchange, Uploaded)
    return edge, exchange


def drip(edge: Edge, size: int, seconds: float, piece: bytes = b"x") -> None:
    """`size` bytes every second."""
    for _ in range(int(seconds)):
        if edge.transport.eof_written or edge.transport.closed:
            return
        edge.feed(piece * size)
        edge.wait(1.0)


FRAMINGS = {"length": (HEAD, b"x"), "chunked": (CHUNKED, b"1\r\nx\r\n")}


@pytest.mark.parametrize(("head", "piece"), FRAMINGS.values(), ids=FRAMINGS)
def test_a_byte_a_second_is_408_after_a_window(head: bytes, piece: bytes) -> None:
    edge, exchange = edge_with(head)
    drip(edge, 1, 9, piece)
    assert edge.transport.written == b""
    drip(edge, 1, 5, piece)
    assert edge.transport.written.startswith(b"HTTP/1.1 408 ")
    assert isinstance(exchange.failed, DownstreamTimeout)


def test_a_head_without_any_body_is_408_too() -> None:
    edge, exchange = edge_with(HEAD)
    edge.wait(11.0)
    assert edge.transport.written.startswith(b"HTTP/1.1 408 ")
    assert isinstance(exchange.failed, DownstreamTimeout)


def test_500_bytes_a_second_are_enough() -> None:
    edge, exchange = edge_with(HEAD)
    drip(edge, 520, 120)
    assert (edge.transport.written, exchange.failed) == (b"", None)


def test_bursts_count_by_their_mean() -> None:
    edge, exchange = edge_with(HEAD)
    for _ in range(8):
        edge.feed(b"x" * 6000)
        edge.wait(9.0)
    assert (edge.transport.written, exchange.failed) == (b"", None)


def test_whoever_need_not_hurry_has_the_idle_time() -> None:
    edge, exchange = edge_with(HEAD)
    exchange.in_no_hurry = True
    drip(edge, 1, 200)
    assert (edge.transport.written, exchange.failed) == (b"", None)
    edge.wait(61.0)
    assert edge.transport.written.startswith(b"HTTP/1.1 408 ")


def test_a_client_that_waits_for_100_may_wait() -> None:
    edge, exchange = edge_with(HEAD.replace(b"\r\n\r\n", b"\r\nexpect: 100-continue\r\n\r\n"))
    edge.wait(59.0)
    assert (edge.transport.written, exchange.failed) == (b"", None)


def test_a_rate_of_0_asks_for_nothing() -> None:
    edge, exchange = edge_with(HEAD, Limits(min_rate_bytes_s=0, body_idle_timeout_s=60.0))
    drip(edge, 1, 100)
    assert (edge.transport.written, exchange.failed) == (b"", None)


def reading(unsent: int, limits: Limits = LIMITS) -> tuple[Edge, Uploaded]:
    """An answer of which the client has not taken `unsent` bytes."""
    edge, exchange = edge_with(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", limits)
    exchange.downstream.send_head(ResponseHead(200, []), False)
    exchange.downstream.send_data(b"x" * unsent, False)
    edge.transport.unsent = unsent
    edge.server.pause_writing()
    return edge, exchange


def test_an_answer_read_a_byte_a_second_is_cut() -> None:
    edge, exchange = reading(300_000)
    for _ in range(12):
        edge.transport.unsent -= 1
        edge.wait(1.0)
    assert edge.transport.aborted
    assert isinstance(exchange.failed, DownstreamTimeout)


def pass_by(edge: Edge, seconds: int) -> None:
    """Second by second, as time does."""
    for _ in range(seconds):
        edge.wait(1.0)


def test_a_download_may_pause_and_go_on() -> None:
    edge, exchange = reading(300_000)
    for _ in range(5):
        edge.transport.unsent -= 2_000  # what the kernel still took
        pass_by(edge, 45)
        assert (edge.transport.aborted, exchange.failed) == (False, None)
        edge.transport.unsent -= 20_000
        pass_by(edge, 12)
    assert not edge.transport.aborted


def test_a_download_that_pauses_for_longer_is_cut() -> None:
    edge, exchange = reading(300_000)
    pass_by(edge, 58)
    assert not edge.transport.aborted
    pass_by(edge, 4)
    assert edge.transport.aborted
    assert isinstance(exchange.failed, DownstreamTimeout)


@pytest.mark.parametrize(
    ("limits", "cut_s"),
    [(Limits(send_timeout_s=30.0), 30), (Limits(send_timeout_s=60.0, body_idle_timeout_s=20.0), 20)],
    ids=["sendTimeout", "bodyIdleTimeout"],
)
def test_how_long_a_pause_may_be_is_configured(limits: Limits, cut_s: int) -> None:
    edge, _ = reading(300_000, limits)
    pass_by(edge, cut_s - 2)
    assert not edge.transport.aborted
    pass_by(edge, 4)
    assert edge.transport.aborted


def test_pauses_between_sips_are_one_pause() -> None:
    """However a client divides what is too little: without a good window it has a minute."""
    edge, _ = reading(300_000)
    for second in range(64):
        if second % 10 == 1:
            edge.transport.unsent -= 4_000
        if edge.transport.aborted:
            break
        pass_by(edge, 1)
    assert edge.transport.aborted and second >= 58


def test_an_answer_read_at_the_least_rate_is_not() -> None:
    edge, _ = reading(300_000)
    for _ in range(200):
        edge.transport.unsent -= 520
        edge.wait(1.0)
    assert not edge.transport.aborted
    edge.server.resume_writing()
    edge.wait(20.0)
    assert not edge.transport.aborted
