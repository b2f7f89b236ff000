"""Every hostile HTTP/3 row in memory; afterwards another client is served and nothing was unhandled."""

from __future__ import annotations

import pytest

from tests.hostile.cases_h3 import CASES, Case
from tests.hostile.fake_h1 import seen_of
from tests.unit.codec.h3.world import Client, World


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_gets_the_one_right_answer(case: Case) -> None:
    world = World()
    client = world.client()
    stream_id = case.send(client)
    world.settle()
    _check_answer(case, client, stream_id)
    _check_upstream(case, world)
    assert world.unhandled == []
    if case.close is None:
        assert client.get(b"/same-connection") == (200, b"ok")
    assert world.client().get(b"/another-client") == (200, b"ok")


def _check_answer(case: Case, client: Client, stream_id: int) -> None:
    if case.close is not None:
        assert client.closed is not None
        assert client.closed.error_code == case.close, client.closed
        return
    assert client.closed is None
    if case.reset is not None:
        assert client.resets == {stream_id: case.reset}
    else:
        assert client.status(stream_id) == case.status
        assert client.ended(stream_id)
        assert client.resets == {}


def _check_upstream(case: Case, world: World) -> None:
    seen = [seen_of(exchange) for exchange in world.exchanges]
    for exchange, request in zip(world.exchanges, seen, strict=True):
        assert request.complete or exchange.failed is not None, "left in doubt"
    complete = [request for request in seen if request.complete]
    assert [request.target for request in complete] == ([] if case.forwarded is None else [case.forwarded])
    for request in complete:
        names = {name for name, _ in (*request.fields, *request.trailers)}
        assert set(case.present) <= set(request.fields)
        assert names.isdisjoint(case.absent)
        assert [value for name, value in request.fields if name == b"host"] == [b"a"]


def test_every_row_of_the_list_ran() -> None:
    assert len(CASES) == 165
    assert len({case.id for case in CASES}) == len(CASES)
