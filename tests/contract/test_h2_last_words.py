"""The end of a connection, the same by both HTTP/2 engines: nothing follows it, nobody is told wrongly."""

from __future__ import annotations

import pytest

from edge.codec.h2.engine import MakeEngine
from edge.codec.h2.native import NativeEngine
from edge.codec.h2.pure import PureEngine
from edge.head import Field, ResponseHead
from tests.hostile.fake_h1 import FakeExchange
from tests.hostile.fake_h2 import GET, POST, H2Edge, data, frame, rst, window
from tests.hostile.h2_case import CALM

ENGINES = pytest.mark.parametrize("engine", [NativeEngine, PureEngine])
FIELDS: list[Field] = [(b"x-a", b"value-one"), (b"x-b", b"value-two")]
CRUMBS: list[Field] = [(b"a%d" % (number % 3), b"") for number in range(10_000)]


def _continued(block: bytes, stream_id: int, frames: int = 10) -> bytes:
    """A header block that goes on and on, each time with a new field."""
    return frame(1, block, stream_id, 1) + frame(9, b"\0\1a\1b", stream_id) * frames


def _ends_with_goaway(edge: H2Edge) -> bool:
    return edge.frames[-1].type == 7 and len(edge.goaways) == 1


@ENGINES
def test_an_early_answer_in_the_turn_of_the_goaway_does_not_follow_it(engine: MakeEngine) -> None:
    """It would be coded against a table that the 431 has emptied, and makes the server look twice."""
    edge = H2Edge(FakeExchange, engine=engine)
    edge.send(edge.head(1))
    edge.exchanges[0].downstream.send_head(ResponseHead(200, FIELDS), True)
    edge.settle()
    edge.send(edge.head(3, POST, False), edge.head(5))
    edge.h2.data_received(_continued(edge.head.block(GET), 7))
    edge.exchanges[1].downstream.send_head(ResponseHead(204, FIELDS), True)
    edge.exchanges[2].downstream.send_whole(ResponseHead(200, FIELDS, 2), b"ok")
    edge.settle()
    assert (edge.goaway, edge.status(7)) == (CALM, 431)
    assert _ends_with_goaway(edge)


@ENGINES
def test_nothing_is_taken_after_the_last_words_were(engine: MakeEngine) -> None:
    edge = H2Edge(FakeExchange, engine=engine)
    edge.send(edge.head(1), edge.head(3, POST, False))
    made = edge.h2.engine
    made.receive(_continued(edge.head.block(GET), 5))
    assert (made.over, made.take()[-1]) == (CALM, CALM)
    made.send_head(1, [(b":status", b"200"), *FIELDS], False)
    made.send_data(1, b"ok", True)
    made.credit(3, 40_000)
    made.reset(3, 8)
    made.notice()
    made.ping()
    made.goaway(0)
    assert made.take() + made.take() == b""


@ENGINES
def test_a_second_fault_in_one_piece_adds_no_second_goaway(engine: MakeEngine) -> None:
    """The reset of what is malformed is one too many; the frame behind it is wrong too."""
    edge = H2Edge(FakeExchange, engine=engine)
    for number in range(250):
        edge.send(edge.head(1 + 2 * number), rst(1 + 2 * number))
    edge.send(edge.head(501, [*GET, (b"connection", b"x")]), data(501, b"late"))
    assert _ends_with_goaway(edge)


@ENGINES
@pytest.mark.parametrize("cut", [0, 9, 60, 5_000])
@pytest.mark.parametrize("fields", [1_200, 10_000])
def test_a_good_request_behind_trailers_that_are_too_large_is_not_told_so(
    engine: MakeEngine, fields: int, cut: int
) -> None:
    """Also where only the end of the trailers comes with it."""
    edge = H2Edge(FakeExchange, engine=engine)
    edge.send(edge.head(1, POST, False))
    piece = edge.head(1, CRUMBS[:fields]) + edge.head(3)
    edge.send(piece[:cut])
    edge.send(piece[cut:])
    assert edge.goaway in (CALM, None)
    assert (edge.status(1), edge.status(3)) == (0, 0)
    assert edge.exchanges[0].failed is not None


@ENGINES
def test_trailers_without_end_are_no_reason_for_a_431_to_another(engine: MakeEngine) -> None:
    """Stream 3 came in the same piece: its head was malformed, not too large."""
    edge = H2Edge(FakeExchange, engine=engine)
    edge.send(edge.head(1, POST, False))
    edge.send(edge.head(3, [*GET, (b"X-Upper", b"1")]), _continued(edge.head.block([(b"x-a", b"b")]), 1))
    assert edge.goaway == CALM
    assert (edge.status(1), edge.status(3)) == (0, 0)


@ENGINES
def test_trailers_in_an_earlier_piece_do_not_cost_a_large_head_its_answer(engine: MakeEngine) -> None:
    edge = H2Edge(FakeExchange, engine=engine)
    edge.send(edge.head(1, POST, False), edge.head(1, [(b"x-a", b"b")]))
    edge.send(window(0, 1), _continued(edge.head.block(GET), 3))
    assert (edge.goaway, edge.status(3)) == (CALM, 431)
