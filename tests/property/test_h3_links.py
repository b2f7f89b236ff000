"""Whatever the network does to datagrams, each byte arrives once and in its place, both ways."""

from __future__ import annotations

from functools import cache
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.head import ResponseHead
from tests.hostile.fake_h1 import AnsweringExchange
from tests.unit.codec.h3.link import Link
from tests.unit.codec.h3.world import GET, Client, World

GIVE_UP_S = 600.0
"""Of the world's time: with a tenth of all datagrams lost, timeouts double a few times."""


@cache
def _bytes(size: int) -> bytes:
    """None of them like its neighbours, so that a piece in a wrong place shows."""
    return Random(size).randbytes(size)


class _Both(AnsweringExchange):
    """Answers with as many bytes as the path says, which is also how many it is sent."""

    def answer(self) -> None:
        size = int(self.head.path[1:])
        assert self.head.method == b"GET" or self.body == _bytes(size)
        self.downstream.send_head(ResponseHead(200, []), False)
        at = 0
        while at < size:
            self.downstream.send_data(_bytes(size)[at : at + 30_000], False)
            at += 30_000
        self.downstream.send_data(b"", True)


def _ask(client: Client, up: bool, size: int) -> int:
    path = (b":path", b"/%d" % size)
    if not up:
        return client.request([*GET[:3], path])
    return client.request([(b":method", b"POST"), *GET[1:3], path], body=_bytes(size))


_shares = st.sampled_from((0.0, 0.01, 0.05, 0.1))
_asked = st.lists(st.tuples(st.booleans(), st.sampled_from((0, 1, 1_200, 20_000, 150_000))), max_size=6)


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 1 << 30), _shares, _shares, _shares, _asked, _asked)
def test_each_byte_arrives_once_and_in_its_place(
    seed: int,
    loss: float,
    late: float,
    doubled: float,
    first: list[tuple[bool, int]],
    second: list[tuple[bool, int]],
) -> None:
    world = World(_Both)
    client = world.client(idle_timeout=GIVE_UP_S)
    link = Link(world, seed, loss, late, doubled)
    sizes: dict[int, int] = {}
    for batch in (first, second):
        for up, size in batch:
            sizes[_ask(client, up, size)] = size
        some = list(sizes)[: len(batch)]
        link.run(lambda: world.unhandled or all(map(client.ended, some)), GIVE_UP_S)  # noqa: B023
    link.run(lambda: world.unhandled or all(map(client.ended, sizes)), GIVE_UP_S)
    assert not world.unhandled
    assert not client.resets
    for stream_id, size in sizes.items():
        assert client.body(stream_id) == _bytes(size)
