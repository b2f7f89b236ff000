"""HTTP/3 before the real pipeline: the seams fit."""

from __future__ import annotations

from edge import model
from edge.head import ResponseHead
from tests.unit.codec.h3.world import GET, World
from tests.unit.exchange.fakes import World as Pipelines

POST = [(b":method", b"POST"), *GET[1:]]


def test_requests_pass_the_pipeline_both_ways() -> None:
    pipelines = Pipelines()
    world = World()
    world.context.accept = pipelines.pipeline.accept
    client = world.client()
    stream_id = client.request(POST, b"hello")
    world.settle()
    upstream = pipelines.upstream
    assert upstream.head.protocol == "HTTP/3"
    assert upstream.head.get(b"x-forwarded-for") == b"198.51.100.7"
    assert upstream.events == [("head", b"/", False), ("data", b"hello", True)]
    (exchange,) = _exchanges(world)
    exchange.response_head(ResponseHead(200, [(b"x-a", b"b")], 5), False)
    exchange.response_data(b"world", True)
    world.settle()
    assert (client.status(stream_id), client.body(stream_id)) == (200, b"world")
    (finished,) = pipelines.notes.finished_exchanges
    assert (finished.status, finished.bytes_in, finished.bytes_out) == (200, 5, 5)


def test_edges_own_answers_reach_the_client() -> None:
    pipelines = Pipelines(model.Rule(name="x", matches=[model.Match(path=b"/only")], cluster="shop"))
    world = World()
    world.context.accept = pipelines.pipeline.accept
    assert world.client().get(b"/elsewhere") == (404, b"not available\n")
    limited = Pipelines(body_bytes=3)
    world.context.accept = limited.pipeline.accept
    client = world.client()
    stream_id = client.request(POST, b"hello")
    world.settle()
    assert client.status(stream_id) == 413
    assert client.ended(stream_id) and world.unhandled == []


def _exchanges(world: World) -> list[object]:
    (seat,) = set(world.host._by_cid.values())
    return [stream._exchange for stream in seat._streams.values()]
