"""Much that comes in one read is begun turn by turn, in its order, and nothing of it is lost."""

from __future__ import annotations

from itertools import pairwise

import pytest

from edge.codec.h2.engine import MakeEngine
from edge.codec.h2.native import NativeEngine
from edge.codec.h2.portions import FEW_HEADS, HEAD_UNITS, SEGMENT_BYTES, SMALL_BYTES, TURN_UNITS
from edge.codec.h2.pure import PureEngine
from edge.errors import DownstreamClosed
from edge.model import Limits
from tests.hostile.fake_h1 import AnsweringExchange, FakeExchange
from tests.hostile.fake_h2 import POST, H2Edge, data, frame, rst

AT_MOST = TURN_UNITS // HEAD_UNITS
MANY = 250


@pytest.fixture(params=[NativeEngine, PureEngine])
def engine(request: pytest.FixtureRequest) -> MakeEngine:
    made: MakeEngine = request.param
    return made


def _edge(engine: MakeEngine, make: type[FakeExchange] = AnsweringExchange, streams: int = MANY) -> H2Edge:
    return H2Edge(make, Limits(max_streams=streams), engine=engine)


def _heads(edge: H2Edge, count: int, first: int = 1) -> bytes:
    return b"".join(edge.head(first + 2 * number) for number in range(count))


def _a_turn(edge: H2Edge) -> None:
    """The end of one turn of the loop; what it leaves for the next one waits."""
    waiting, edge._soon[:] = list(edge._soon), []
    for callback in waiting:
        callback()


def test_of_many_heads_in_one_read_each_turn_begins_a_few_until_all_are_served(engine: MakeEngine) -> None:
    edge = _edge(engine)
    edge.h2.data_received(_heads(edge, MANY))
    turns = [len(edge.exchanges)]
    while edge._soon:
        _a_turn(edge)
        turns.append(len(edge.exchanges))
    begun = [after - before for before, after in zip([0, *turns], turns, strict=False)]
    assert max(begun) <= AT_MOST
    assert sum(begun) == MANY
    edge.settle()
    assert [edge.status(1 + 2 * number) for number in range(MANY)] == [200] * MANY
    assert [exchange.downstream.id for exchange in edge.exchanges] == list(range(1, 2 * MANY, 2))  # type: ignore[attr-defined]


def test_between_two_portions_the_loop_can_serve_others_and_answers_leave(engine: MakeEngine) -> None:
    edge = _edge(engine)
    edge.h2.data_received(_heads(edge, MANY))
    assert edge.exchanges == []
    for turns in (1, 2):
        _a_turn(edge)
        edge._parse()
        assert (len(edge.exchanges), len(edge.ended_streams)) == (turns * AT_MOST, turns * AT_MOST)


def test_nothing_is_read_while_something_waits(engine: MakeEngine) -> None:
    edge = _edge(engine)
    edge.h2.data_received(_heads(edge, MANY))
    paused = 0
    while len(edge.exchanges) < MANY:
        paused += not edge.transport.reading
        _a_turn(edge)
    assert paused > MANY // AT_MOST
    assert edge.transport.reading


