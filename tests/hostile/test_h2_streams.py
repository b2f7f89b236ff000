"""Hostile HTTP/2 streams beside the table: what each is taken for, and that nothing of them stays."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge.codec.h2.engine import MakeEngine
from edge.codec.h2.native import NativeEngine
from edge.codec.h2.pure import PureEngine
from edge.errors import BadRequest, DownstreamClosed
from edge.head import REPEAT_BYTES, ResponseHead
from tests.hostile.fake_h1 import AnsweringExchange, FakeExchange
from tests.hostile.fake_h2 import GET, POST, H2Edge, Heads, data, rst
from tests.hostile.h2_case import PROTOCOL

_ENGINES = [NativeEngine, PureEngine]


@pytest.mark.parametrize("cut", [1, 8, 9, 11, 12])
@pytest.mark.parametrize("engine", _ENGINES)
def test_a_reset_that_comes_in_two_pieces_is_the_clients(engine: MakeEngine, cut: int) -> None:
    """It was taken for one that a malformed request had provoked, told as such, and counted twice."""
    edge = H2Edge(FakeExchange, engine=engine)
    edge.send(edge.head(1, POST, False), data(1, b"x"))
    edge.send(rst(1)[:cut])
    failures = [edge.exchanges[0].failed]
    edge.send(rst(1)[cut:])
    failures.append(edge.exchanges[0].failed)
    assert [type(each) for each in failures] == [type(None), DownstreamClosed]
    assert edge.h2.engine._tap.resets == 1  # type: ignore[attr-defined]
    edge.exchanges.clear()
    edge.send(edge.head(3))
    edge.exchanges[0].downstream.send_head(ResponseHead(204, []), True)
    edge.settle()
    assert (edge.status(3), edge.goaway) == (204, None)


@pytest.mark.parametrize(
    ("unit", "waits"),
    [
        (lambda i, head: head(i, [*POST, (b"X", b"y")], False), False),
        (lambda i, head: head(i, [*GET[:2], (b":path", b"/\xff"), GET[3]], False), False),
        (lambda i, head: head(i, [*POST, (b"host", b"b")], False), False),
        (lambda i, head: head(i) + rst(i - 2) if i > 1 else head(i), False),
        (lambda i, head: head(i, POST, False) + (rst(i - 2) if i > 1 else b""), True),
    ],
    ids=["refused-by-the-engine", "refused-by-us", "answered", "reset-when-over", "reset"],
)
def test_streams_that_come_to_nothing_leave_nothing_behind(
    unit: Callable[[int, Heads], bytes], waits: bool
) -> None:
    """At a pace that is no flood, on a connection that stands for days."""
    edge = H2Edge(FakeExchange if waits else AnsweringExchange)
    for i in range(600):
        edge.send(unit(1 + 2 * i, edge.head))
        edge.wait(0.25)
    assert (edge.goaway, edge.unhandled) == (None, [])
    engine = edge.h2.engine
    assert isinstance(engine, NativeEngine)
    assert len(engine._tap._open) <= 257
    assert not engine._peers and len(engine._live) <= 1 and len(engine._own) <= 1


def test_a_malformed_head_counts_once() -> None:
    edge = H2Edge(AnsweringExchange)
    for i in range(200):
        edge.send(edge.head(1 + 2 * i, [*GET, (b"X", b"y")]))
    assert edge.goaway is None and edge.h2.engine._tap.resets == 200  # type: ignore[attr-defined]


@pytest.mark.parametrize("end", [False, True])
def test_a_body_that_is_not_its_length_is_refused_whatever_the_engine_lets_pass(end: bool) -> None:
    """Row 73 by our own count; the engine, which sees it first, is passed by."""
    edge = H2Edge(FakeExchange)
    edge.send(edge.head(1, [*POST, (b"content-length", b"3")], False))
    edge.h2.on_data(1, b"ab" if end else b"abcd", 0, end)
    edge.h2.wake()
    edge.settle()
    assert edge.resets == {1: PROTOCOL}
    assert edge.exchanges[0].body == b"" and isinstance(edge.exchanges[0].failed, BadRequest)


def test_a_long_head_is_not_kept_for_its_next_time() -> None:
    """Thousands of idle connections may have had one."""
    edge = H2Edge()
    plain, long = [*GET, (b"x-a", b"b")], [*GET, (b"x-long", b"v" * REPEAT_BYTES)]
    for i, fields in enumerate((plain, long, long, plain)):
        edge.send(edge.head(1 + 2 * i, fields))
        assert edge.exchanges[i].head.fields == fields[4:] and edge.status(1 + 2 * i) == 200
        assert edge.h2._repeat.listed == tuple(plain)
