"""Every hostile HTTP/2 row against the codec, in one piece and byte by byte."""

from __future__ import annotations

import pytest

from edge.codec.h2.engine import MakeEngine
from edge.codec.h2.native import NativeEngine
from edge.codec.h2.pure import PureEngine
from edge.errors import DownstreamTimeout
from edge.head import ResponseHead
from edge.model import Limits
from tests.hostile.cases_h2 import CASES, FLOODS, Case, Flood
from tests.hostile.fake_h1 import AnsweringExchange, FakeExchange, seen_of
from tests.hostile.fake_h2 import GET, POST, H2Edge, data, settings, window
from tests.hostile.h2_case import CALM

PROBE = 9_999


def check(case: Case, edge: H2Edge) -> None:
    assert edge.unhandled == []
    assert edge.goaway == case.goaway
    assert {i: edge.status(i) for i in case.statuses} == case.statuses
    if case.goaway is None:
        assert edge.resets == case.resets
        _check_alive(case, edge)
    else:
        assert edge.resets.keys() <= {1}
        edge.wait(2.0)
        assert edge.transport.closed
    _check_upstream(case, edge)


def _check_alive(case: Case, edge: H2Edge) -> None:
    """Other streams of the connection go on."""
    if not case.waits:
        edge.send(edge.head(PROBE, [*GET[:2], (b":path", b"/probe"), GET[3]]))
        assert edge.status(PROBE) == 200
        assert edge.exchanges.pop().head.path == b"/probe"


def _check_upstream(case: Case, edge: H2Edge) -> None:
    seen = [seen_of(exchange) for exchange in edge.exchanges]
    complete = [request for request in seen if request.complete]
    if case.goaway is None:
        assert tuple(request.target for request in complete) == case.forwarded
    for exchange, request in zip(edge.exchanges, seen, strict=True):
        assert request.complete or exchange.failed is not None, "left in doubt"
    assert not case.fails or edge.exchanges[-1].failed is not None
    if complete and (case.present or case.absent):
        fields = [*complete[-1].fields, *complete[-1].trailers]
        assert set(case.present) <= set(fields)
        assert {name for name, _ in fields}.isdisjoint(case.absent)


def _edge(case: Case) -> H2Edge:
    return H2Edge(FakeExchange if case.waits else AnsweringExchange, greet=case.greet)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_gets_the_one_right_answer_in_one_piece(case: Case) -> None:
    edge = _edge(case)
    edge.send(case.send(edge.head))
    check(case, edge)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_gets_the_same_answer_in_small_pieces(case: Case) -> None:
    edge = _edge(case)
    piece = case.send(edge.head)
    step = 1 if len(piece) < 1000 else 97
    for at in range(0, len(piece), step):
        edge.send(piece[at : at + step])
    check(case, edge)


@pytest.mark.parametrize("flood", FLOODS, ids=lambda flood: flood.id)
def test_ends_a_flood_early(flood: Flood) -> None:
    edge = H2Edge(FakeExchange if flood.waits else AnsweringExchange)
    edge.send(flood.opening(edge.head))
    sent = 0
    while edge.goaway is None and sent < 5_000:
        edge.send(flood.unit(sent, edge.head))
        sent += 1
    assert (edge.goaway, edge.unhandled) == (flood.code, [])
    assert sent <= flood.at_most
    assert all(exchange.ended or exchange.failed for exchange in edge.exchanges)
    edge.wait(2.0)
    assert edge.transport.closed


@pytest.mark.parametrize("flood", FLOODS, ids=lambda flood: flood.id)
def test_bears_the_same_frames_from_a_patient_client(flood: Flood) -> None:
    edge = H2Edge(AnsweringExchange)
    edge.send(flood.opening(edge.head))
    for i in range(8):
        edge.send(flood.unit(i, edge.head))
        edge.wait(2.0)
    assert edge.goaway is None
    edge.send(edge.head(PROBE))
    assert edge.status(PROBE) == 200


def test_requests_reset_in_the_same_piece_never_start() -> None:
    edge = H2Edge(FakeExchange)
    edge.send(
        b"".join(
            edge.head(1 + 2 * i) + b"\0\0\4\3\0\0\0%c%c\0\0\0\x08" % divmod(1 + 2 * i, 256)
            for i in range(200)
        )
    )
    assert (edge.exchanges, edge.goaway) == ([], None)


@pytest.mark.row(44, 59)
def test_data_after_an_early_answer_leaves_the_connection_usable() -> None:
    edge = H2Edge(FakeExchange)
    edge.send(edge.head(1, POST, False))
    edge.exchanges[0].downstream.send_whole(ResponseHead(413, [], 3), b"no\n")
    edge.settle()
    assert (edge.status(1), edge.bodies[1], edge.resets) == (413, b"no\n", {1: 0})
    assert 1 in edge.ended_streams
    edge.send(data(1, b"late" * 4000), data(1, b"later", True))
    edge.send(edge.head(3))
    edge.exchanges[1].downstream.send_head(ResponseHead(204, []), True)
    edge.settle()
    assert (edge.status(3), edge.goaway) == (204, None)


@pytest.mark.parametrize("engine", [NativeEngine, PureEngine])
def test_no_other_request_is_told_that_it_was_too_large(engine: MakeEngine) -> None:
    """Row 54: what came before it in the same piece goes without an answer, and never gets its one."""
    edge = H2Edge(FakeExchange, engine=engine)
    crumbs = [(b"cookie", b"a=%d" % (i % 7)) for i in range(10_000)]
    edge.send(edge.head(1), edge.head(3, [*GET, *crumbs]))
    assert edge.goaway == CALM
    assert edge.heads == {3: [[(b":status", b"431")]]}


