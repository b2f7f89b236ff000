"""A network that loses and reorders costs what is lost again, and not aioquic's general way for the rest."""

from __future__ import annotations

from typing import Any

import pytest

from edge.codec.h3.transport import Transport
from edge.head import ResponseHead
from tests.hostile.fake_h1 import FakeExchange
from tests.unit.codec.h3.link import Link
from tests.unit.codec.h3.test_short_packets import _transport
from tests.unit.codec.h3.world import GET, World

BODY_BYTES = 1 << 20
DONE_S = 120.0


class _Counting(FakeExchange):
    """Counts what it is sent, and answers in the end with BODY_BYTES if asked to."""

    size = 0

    def request_data(self, data: bytes, end: bool) -> None:
        self.size += len(data)
        if end:
            self.answer(self.size)

    def answer(self, size: int) -> None:
        self.downstream.send_head(ResponseHead(200, [], size), False)
        self.downstream.send_data(bytes(size), True)


class _Ways:
    """Counts packets of `transport` by the way they take."""

    def __init__(self, transport: Transport, link: Link) -> None:
        self.general = self.all = 0
        self.transport = transport
        carry, other, due = link._carry, transport._other, transport.datagrams_to_send

        def carried(up: bool, data: bytes, addr: Any) -> None:
            self.all += 1
            carry(up, data, addr)

        def left(plain: bytes, at: int, now: float) -> tuple[int, bool]:
            self.general += 1
            return other(plain, at, now)

        def sent(now: float) -> list[tuple[bytes, Any]]:
            made = due(now)
            self.general += len(made)
            return made

        link._carry = carried  # type: ignore[method-assign]
        transport._other = left  # type: ignore[method-assign]
        transport.datagrams_to_send = sent  # type: ignore[method-assign]


def _world(up: bool) -> tuple[World, int, _Ways, Link]:
    def make(*arguments: Any) -> _Counting:
        exchange = _Counting(*arguments)
        if not up:
            world.loop.call_soon(exchange.answer, BODY_BYTES)
        return exchange

    world = World(make)
    client = world.client(max_data=1 << 24, max_stream_data=1 << 24)
    link = Link(world, 7, loss=0.01, late=0.05)
    ways = _Ways(_transport(world), link)
    if up:
        asked = client.request([(b":method", b"POST"), *GET[1:]], body=bytes(BODY_BYTES))
    else:
        asked = client.request()
    return world, asked, ways, link


@pytest.mark.parametrize("up", [False, True])
def test_what_is_lost_is_sent_again_without_aioquics_general_way(up: bool) -> None:
    world, asked, ways, link = _world(up)
    (client,) = world.clients.values()
    link.run(lambda: client.ended(asked), DONE_S)
    assert link.lost > 3
    assert ways.all > 700
    # Credit, and what comes of timers, is said by aioquic.
    assert ways.general < ways.all / 20
    assert not world.unhandled


def test_many_ranges_are_acknowledged_in_one_frame_and_not_for_ever() -> None:
    """The client hears of each gap, and once it knows, of those below no more."""
    world, asked, ways, link = _world(True)
    (client,) = world.clients.values()
    most: list[int] = []
    link.run(lambda: client.ended(asked), DONE_S)
    for link.loss in (0.5, 0.0):
        for _ in range(40):
            client.quic.send_ping(1)
            ends = world.loop.now + 0.05
            link.run(lambda: most.append(len(ways.transport._acks)) or world.loop.now >= ends, 1.0)  # type: ignore[func-returns-value]  # noqa: B023
    assert max(most) > 3
    assert most[-1] <= 1


def test_a_gap_is_told_at_once_and_so_is_what_fills_it() -> None:
    world = World(FakeExchange)
    client = world.client()
    client.request(body=b"some", end=False)
    world.settle()
    transport = _transport(world)
    space = transport._one
    at = space.largest_received_packet
    told: list[int] = []
    for number in (1, 2, 4, 5, 6, 7, 8, 3, 9):
        transport._packet(b"\x01", 0x40, at + number, world.loop.now)
        if transport._is_news(space):
            told.append(number)
            transport._news = False
    assert told == [4, 5, 6, 3]
