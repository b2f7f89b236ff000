"""Every hostile HTTP/2 row against the second engine; where it answers otherwise, and why."""

from __future__ import annotations

from typing import Final

import pytest

from edge.codec.h2.pure import PureEngine
from tests.hostile.cases_h2 import CASES, Case
from tests.hostile.fake_h1 import AnsweringExchange, FakeExchange
from tests.hostile.fake_h2 import H2Edge
from tests.hostile.h2_case import PROTOCOL
from tests.hostile.test_h2 import check

LENGTH: Final = "h2 compares content-length with the body by itself; to it a fault is the connection's"
TRAILERS: Final = "h2 takes trailers that do not end the stream for a fault of the connection"
FRAMES: Final = "hyperframe has one error for every frame that it cannot read"

DIFFERS: Final[dict[str, str]] = {
    "4-length-'+5'": LENGTH,
    "4-length-'-5'": LENGTH,
    "4-length-'0x5'": LENGTH,
    "3-length-list": LENGTH,
    "4-length-'5 6'": LENGTH,
    "4-length-'5z'": LENGTH,
    "4-length-''": LENGTH,
    "73-more-data-than-length": LENGTH,
    "73-less-data-than-length": LENGTH,
    "73-more-data-in-two": LENGTH,
    "71-trailers-that-do-not-end": TRAILERS,
    "56-settings-ack-with-payload": FRAMES,
}
"""Rows for which it ends the connection with PROTOCOL_ERROR: harder than is asked for, never softer."""


def _played(case: Case, step: int) -> H2Edge:
    make = FakeExchange if case.waits else AnsweringExchange
    edge = H2Edge(make, greet=case.greet, engine=PureEngine)
    piece = case.send(edge.head)
    for at in range(0, len(piece), step):
        edge.send(piece[at : at + step])
    return edge


@pytest.mark.parametrize("step", [1 << 20, 7], ids=["whole", "pieces"])
@pytest.mark.parametrize("case", [case for case in CASES if case.id not in DIFFERS], ids=lambda case: case.id)
def test_gets_the_one_right_answer(case: Case, step: int) -> None:
    check(case, _played(case, step))


@pytest.mark.parametrize("case", [case for case in CASES if case.id in DIFFERS], ids=lambda case: case.id)
def test_a_row_that_differs_ends_the_connection_and_forwards_nothing_whole(case: Case) -> None:
    edge = _played(case, 1 << 20)
    assert edge.goaway == PROTOCOL != case.goaway
    edge.wait(2.0)
    assert edge.transport.closed
    assert edge.unhandled == []
    assert all(exchange.failed is not None or not exchange.ended for exchange in edge.exchanges)


def test_every_row_is_one_or_the_other() -> None:
    assert len(CASES) == 197
    assert len(DIFFERS) == 12
    assert set(DIFFERS) <= {case.id for case in CASES}