def test_what_is_delivered_all_the_same_keeps_its_place(engine: MakeEngine) -> None:
    edge = _edge(engine)
    first, second = _heads(edge, MANY // 2), _heads(edge, MANY // 2, MANY + 1)
    edge.h2.data_received(first + second[:5])
    edge.h2.data_received(second[5:])
    edge.settle()
    assert (len(edge.exchanges), edge.goaway) == (MANY, None)


@pytest.mark.parametrize("at", [1, 9, 40, 300])
def test_heads_in_pieces_that_split_frames_are_all_served(engine: MakeEngine, at: int) -> None:
    edge = _edge(engine)
    heads = _heads(edge, MANY)
    edge.h2.data_received(heads[:-at])
    edge.settle()
    edge.h2.data_received(heads[-at:])
    edge.settle()
    assert (len(edge.exchanges), len(edge.ended_streams), edge.goaway) == (MANY, MANY, None)


def test_bodies_of_tiny_pieces_come_whole_and_turn_by_turn(engine: MakeEngine) -> None:
    edge = _edge(engine)
    pieces = b"".join(data(1, b"%04d" % number) for number in range(2000))
    edge.h2.data_received(edge.head(1, POST, False) + pieces + data(1, b"", True))
    lengths = []
    while edge._soon:
        _a_turn(edge)
        lengths.append(len(edge.exchanges[0].body))
    steps = [after - before for before, after in zip([0, *lengths], lengths, strict=False)]
    assert max(steps) <= 4 * TURN_UNITS
    assert edge.exchanges[0].body == b"".join(b"%04d" % number for number in range(2000))
    edge.settle()
    assert edge.status(1) == 200


def test_a_large_upload_is_no_crowd_of_frames(engine: MakeEngine) -> None:
    edge = _edge(engine, FakeExchange)
    edge.h2.data_received(edge.head(1, POST, False) + b"".join(data(1, b"x" * 16_000) for _ in range(4)))
    assert (len(edge.exchanges[0].body), edge.transport.reading) == (64_000, True)


def test_a_small_read_is_taken_whole(engine: MakeEngine) -> None:
    edge = _edge(engine)
    edge.send(edge.head(1))
    count = SMALL_BYTES // len(edge.head(3))
    heads = _heads(edge, count, 3)
    assert len(heads) <= SMALL_BYTES
    edge.h2.data_received(heads)
    assert (len(edge.exchanges), edge.transport.reading) == (1 + count, True)


def test_a_read_of_one_segment_is_taken_whole_where_it_cannot_hold_many_heads(engine: MakeEngine) -> None:
    edge = _edge(engine)
    edge.send(edge.head(1))
    calls = [edge.head(3 + 2 * n, POST, False) + data(3 + 2 * n, b"x" * 100, 1) for n in range(9)]
    read = b"".join(calls)
    assert SMALL_BYTES < len(read) <= SEGMENT_BYTES and read.count(1) <= FEW_HEADS
    edge.h2.data_received(read)
    assert (len(edge.exchanges), edge.transport.reading) == (10, True)


@pytest.mark.parametrize("flags", [4, 0x44])
def test_a_read_of_one_segment_that_may_hold_many_heads_goes_turn_by_turn(
    engine: MakeEngine, flags: int
) -> None:
    """Whatever flags a head has that nobody knows."""
    edge = _edge(engine)
    edge.send(edge.head(1))
    block = edge.head.block(POST)
    heads = b"".join(frame(1, block, 3 + 2 * n, flags) for n in range(60))
    assert SMALL_BYTES < len(heads) <= SEGMENT_BYTES
    edge.h2.data_received(heads)
    assert len(edge.exchanges) == 1
    begun = [1]
    while edge._soon:
        _a_turn(edge)
        begun.append(len(edge.exchanges))
    assert max(after - before for before, after in pairwise(begun)) <= AT_MOST
    assert begun[-1] == 61


def test_a_connection_lost_in_between_begins_nothing_more(engine: MakeEngine) -> None:
    edge = _edge(engine, FakeExchange)
    edge.h2.data_received(_heads(edge, MANY))
    _a_turn(edge)
    edge.transport.closed = True
    edge.h2.connection_lost(None)
    edge.settle()
    assert len(edge.exchanges) == AT_MOST
    assert all(isinstance(exchange.failed, DownstreamClosed) for exchange in edge.exchanges)


def test_a_fault_in_what_waits_ends_the_connection_after_what_came_before(engine: MakeEngine) -> None:
    edge = _edge(engine)
    edge.h2.data_received(_heads(edge, 3 * AT_MOST) + frame(0, b"x", 0) + _heads(edge, MANY, 1001))
    assert edge.goaway is None
    edge.settle()
    assert edge.goaways[-1][1] == 1
    assert len(edge.exchanges) == 3 * AT_MOST
    assert edge.transport.reading, "or what still comes would make the kernel cut the goodbye off"


def test_a_goaway_of_the_client_behind_its_requests_loses_none(engine: MakeEngine) -> None:
    edge = _edge(engine)
    edge.h2.data_received(_heads(edge, MANY) + frame(7, bytes(8)))
    edge.settle()
    assert len(edge.ended_streams) == MANY


def test_a_drain_in_between_serves_what_had_come(engine: MakeEngine) -> None:
    edge = _edge(engine)
    edge.h2.data_received(_heads(edge, MANY))
    edge.h2.shutdown()
    edge.settle()
    assert (len(edge.ended_streams), edge.goaways) == (MANY, [((1 << 31) - 1, 0)])
    edge.wait(2.0)
    assert edge.goaways[-1] == (2 * MANY - 1, 0)


def test_what_waits_counts_for_no_deadline_of_the_client(engine: MakeEngine) -> None:
    edge = _edge(engine)
    edge.h2.data_received(_heads(edge, MANY))
    _a_turn(edge)
    edge.now += edge.context.limits.head_timeout_s + 1
    edge.settle()
    assert (len(edge.ended_streams), edge.goaway) == (MANY, None)


def test_requests_that_came_with_their_resets_never_begin(engine: MakeEngine) -> None:
    edge = _edge(engine, FakeExchange)
    edge.send(b"".join(edge.head(1 + 2 * number) + rst(1 + 2 * number) for number in range(200)))
    assert (edge.exchanges, edge.goaway) == ([], None)


def test_streams_over_the_limit_are_refused_alone_whatever_the_turn(engine: MakeEngine) -> None:
    edge = _edge(engine, FakeExchange, 100)
    edge.send(_heads(edge, 120))
    assert len(edge.exchanges) == 100
    assert edge.resets == {1 + 2 * number: 7 for number in range(100, 120)}


def test_a_flood_ends_with_its_goodbye_though_more_of_it_waits(engine: MakeEngine) -> None:
    edge = _edge(engine, FakeExchange, 100)
    edge.send(_heads(edge, 100) + _heads(edge, 600, 201))
    assert edge.goaway == 11
    assert edge.goaways[-1][0] <= 2 * 600
    assert edge.transport.reading
