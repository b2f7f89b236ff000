"""Tunnels: what holds for an exchange after its 101, and at its end."""

from __future__ import annotations

from edge import model
from edge.chain.filter import Action
from edge.exchange.state import ExchangeState
from edge.head import ResponseHead
from tests.unit.chain.scripted import RESPONSE, Scripted
from tests.unit.exchange.fakes import World


def _tunnel(world: World) -> ExchangeState:
    exchange = world.request(end=False, upgrade=b"websocket")
    exchange.response_head(ResponseHead(101, [(b"upgrade", b"websocket")]), False)
    return exchange


def test_a_tunnel_that_upstream_ends_leaves_no_upstream_half_behind():
    world = World()
    exchange = _tunnel(world)
    exchange.response_data(b"bye", False)
    exchange.response_data(b"", True)
    assert world.client.events[-1] == ("data", b"", True)
    assert world.upstream.events[-1] == ("cancel",)
    assert len(world.notes.finished_exchanges) == 1


def test_a_tunnel_outlives_the_request_timeout():
    rule = model.Rule(name="all", matches=[model.Match()], cluster="shop", request_timeout_s=2.0)
    world = World(rule)
    exchange = _tunnel(world)
    world.advance(60)
    exchange.response_data(b"still here", False)
    assert world.client.events[-1] == ("data", b"still here", False)
    assert exchange.filed == float("inf")


def test_a_request_that_asks_for_a_tunnel_is_still_bounded_until_it_is_granted():
    rule = model.Rule(name="all", matches=[model.Match()], cluster="shop", request_timeout_s=2.0)
    world = World(rule)
    world.request(end=False, upgrade=b"websocket")
    world.advance(2.2)
    assert world.client.events[0][:2] == ("whole", 504)


def test_filters_that_held_back_the_101_do_not_see_what_the_tunnel_carries():
    """Later bytes pass them by: one that kept the first would turn their order round."""
    bound = Scripted(response_head=[Action.PAUSE], response_data=[Action.PAUSE] * 9)
    world = World(chain=(bound,))
    exchange = _tunnel(world)
    exchange.response_data(b"one", False)
    bound.filter.port.resume(RESPONSE)
    world.turn()
    exchange.response_data(b"two", False)
    assert world.client.events == [("head", 101, False), ("data", b"one", False), ("data", b"two", False)]
