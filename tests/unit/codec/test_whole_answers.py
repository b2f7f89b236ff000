"""An answer that is sent whole is, over every protocol, the one that its parts would have been."""

from __future__ import annotations

from typing import Any

import pytest

from edge.exchange.seams import Downstream
from edge.head import Fields, ResponseHead
from tests.hostile.cases_h1 import get
from tests.hostile.fake_h1 import Edge, FakeExchange
from tests.hostile.fake_h2 import GET, H2Edge
from tests.unit.codec.h3 import world as h3

HEADS = {
    "length": ResponseHead(200, [(b"x-a", b"b")], 2),
    "none": ResponseHead(200, []),
    "bodiless": ResponseHead(304, [], 2),
    "other length": ResponseHead(200, [], 3),
}


def _answer(downstream: Downstream, head: ResponseHead, trailers: Fields | None, whole: bool) -> None:
    if whole:
        downstream.send_whole(head, b"ok", trailers)
        return
    downstream.send_head(head, False)
    downstream.send_data(b"ok", trailers is None)
    if trailers is not None:
        downstream.send_trailers(trailers)


def _over_h1(
    head: ResponseHead, method: bytes, trailers: Fields | None, whole: bool, version: bytes = b"HTTP/1.1"
) -> Any:
    edge = Edge(FakeExchange)
    edge.feed(get(method=method, version=version))
    _answer(edge.exchanges[0].downstream, head, trailers, whole)
    return edge.transport.written, edge.ended


def _over_http_1_0(head: ResponseHead, method: bytes, trailers: Fields | None, whole: bool) -> Any:
    return _over_h1(head, method, trailers, whole, b"HTTP/1.0")


def _over_h2(head: ResponseHead, method: bytes, trailers: Fields | None, whole: bool) -> Any:
    edge = H2Edge(FakeExchange)
    edge.send(edge.head(1, [(b":method", method), *GET[1:]]))
    _answer(edge.exchanges[0].downstream, head, trailers, whole)
    edge.settle()
    assert 1 in edge.heads or 1 in edge.resets
    return edge.heads, edge.bodies, edge.ended_streams, edge.resets


def _over_h3(head: ResponseHead, method: bytes, trailers: Fields | None, whole: bool) -> Any:
    world = h3.World(FakeExchange)
    client = world.client()
    assert client.h3 is not None
    # aioquic's client does not know that answers to HEAD, and a 304, have a length and no body.
    client.h3._check_content_length = lambda stream: None  # type: ignore[method-assign]
    stream_id = client.request([(b":method", method), *h3.GET[1:]])
    world.settle()
    _answer(world.exchanges[0].downstream, head, trailers, whole)
    world.settle()
    assert client.heads(stream_id) or client.resets
    return client.heads(stream_id), client.body(stream_id), client.ended(stream_id), client.resets


@pytest.mark.parametrize("trailers", [None, [(b"x-sum", b"1")]], ids=["no trailers", "trailers"])
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("over", [_over_h1, _over_http_1_0, _over_h2, _over_h3])
def test_a_whole_answer_is_the_same_as_its_parts(
    over: Any, head: str, method: bytes, trailers: Fields | None
) -> None:
    assert over(HEADS[head], method, trailers, True) == over(HEADS[head], method, trailers, False)


@pytest.mark.parametrize("trailers", [None, [(b"x-sum", b"1")]], ids=["no trailers", "trailers"])
@pytest.mark.parametrize("over", [_over_h2, _over_h3])
def test_trailers_reach_the_client(over: Any, trailers: Fields | None) -> None:
    heads, body, ended, resets = over(HEADS["none"], b"GET", trailers, True)
    got = heads[1] if isinstance(heads, dict) else heads
    assert got == [[(b":status", b"200")], *([trailers] if trailers else [])]
    assert body in (b"ok", {1: b"ok"}) and ended and not resets
