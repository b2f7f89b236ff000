"""What no exchange ever saw is told of: its reason, its client, its protocol. Who is cut short knows."""

from __future__ import annotations

import pytest

from edge.codec.h2.engine import MakeEngine
from edge.codec.h2.native import NativeEngine
from edge.codec.h2.pure import PureEngine
from edge.errors import BadRequest, EdgeError
from tests.hostile.fake_h1 import FakeExchange
from tests.hostile.fake_h2 import GET, POST, H2Edge, data, frame, rst, window

Told = list[tuple[str, int, str]]


def told(edge: H2Edge) -> Told:
    assert set(edge.refused_clients) <= {(edge.h2.client, "HTTP/2")}
    assert len(edge.refused_clients) == len(edge.refused)
    return [_named(error) for error in edge.refused]


def _named(error: EdgeError) -> tuple[str, int, str]:
    return type(error).__name__, error.status, error.flag


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([*GET, (b"X-Upper", b"1")], id="by-the-engine"),
        pytest.param([*GET, (b"connection", b"x")], id="by-either"),
        pytest.param([*GET, (b":path", b"/")], id="a-second-path"),
    ],
)
def test_a_malformed_head_is_told_of_once_whoever_found_it(fields: list[tuple[bytes, bytes]]) -> None:
    edge = H2Edge()
    edge.send(edge.head(1, fields))
    assert told(edge) == [("Malformed", 400, "DPE")]
    assert (edge.resets, edge.exchanges) == ({1: 1}, [])


def test_streams_over_the_limit_are_told_of_one_by_one() -> None:
    edge = H2Edge(FakeExchange)
    edge.send(b"".join(edge.head(1 + 2 * number) for number in range(103)))
    edge.settle()
    while len(edge.exchanges) < 100:
        edge.settle()
    assert told(edge) == [("LimitExceeded", 0, "LM")] * 3


def test_a_request_that_was_reset_at_once_was_not_refused() -> None:
    edge = H2Edge()
    edge.send(edge.head(1) + rst(1))
    assert told(edge) == []


def test_a_flood_has_a_reason_of_its_own() -> None:
    edge = H2Edge()
    edge.send(b"".join(frame(6, b"12345678") for _ in range(1001)))
    assert edge.goaways == [(0, 11)]
    assert told(edge) == [("Flooded", 0, "DF")]


def test_a_connection_that_breaks_http2_has_another() -> None:
    edge = H2Edge()
    edge.send(window(0, 0))
    assert told(edge) == [("BadRequest", 400, "DPE")]


def test_what_comes_after_our_goodbye_was_not_refused() -> None:
    """It crossed with the GOAWAY that names the last stream, and is asked elsewhere."""
    edge = H2Edge(FakeExchange)
    assert isinstance(edge.h2.engine, NativeEngine)
    edge.send(edge.head(1))
    edge.h2.shutdown()
    edge.h2.on_ping_answered()
    edge.settle()
    edge.send(edge.head(3))
    assert told(edge) == []
    assert len(edge.exchanges) == 1


@pytest.mark.parametrize(
    "body",
    [data(1, b"ab"), data(1, b"ab", True), data(1, b"abcd", True)],
    ids=["less-then-trailers", "less", "more"],
)
@pytest.mark.parametrize("make", [NativeEngine, PureEngine])
def test_the_server_counts_for_itself_whatever_the_engine_says(make: MakeEngine, body: bytes) -> None:
    edge = H2Edge(FakeExchange, engine=make)
    edge.send(edge.head(1, [*POST, (b"content-length", b"3")], False))
    edge.send(body)
    if not edge.ended and not edge.resets:
        edge.send(edge.head(1, [(b"x-a", b"b")]))
    (exchange,) = edge.exchanges
    assert (exchange.ended, edge.unhandled) == (False, [])
    assert isinstance(exchange.failed, BadRequest)