def test_where_it_is_not_sure_whose_head_was_too_large_nobody_is_told() -> None:
    edge = H2Edge(FakeExchange)
    edge.send(edge.head(1, [*GET, (b"X", b"v")]), edge.head(3, [*GET, *[(b"cookie", b"a")] * 10_000]))
    assert (edge.goaway, edge.heads) == (CALM, {})


@pytest.mark.parametrize("engine", [NativeEngine, PureEngine])
def test_trailers_that_are_too_large_are_not_answered_as_a_head(engine: MakeEngine) -> None:
    edge = H2Edge(FakeExchange, engine=engine)
    edge.send(edge.head(1, POST, False))
    edge.send(edge.head(1, [(b"x-a", b"b")] * 10_000))
    assert (edge.goaway, edge.heads) == (CALM, {})
    assert edge.exchanges[0].failed is not None


@pytest.mark.parametrize("engine", [NativeEngine, PureEngine])
def test_a_client_without_a_table_can_read_that_its_head_was_too_large(engine: MakeEngine) -> None:
    """The answer is made by no encoder: it must keep to the table size the client has asked for."""
    edge = H2Edge(engine=engine, client_settings={1: 0})
    edge._decoder.max_allowed_table_size = 0
    edge.send(edge.head(1, [*GET, *[(b"cookie", b"a")] * 10_000]))
    assert (edge.goaway, edge.status(1)) == (CALM, 431)


def pass_by(edge: H2Edge, seconds: int) -> None:
    """Second by second, as time does."""
    for _ in range(seconds):
        edge.wait(1.0)


@pytest.mark.parametrize("size", [0, 1], ids=["no-window", "a-byte-of-window"])
@pytest.mark.row(68)
def test_a_client_that_does_not_read_is_cut_off(size: int) -> None:
    """Row 68: its stream is reset in time, and it never makes us hold more than a window."""
    edge = H2Edge(FakeExchange, client_settings={4: size})
    edge.send(edge.head(1), edge.head(3))
    slow, other = edge.exchanges
    slow.downstream.send_head(ResponseHead(200, []), False)
    sent = 0
    while not slow.paused and sent < 1 << 20:
        slow.downstream.send_data(b"x" * 8192, False)
        sent += 8192
        edge.settle()
    assert sent <= 80 << 10
    pass_by(edge, 58)
    assert edge.resets == {}
    pass_by(edge, 4)
    assert edge.resets == {1: 8}
    assert isinstance(slow.failed, DownstreamTimeout)
    other.downstream.send_head(ResponseHead(204, []), True)
    edge.settle()
    assert edge.status(3) == 204


def test_more_data_than_the_window_ends_the_connection() -> None:
    """Row 61: nobody takes what came, so nothing was granted."""
    edge = H2Edge(FakeExchange)
    edge.send(edge.head(1, POST, False))
    edge.exchanges[0].downstream.pause_request()
    edge.send(data(1, b"x" * 16384) * 4)
    assert (edge.goaway, edge.exchanges[0].body) == (None, b"")
    edge.send(data(1, b"x"))
    assert edge.goaway == 3


def test_a_small_answer_nobody_reads_is_cut_off_too() -> None:
    edge = H2Edge(client_settings={4: 0})
    edge.send(edge.head(1))
    assert edge.bodies == {}
    pass_by(edge, 62)
    assert edge.resets == {1: 8}


def test_a_client_that_takes_a_byte_a_second_is_cut_off_after_a_window() -> None:
    """F10: it has not paused, it is slow."""
    edge = H2Edge(FakeExchange, client_settings={4: 0})
    edge.send(edge.head(1))
    (exchange,) = edge.exchanges
    exchange.downstream.send_whole(ResponseHead(200, [], 1000), b"x" * 1000)
    edge.settle()
    for _ in range(12):
        edge.send(window(1, 1))
        edge.wait(1.0)
        if edge.resets:
            break
    assert edge.resets == {1: 8} and 8 <= len(edge.bodies[1]) <= 12


def test_without_a_least_rate_a_client_that_takes_a_little_now_and_then_is_served() -> None:
    edge = H2Edge(client_settings={4: 0}, limits=Limits(min_rate_bytes_s=0))
    edge.send(edge.head(1))
    edge.wait(200.0)
    edge.send(window(1, 1))
    edge.wait(200.0)
    edge.send(window(1, 1))
    assert (edge.bodies[1], edge.resets) == (b"ok", {})


def test_a_head_that_never_ends_is_cut_off() -> None:
    edge = H2Edge()
    edge.send(b"\0\0\xff\1\4\0\0\0\1" + b"\x82")
    edge.wait(9.0)
    assert not edge.transport.closed
    edge.wait(2.0)
    assert edge.transport.closed


def test_a_preface_that_never_comes_is_cut_off() -> None:
    edge = H2Edge(greet=False)
    edge.send(settings()[:0])
    edge.wait(11.0)
    assert edge.transport.closed


def test_a_body_that_never_comes_is_answered_408() -> None:
    edge = H2Edge(FakeExchange)
    edge.send(edge.head(1, POST, False), data(1, b"x"))
    edge.wait(301.0)
    assert edge.status(1) == 408
    assert isinstance(edge.exchanges[0].failed, DownstreamTimeout)


def test_every_row_of_the_list_ran() -> None:
    assert (len(CASES), len(FLOODS)) == (197, 21)
    assert len({case.id for case in [*CASES, *FLOODS]}) == len(CASES) + len(FLOODS)
