"""Mutation fuzz of the three codecs: 0 malformed bytes upstream, 0 requests that became two, 0 surprises.

The conversations of a protocol are shared out to several tests by a checksum, so that none is
played twice and all of them are counted. What fails is made smaller before it is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from itertools import islice
from typing import Final
from zlib import crc32

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from edge.model import Limits
from tests.amounts import amount
from tests.hostile.fake_h1 import Edge, FakeExchange, responses, seen_of
from tests.hostile.fake_h2 import H2Edge
from tests.property.mutation import Conversation, conversations, smallest
from tests.property.test_h2_requests import GREETING
from tests.unit.codec.h3.world import World

EXAMPLES: Final = amount("fuzz: conversations a protocol")
SHARES: Final = 4
_BATCH: Final = 250
_PROBE_EVERY: Final = 20
_ANSWERED: Final = frozenset({200, 400, 405, 408, 413, 414, 417, 431, 501, 505})
_LIMITS: Final = Limits(head_timeout_s=2.0, idle_timeout_s=4.0, body_idle_timeout_s=3.0)
_OVERDUE_S: Final = 10.0


def _judge(exchanges: list[FakeExchange]) -> int:
    """Every exchange is one well-formed request, or visibly not all of one; how many are whole."""
    whole = 0
    for exchange in exchanges:
        # Fails where a strict parser finds a fault, or more than one request, or other fields.
        seen, head = seen_of(exchange), exchange.head
        if exchange.ended and exchange.failed is None:
            whole += 1
        elif exchange.failed is None and head.upgrade is None:
            # All the bytes that were announced may be here before their end is.
            assert not seen.complete or head.length == len(exchange.body)
    return whole


def _play_h1(conversation: Conversation) -> int:
    edge = Edge(limits=_LIMITS)
    for piece in conversation:
        if edge.ended:
            break
        edge.feed(piece)
    whole = _judge(edge.exchanges)
    answers = responses(edge.transport.written, tuple(each.head.method for each in edge.exchanges))
    assert sum(status == 200 for status, _, _ in answers) == whole
    assert {status for status, _, _ in answers} <= _ANSWERED
    edge.wait(_OVERDUE_S)
    assert edge.unhandled == []
    assert _judge(edge.exchanges) == whole
    return whole


def _play_h2(conversation: Conversation) -> int:
    edge = H2Edge(limits=_LIMITS, greet=False)
    edge.send(GREETING)
    for piece in conversation:
        if edge.ended:
            break
        edge.send(piece)
    whole = _judge(edge.exchanges)
    if edge.goaway is None:
        assert sum(edge.status(stream_id) == 200 for stream_id in edge.heads) <= whole
    edge.wait(_OVERDUE_S)
    assert edge.unhandled == []
    return whole


class _H3:
    """One world for many conversations: connections are kept while they live, as handshakes cost most."""

    def __init__(self) -> None:
        self.world = World(limits=_LIMITS)
        self.client = self.world.client()
        self.probe = self.world.client()
        self.played = 0

    def play(self, conversation: Conversation) -> int:
        world = self.world
        if self.client.closed is not None or not self._has_stream():
            world.clients.pop(self.client.address, None)
            self.client = world.client()
        quic = self.client.quic
        for kept in (world.exchanges, world.connections, world.refused):
            kept.clear()  # a long run would hold gigabytes of what is over
        stream_id = self.client.raw(b"", end=False)
        for index, piece in enumerate(conversation):
            stream = quic._streams.get(stream_id)
            if stream is None or stream.sender._reset_error_code is not None:
                break
            quic.send_stream_data(stream_id, piece, index == len(conversation) - 1)
            world.settle()
        return self._settle()

    def _has_stream(self) -> bool:
        quic = self.client.quic
        if quic._remote_max_streams_bidi <= quic._local_next_stream_id_bidi // 4:
            self.world.advance(0.03)
        return quic._remote_max_streams_bidi > quic._local_next_stream_id_bidi // 4

    def _settle(self) -> int:
        world = self.world
        exchanges = list(world.exchanges)
        assert len(exchanges) <= 1, "a request became two"
        whole = _judge(exchanges)
        assert world.unhandled == []
        self.client.events.clear()
        self.played += 1
        if self.played % _PROBE_EVERY == 0:
            if self.probe.closed is not None:
                world.clients.pop(self.probe.address, None)
                self.probe = world.client()
            self.probe.events.clear()
            assert self.probe.get() == (200, b"ok")
            world.advance(0.03)
        return whole


@cache
def _h3() -> _H3:
    return _H3()


def _play_h3(conversation: Conversation) -> int:
    return _h3().play(conversation)


_PLAY: Final[dict[str, Callable[[Conversation], int]]] = {"h1": _play_h1, "h2": _play_h2, "h3": _play_h3}


class _Share:
    """The conversations of one test: those with its checksum, each once."""

    def __init__(self, protocol: str, number: int) -> None:
        self._protocol = protocol
        self._number = number
        self._play = _PLAY[protocol]
        self.played: set[bytes] = set()
        self.forwarded = 0
        """Conversations of which a request went upstream whole."""

    def run(self, seed: int) -> None:
        """`_BATCH` conversations that were not played before."""
        due = len(self.played) + _BATCH
        for conversation in conversations(self._protocol, seed):
            wire = b"\0\xff\0".join(conversation)
            key = blake2b(wire, digest_size=16).digest()
            if crc32(wire) % SHARES == self._number and key not in self.played:
                self.played.add(key)
                try:
                    self.forwarded += self._play(conversation) > 0
                except Exception as error:
                    least = smallest(conversation, self._fails)
                    raise AssertionError(f"{self._protocol}, seed {seed}, smallest: {least!r}") from error
                if len(self.played) == due:
                    return

    def _fails(self, conversation: Conversation) -> bool:
        _h3.cache_clear()
        try:
            self._play(conversation)
        except Exception:
            return True
        return False


@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("protocol", sorted(_PLAY))
def test_nothing_malformed_gets_through_and_no_request_becomes_two(protocol: str, share: int) -> None:
    mine = _Share(protocol, share)
    batches = -(-EXAMPLES // (SHARES * _BATCH))

    @settings(
        max_examples=batches,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, (1 << 64) - 1))
    def fuzz(seed: int) -> None:
        mine.run(seed)

    fuzz()
    assert len(mine.played) >= EXAMPLES // SHARES
    assert 0.1 < mine.forwarded / len(mine.played) < 0.9, "neither all nor nothing is refused"


@pytest.mark.parametrize("protocol", sorted(_PLAY))
def test_a_seed_always_means_the_same_conversations(protocol: str) -> None:
    first, again, other = (list(islice(conversations(protocol, seed), 40)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_what_fails_is_shown_small() -> None:
    conversation = (b"GET / HTTP/1.1\r\n", b"Host: a\r\nX-A: needle\r\n", b"\r\n")
    least = smallest(conversation, lambda pieces: b"needle" in b"".join(pieces))
    assert b"".join(least) == b"needle"
