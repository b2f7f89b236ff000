"""When an upstream was asked and when it had said all: what a trace shows as its time."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from edge.errors import UpstreamClosed
from edge.head import RequestHead, ResponseHead
from edge.pipeline import Exchange
from tests.unit.exchange.fakes import World

NS = 1_000_000_000
ASKED_NS = 1000 * NS


class _Tracing:
    def begin(self, exchange: Exchange, head: RequestHead) -> None:
        exchange.sampled = True
        exchange.trace = SimpleNamespace(upstream_sent_ns=0, upstream_ended_ns=0)  # type: ignore[assignment]

    def finish(self, exchange: Exchange) -> None:
        pass


def _whole(exchange: Exchange, world: World) -> None:
    exchange.response_whole(ResponseHead(200, []), b"ok")


def _in_parts(exchange: Exchange, world: World) -> None:
    exchange.response_head(ResponseHead(200, []), False)
    exchange.response_data(b"ok", True)


def _trailers(exchange: Exchange, world: World) -> None:
    exchange.response_head(ResponseHead(200, []), False)
    exchange.response_trailers([(b"x-end", b"1")])


def _no_body(exchange: Exchange, world: World) -> None:
    exchange.response_head(ResponseHead(204, []), True)


def _fails(exchange: Exchange, world: World) -> None:
    exchange.upstream_failed(UpstreamClosed("gone"))


@pytest.mark.parametrize("ends", [_whole, _in_parts, _trailers, _no_body, _fails])
def test_a_trace_knows_when_its_upstream_began_and_ended(ends) -> None:
    world = World()
    world.revision.tracing = _Tracing()
    exchange = world.request()
    trace = exchange.trace
    assert (trace.upstream_sent_ns, trace.upstream_ended_ns) == (ASKED_NS, 0)
    world.now += 3
    ends(exchange, world)
    world.now += 5
    assert exchange.finished
    assert (trace.upstream_sent_ns, trace.upstream_ended_ns) == (ASKED_NS, ASKED_NS + 3 * NS)


@pytest.mark.parametrize("ends", [_whole, _in_parts, _trailers, _no_body, _fails])
def test_without_a_trace_nothing_asks_for_the_wall_clock(ends) -> None:
    world = World()
    world.services.wall_ns = pytest.fail
    exchange = world.request()
    ends(exchange, world)
    assert (exchange.finished, world.faults) == (True, [])
