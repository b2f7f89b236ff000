"""h3spec's cases, ported: 34 of QUIC and 16 of HTTP/3, each with the one code that is right."""

from __future__ import annotations

import pytest

from tests.conformance.h3 import http_cases, transport_cases
from tests.unit.codec.h3.world import World


@pytest.mark.parametrize("case", transport_cases.CASES, ids=lambda case: case.name)
@pytest.mark.row(76, 77)
def test_transport(case: transport_cases.Case) -> None:
    world = World()
    client = case.provoke(world)
    world.settle()
    assert client.closed is not None, "the connection lives"
    assert client.closed.error_code == case.code, client.closed
    assert client.closed.frame_type is not None, "closed by the application"
    _the_listener_lives(world)


@pytest.mark.parametrize("case", http_cases.CASES, ids=lambda case: case.name)
@pytest.mark.row(78, 79, 80, 84)
def test_http(case: http_cases.Case) -> None:
    world = World()
    client, stream_id = case.provoke(world)
    world.settle()
    if stream_id is None:
        assert client.closed is not None, "the connection lives"
        assert client.closed.error_code == case.code, client.closed
    else:
        assert client.closed is None
        assert client.resets == {stream_id: case.code}
        assert client.get() == (200, b"ok"), "other streams live"
    _the_listener_lives(world)


def _the_listener_lives(world: World) -> None:
    before = [exchange.upstream for exchange in world.exchanges]
    assert world.unhandled == []
    assert world.client().get() == (200, b"ok")
    assert before == [] or before == [world.exchanges[-1].upstream]


def test_every_case_ran() -> None:
    names = [case.name for case in (*transport_cases.CASES, *http_cases.CASES)]
    assert (len(transport_cases.CASES), len(http_cases.CASES)) == (34, 16)
    assert len(set(names)) == 50
