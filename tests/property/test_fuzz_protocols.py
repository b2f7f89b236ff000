"""Mutation fuzz of the three codecs: 0 malformed bytes upstream, 0 requests that became two, 0 surprises.

EDGE_FUZZ_EXAMPLES sets how many examples each protocol gets. The default takes about a minute for
each on an idle core; CI raises it to 20,000, the long run to ten times that.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Final

import pytest
from aioquic.h3.connection import encode_frame
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hostile.fake_h1 import Edge, FakeExchange, Seen, responses
from tests.hostile.fake_h2 import H2Edge
from tests.property import test_h1_requests as h1
from tests.property import test_h2_requests as h2
from tests.property import test_h3_requests as h3
from tests.unit.codec.h3.world import GET

EXAMPLES: Final = int(os.environ.get("EDGE_FUZZ_EXAMPLES", "4000"))
_ANSWERED: Final = frozenset({200, 400, 405, 408, 413, 414, 417, 431, 501, 505})
_fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
_done: Counter[str] = Counter()


def _judge(protocol: str, exchanges: list[FakeExchange]) -> int:
    """Every exchange is one well-formed request, or visibly not all of one; how many are whole."""
    whole = 0
    for exchange in exchanges:
        seen = Seen(exchange.upstream)  # fails where a strict parser finds a fault, or more than one
        head = exchange.head
        assert (seen.method, seen.target) == (head.method, head.path)
        assert [value for name, value in seen.fields if name == b"host"] == [head.authority]
        for name in (b"content-length", b"transfer-encoding"):
            assert [each for each, _ in seen.fields].count(name) <= 1
        if exchange.ended and exchange.failed is None:
            assert seen.complete
            assert seen.body == exchange.body
            whole += 1
        elif exchange.failed is None and head.upgrade is None:
            assert not seen.complete
    _done[protocol] += 1
    return whole


@_fuzz
@given(h1.mutated(), h1.mutated() | st.just(b""))
def _fuzz_h1(first: bytes, second: bytes) -> None:
    edge = Edge()
    edge.feed(first + second)
    whole = _judge("h1", edge.exchanges)
    answers = responses(edge.transport.written, tuple(each.head.method for each in edge.exchanges))
    assert sum(status == 200 for status, _, _ in answers) == whole
    assert {status for status, _, _ in answers} <= _ANSWERED
    edge.wait(4_000.0)
    assert edge.unhandled == []


@_fuzz
@given(h2.mutated(), h2.mutated() | st.just(b""))
def _fuzz_h2(first: bytes, second: bytes) -> None:
    edge = H2Edge(greet=False)
    edge.send(h2._GREETING + first)
    if not edge.ended:
        edge.send(second)
    whole = _judge("h2", edge.exchanges)
    if edge.goaway is None:
        assert sum(edge.status(stream_id) == 200 for stream_id in edge.heads) <= whole
    edge.wait(4_000.0)
    assert edge.unhandled == []


_frames = st.lists(
    st.one_of(
        h3._fields.map(lambda fields: encode_frame(1, h3._section([*GET, *fields]))),
        h3._fields.map(lambda fields: encode_frame(1, h3._section(fields))),
        st.binary(max_size=20).map(lambda body: encode_frame(0, body)),
        st.tuples(st.integers(0, 63), st.binary(max_size=9)).map(lambda pair: encode_frame(*pair)),
    ),
    min_size=1,
    max_size=4,
)


@_fuzz
@given(_frames, h3._edits, h3._cuts)
def _fuzz_h3(frames: list[bytes], edits: list[tuple[int, int, bytes]], cuts: list[int]) -> None:
    bench = h3._bench()
    exchanges = bench.send(h3._mutated(b"".join(frames), edits), cuts)
    assert len(exchanges) <= 1
    bench.judge(exchanges)
    _judge("h3", exchanges)


@pytest.mark.parametrize("protocol", ["h1", "h2", "h3"])
def test_nothing_malformed_gets_through_and_no_request_becomes_two(protocol: str) -> None:
    {"h1": _fuzz_h1, "h2": _fuzz_h2, "h3": _fuzz_h3}[protocol]()
    assert _done[protocol] >= EXAMPLES
