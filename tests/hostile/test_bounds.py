"""What rows 63, 64, 68 and 83 may make edge keep: their own numbers, in memory.

Measured is what Python has allocated meanwhile at its most, the client's share of it included where it lives
in the same process; or, where bytes only wait, those bytes themselves. What the libraries in C keep by
themselves, and the process as a whole, is measured live in test_live_bounds.py.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from edge.codec.h2.codes import DECODED_FIELDS
from edge.codec.h2.engine import MakeEngine
from edge.codec.h2.native import NativeEngine
from edge.codec.h2.pure import PureEngine
from edge.codec.h3.wire import varint
from edge.head import ResponseHead
from edge.upstream.portions import PORTION_BYTES
from tests.hostile import cases_h2, cases_h3
from tests.hostile.fake_h1 import AnsweringExchange, FakeExchange
from tests.hostile.fake_h2 import GET, H2Edge, frame
from tests.hostile.h2_case import CALM
from tests.unit.codec.h3.world import World

MOST_BYTES: Final = 1 << 20
"""Rows 63 and 83."""
HELD_BYTES: Final = 64 << 10
"""Rows 64 and 68: of a decoded head, of an answer that is not read."""
SENT_BYTES: Final = 4 << 20
"""A client that is not stopped would go on for so long."""
_FIELD_BYTES: Final = 160
"""What Python adds to a decoded field: a pair, two strings of bytes and their places, without the bytes."""
_TOO_LARGE: Final = 431
_ENGINES: Final = [NativeEngine, PureEngine]


class _Most:
    """`bytes` at the most, once the block is over."""

    bytes = 0


@contextmanager
def allocated() -> Iterator[_Most]:
    """What is allocated inside, at its most at once."""
    most = _Most()
    gc.collect()
    tracemalloc.start()
    try:
        yield most
        most.bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [0, 1, 1_000, 16_384])
@pytest.mark.parametrize("engine", _ENGINES)
def test_row_63_continuations_for_ever(engine: MakeEngine, size: int) -> None:
    edge = H2Edge(engine=engine)
    edge.send(frame(1, edge.head.block(GET), 1, 1))
    piece = frame(9, (b"\0\x01a\x7f\x81\x7e" + b"v" * 16_256)[:size].ljust(size, b"v"), 1)
    sent = 0
    with allocated() as most:
        while edge.goaway is None and sent < SENT_BYTES:
            edge.send(piece)
            sent += len(piece)
    assert most.bytes < MOST_BYTES
    assert edge.goaway == CALM
    assert edge.exchanges == []


_BOMBS: Final = [case for case in cases_h2.CASES if case.number == 64]


@pytest.mark.parametrize("step", [1 << 20, 97], ids=["whole", "pieces"])
@pytest.mark.parametrize("case", _BOMBS, ids=lambda case: case.id)
@pytest.mark.parametrize("engine", _ENGINES)
def test_row_64_what_a_bomb_decodes_to(engine: MakeEngine, case: cases_h2.Case, step: int) -> None:
    """Bytes of fields count as they are; of the objects that hold them there are so many fields at most."""
    edge = H2Edge(AnsweringExchange, engine=engine)
    wire = case.send(edge.head)
    with allocated() as most:
        for at in range(0, len(wire), step):
            edge.send(wire[at : at + step])
    assert most.bytes < HELD_BYTES + DECODED_FIELDS * _FIELD_BYTES + 2 * len(wire)
    assert edge.goaway == CALM or edge.status(1) == _TOO_LARGE
    assert edge.exchanges == []


@pytest.mark.parametrize("engine", _ENGINES)
def test_row_64_no_list_of_more_is_ever_told(engine: MakeEngine) -> None:
    """One field in the table, named more and more often: from a size on nothing is forwarded."""
    told = 0
    for named in range(20):
        edge = H2Edge(AnsweringExchange, engine=engine)
        edge.send(edge.head(1, [*GET, (b"x-long", b"v" * 3_900)]))
        edge.exchanges.clear()
        edge.send(frame(1, edge.head.block(GET) + b"\xbe" * named, 3, 5))
        for exchange in edge.exchanges:
            told = max(told, sum(len(name) + len(value) for name, value in exchange.head.fields))
        assert edge.goaway == CALM or edge.status(3) == (200 if edge.exchanges else _TOO_LARGE)
    assert 0 < told <= HELD_BYTES


@pytest.mark.parametrize("piece", [1_000, 8_192, PORTION_BYTES])
@pytest.mark.parametrize("window", [0, 1])
@pytest.mark.parametrize("engine", _ENGINES)
def test_row_68_what_waits_for_a_client_that_does_not_read(
    engine: MakeEngine, window: int, piece: int
) -> None:
    """Upstream is stopped in time, by pieces as large as any that is read of one."""
    edge = H2Edge(FakeExchange, client_settings={4: window}, engine=engine)
    edge.send(edge.head(1))
    (slow,) = edge.exchanges
    slow.downstream.send_head(ResponseHead(200, []), False)
    held = 0
    while not slow.paused and held < SENT_BYTES:
        slow.downstream.send_data(bytes(piece), False)
        held += piece
        edge.settle()
    assert slow.paused
    assert held - len(edge.bodies.get(1, b"")) <= HELD_BYTES


_OVERSIZED: Final = [case for case in cases_h3.CASES if case.number == 83]


@pytest.mark.parametrize("case", _OVERSIZED, ids=lambda case: case.id)
def test_row_83_oversized_heads_and_frames(case: cases_h3.Case) -> None:
    world = World()
    client = world.client()
    with allocated() as most:
        stream_id = case.send(client)
        world.settle()
    assert client.closed is not None or client.status(stream_id) == _TOO_LARGE
    assert world.exchanges == []
    assert most.bytes < MOST_BYTES


def test_row_83_a_head_for_ever() -> None:
    """HEADERS of 2^40 bytes, of which a client sends what it is let send."""
    world = World()
    client = world.client()
    more = bytes(16_384)
    with allocated() as most:
        stream_id = client.raw(b"\x01" + varint(1 << 40), end=False)
        for _ in range(SENT_BYTES // len(more)):
            if client.status(stream_id) or stream_id in client.stops:
                break
            client.quic.send_stream_data(stream_id, more)
            world.settle()
    assert most.bytes < MOST_BYTES
    assert client.status(stream_id) == _TOO_LARGE
    assert world.exchanges == []
