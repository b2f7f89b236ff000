"""Faults of edge itself, in any layer: the exchange ends, is counted once, and nothing is leaked."""

from __future__ import annotations

import pytest

from edge.chain.filter import Action
from edge.errors import UpstreamClosed
from edge.head import ResponseHead
from tests.unit.chain.scripted import REQUEST, Scripted
from tests.unit.exchange.fakes import World


class Fault(Exception):
    """What nobody expected."""


def _fault(*_: object) -> Action:
    raise Fault("in a filter")


def _world(**script: list[object]) -> World:
    world = World(chain=(Scripted(**script),))  # type: ignore[arg-type]
    world.services.unhandled = world.faults.append
    return world


def _ended_by_fault(world: World) -> None:
    assert [type(fault) for fault in world.faults] == [Fault]
    assert world.client.events[-1] == ("reset", "EI")
    assert len(world.notes.finished_exchanges) == 1
    assert world.revision.active == 0


def test_a_fault_while_a_request_is_taken_in_leaves_nothing_active():
    world = _world(request_head=[_fault])
    with pytest.raises(Fault):
        world.request()
    assert len(world.notes.finished_exchanges) == 1
    assert world.revision.active == 0


def test_a_fault_while_tracing_begins_leaves_nothing_active():
    class Tracing:
        def begin(self, exchange, head):
            raise Fault("in tracing")

    world = World()
    world.revision.tracing = Tracing()
    with pytest.raises(Fault):
        world.request()
    assert world.revision.active == 0


@pytest.mark.parametrize("phase", ["response_head", "response_data"])
@pytest.mark.parametrize("whole", [True, False])
def test_a_fault_on_the_way_back_resets_the_exchange_and_spares_the_upstream(phase, whole):
    world = _world(**{phase: [_fault]})
    exchange = world.request()
    if whole:
        exchange.response_whole(ResponseHead(200, [], 2), b"ok")
    else:
        exchange.response_head(ResponseHead(200, [], 2), False)
        exchange.response_data(b"ok", True)
    _ended_by_fault(world)


def test_a_fault_at_the_trailers_resets_the_exchange():
    world = _world(response_trailers=[_fault])
    exchange = world.request()
    exchange.response_head(ResponseHead(200, []), False)
    exchange.response_trailers([(b"x-sum", b"1")])
    _ended_by_fault(world)


def test_a_fault_in_the_reply_to_a_failed_upstream_resets_the_exchange():
    world = _world(response_head=[_fault])
    exchange = world.request()
    exchange.upstream_failed(UpstreamClosed("gone"))
    assert [type(fault) for fault in world.faults] == [Fault]
    assert world.client.events[-1] == ("reset", "EI")
    assert world.revision.active == 0


def test_a_fault_after_a_resume_resets_the_exchange():
    world = _world(request_head=[Action.PAUSE], request_data=[_fault])
    exchange = world.request(end=False)
    exchange.request_data(b"body", True)
    exchange.chain._request.places[0].resume(REQUEST)
    world.turn()
    _ended_by_fault(world)


def test_a_fault_when_a_pause_expires_resets_the_exchange():
    world = _world(request_head=[Action.PAUSE], response_head=[_fault])
    world.request()
    world.advance(6)
    assert [type(fault) for fault in world.faults] == [Fault]
    assert world.client.events[-1] == ("reset", "EI")
    assert world.revision.active == 0


def test_a_filter_that_fails_at_its_end_does_not_keep_the_revision_alive():
    world = _world()
    exchange = world.request()
    exchange.chain._request.places[0].filter.done = _fault
    with pytest.raises(Fault):
        exchange._finish()
    assert world.revision.active == 0
    assert len(world.notes.finished_exchanges) == 1


def test_a_client_side_that_fails_while_it_is_reset_does_not_keep_the_revision_alive():
    world = World()
    world.services.unhandled = world.faults.append
    exchange = world.request()
    world.client.send_head = world.client.reset = _fault
    exchange.response_head(ResponseHead(200, [], 2), False)
    assert [type(fault) for fault in world.faults] == [Fault, Fault]
    assert world.revision.active == 0
