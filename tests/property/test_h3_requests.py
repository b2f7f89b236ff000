"""Mutated HTTP/3 bytes: upstream sees no malformed byte, and no request becomes two; pieces do not matter."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

from aioquic.h3.connection import encode_frame
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pylsqpack import Encoder

from edge.codec.h3.qpack import encode_trailers, lines_exceed, literal
from edge.head import Field
from edge.syntax import HOP_BY_HOP
from tests.hostile.fake_h1 import FakeExchange, seen_of
from tests.unit.codec.h3.world import GET, World

EXAMPLES = 400
_quick = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])

NAMES = [
    b":method", b":path", b":scheme", b":authority", b":protocol", b":status", b"host", b"content-length",
    b"transfer-encoding", b"connection", b"te", b"cookie", b"expect", b"x-a", b"X-B", b"x y", b"upgrade",
]  # fmt: skip
VALUES = [
    b"", b"GET", b"CONNECT", b"/", b"/../a", b"//x", b"*", b"https", b"a", b"a:80", b"5", b"chunked",
    b"trailers", b"websocket", b"x\r\ny: z", b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", b"\xff", b"100-continue",
]  # fmt: skip
_names = st.sampled_from(NAMES)
_values = st.one_of(st.sampled_from(VALUES), st.binary(max_size=12))
_fields = st.lists(st.tuples(_names, _values), max_size=5)
_Edits = list[tuple[int, int, bytes]]
_edits: st.SearchStrategy[_Edits] = st.lists(
    st.tuples(st.integers(0, 200), st.integers(0, 3), st.binary(max_size=3)), max_size=4
)
_cuts = st.lists(st.integers(0, 300), max_size=6)


def _mutated(data: bytes, edits: _Edits) -> bytes:
    for at, removed, added in edits:
        at = min(at, len(data))
        data = data[:at] + added + data[at + removed :]
    return data


def _pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    marks = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(marks)] or [b""]


def literal_section(fields: list[Field]) -> bytes:
    return b"\0\0" + b"".join(literal(*field) for field in fields)


class _Bench:
    """One world for many examples: connections are kept while they live, as handshakes cost most."""

    def __init__(self) -> None:
        self.world = World()
        self.client = self.world.client()
        self.probe = self.world.client()

    def send(self, data: bytes, cuts: list[int]) -> list[FakeExchange]:
        """One request stream with `data`, in pieces; the exchanges it made."""
        world = self.world
        while self.client.quic._remote_max_streams_bidi <= self.client.quic._local_next_stream_id_bidi // 4:
            world.advance(0.03)
        if self.client.closed is not None:
            world.clients.pop(self.client.address)
            self.client = world.client()
        client = self.client
        world.exchanges.clear()
        stream_id = client.raw(b"", end=False)
        pieces = _pieces(data, cuts)
        for index, piece in enumerate(pieces):
            stream = client.quic._streams.get(stream_id)
            if stream is None or stream.sender._reset_error_code is not None:
                break
            client.quic.send_stream_data(stream_id, piece, index == len(pieces) - 1)
            world.settle()
        return list(world.exchanges)

    def judge(self, exchanges: list[FakeExchange]) -> None:
        assert self.world.unhandled == []
        assert len(exchanges) <= 1
        for exchange in exchanges:
            seen = seen_of(exchange)
            assert seen.complete or exchange.failed is not None or exchange.head.upgrade is not None
        self.probe.events.clear()
        assert self.probe.get() == (200, b"ok")
        self.world.advance(0.03)


@cache
def _bench() -> _Bench:
    return _Bench()


@_quick
@given(_fields, st.binary(max_size=20), _edits, _cuts)
def test_mutated_streams_give_one_well_formed_request_or_none(
    added: list[Field], body: bytes, edits: _Edits, cuts: list[int]
) -> None:
    section = Encoder().encode(0, [*GET[:1], (b":path", b"/x"), *GET[1:3], (b"x-a", b"b")])[1]
    stream = encode_frame(1, section + literal_section(added)[2:]) + encode_frame(0, body)
    bench = _bench()
    bench.judge(bench.send(_mutated(stream, edits), cuts))


@_quick
@given(_fields, _fields, st.binary(max_size=20), _cuts)
def test_any_fields_give_one_well_formed_request_or_none(
    fields: list[Field], trailers: list[Field], body: bytes, cuts: list[int]
) -> None:
    stream = encode_frame(1, literal_section([*GET, *fields])) + encode_frame(0, body)
    if trailers:
        stream += encode_frame(1, literal_section(trailers))
    bench = _bench()
    bench.judge(bench.send(stream, cuts))


@settings(max_examples=min(EXAMPLES, 200), deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=5), st.booleans(), _cuts)
def test_pieces_change_nothing(chunks: list[bytes], trailers: bool, cuts: list[int]) -> None:
    fields = [(b":method", b"POST"), *GET[1:], (b"x-a", b"b")]
    stream = encode_frame(1, literal_section(fields)) + encode_frame(0x21, b"grease")
    stream += b"".join(encode_frame(0, chunk) for chunk in chunks)
    if trailers:
        stream += encode_frame(1, literal_section([(b"x-sum", b"1")]))
    bench = _bench()
    (one,), (other,) = bench.send(stream, []), bench.send(stream, cuts)
    assert one.body == other.body == b"".join(chunks)
    assert one.trailers == other.trailers == ([(b"x-sum", b"1")] if trailers else [])
    assert one.ended and other.ended
    assert one.head.fields == other.head.fields


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.binary(min_size=1, max_size=9), st.binary(max_size=300)), max_size=30))
def test_lines_are_counted_as_they_were_encoded(fields: list[Field]) -> None:
    fields = [field for field in fields if field[0] not in HOP_BY_HOP]
    for section in (encode_trailers(fields), literal_section(fields)):
        assert not lines_exceed(section, len(fields))
        assert lines_exceed(section, len(fields) - 1) is bool(fields)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=64), st.integers(0, 70))
def test_counting_lines_of_garbage_ends(section: bytes, limit: int) -> None:
    assert lines_exceed(section, limit) in (True, False)
