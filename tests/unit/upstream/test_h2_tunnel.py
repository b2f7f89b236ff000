"""WebSockets to HTTP/2 upstreams: extended CONNECT, as the h2 library sees it. Spec: RFC 8441."""

from __future__ import annotations

import pytest
from h2 import events

from edge import model
from edge.head import RequestHead
from tests.unit.upstream.fake_h2 import Peer
from tests.unit.upstream.fakes import Bench, Recorder

ACCEPT = (b"sec-websocket-accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
"""Of the key in RFC 6455 §1.3."""


@pytest.fixture
def bench() -> Bench:
    return Bench(protocol="h2", limits=model.Limits(body_idle_timeout_s=10.0))


def upgrade(protocol: bytes = b"websocket") -> RequestHead:
    fields = [(b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="), (b"sec-websocket-version", b"13")]
    return RequestHead(b"GET", b"http", b"shop.example", b"/chat", fields, upgrade=protocol)


class Heads(Recorder):
    """Keeps the fields of heads too."""

    def response_head(self, head: object, end: bool) -> None:
        self.fields = head.fields  # type: ignore[attr-defined]
        super().response_head(head, end)  # type: ignore[arg-type]


def test_a_websocket_is_an_extended_connect_and_its_200_a_101(bench: Bench) -> None:
    exchange = Heads()
    request = bench.cluster.dispatch(exchange, upgrade(), False, 0.0)
    peer = Peer(bench, enable_connect_protocol=1)
    (received,) = peer.of(events.RequestReceived)
    assert received.headers == [
        (b":method", b"CONNECT"),
        (b":protocol", b"websocket"),
        (b":scheme", b"http"),
        (b":authority", b"shop.example"),
        (b":path", b"/chat"),
        (b"sec-websocket-version", b"13"),
    ]
    peer.head(1, fields=[(b"sec-websocket-protocol", b"chat")])
    peer.pump()
    assert exchange.calls == [("head", 101, False)]
    assert exchange.fields == [(b"sec-websocket-protocol", b"chat"), (b"upgrade", b"websocket"), ACCEPT]
    request.send_data(b"ping", False)
    peer.pump()
    peer.h2.send_data(1, b"pong")
    peer.pump()
    request.send_data(b"", True)
    peer.pump()
    assert next(event.data for event in peer.of(events.DataReceived)) == b"ping"
    assert peer.of(events.StreamEnded)
    peer.h2.end_stream(1)
    peer.pump()
    assert exchange.calls[1:] == [("data", b"pong", False), ("data", b"", True)]


def test_a_tunnel_that_says_all_with_its_grant_is_one(bench: Bench) -> None:
    """Its end in the same read does not make a plain answer of it."""
    _, exchange = bench.send(upgrade(), end=False)
    peer = Peer(bench, enable_connect_protocol=1)
    peer.head(1)
    peer.h2.send_data(1, b"bye")
    peer.h2.send_data(1, b"", end_stream=True)
    peer.pump()
    assert exchange.calls == [("head", 101, False), ("data", b"bye", False), ("data", b"", True)]


def test_a_silent_tunnel_stays_even_after_a_pause(bench: Bench) -> None:
    request, exchange = bench.send(upgrade(), end=False, timeout_s=5.0)
    peer = Peer(bench, enable_connect_protocol=1)
    peer.head(1)
    peer.pump()
    request.pause_response()
    peer.h2.send_data(1, b"pong")
    peer.pump()
    request.resume_response()
    bench.end_turn()
    bench.time.pass_by(1000.0)
    assert exchange.calls == [("head", 101, False), ("data", b"pong", False)]


def test_a_websocket_that_is_not_granted_is_an_answer(bench: Bench) -> None:
    _, exchange = bench.send(upgrade(), end=False)
    peer = Peer(bench, enable_connect_protocol=1)
    peer.head(1, 403)
    peer.h2.send_data(1, b"no", end_stream=True)
    peer.pump()
    assert exchange.calls == [("head", 403, False), ("data", b"no", True)]
    assert [event.error_code for event in peer.of(events.StreamReset)] == [0]


@pytest.mark.parametrize("protocol", [b"websocket", b"other"])
def test_an_endpoint_or_a_protocol_that_cannot_is_a_502(bench: Bench, protocol: bytes) -> None:
    _, exchange = bench.send(upgrade(protocol), end=False)
    peer = Peer(bench)
    peer.pump()
    assert exchange.calls == [("failed", "UpstreamError", 502)]
    assert not peer.of(events.RequestReceived)


def test_no_byte_goes_before_the_grant(bench: Bench) -> None:
    request, exchange = bench.send(upgrade(), end=False)
    peer = Peer(bench, enable_connect_protocol=1)
    request.send_data(b"early", False)
    peer.pump()
    assert exchange.calls == [("failed", "EdgeError", 500)]
    assert not peer.of(events.DataReceived)


def test_leaving_and_losing_the_connection_before_the_settings(bench: Bench) -> None:
    first, left = bench.send(upgrade(), end=False)
    _, lost = bench.send(upgrade(), end=False)
    bench.connect()
    first.cancel()
    bench.dialer.dials[0].protocol.connection_lost(None)
    bench.end_turn()
    assert (left.calls, lost.calls, bench.open) == ([], [("failed", "UpstreamClosed", 502)], 0)
