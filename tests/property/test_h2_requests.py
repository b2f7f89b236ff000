"""HTTP/2 bytes that Hypothesis breaks: nothing escapes, and what is forwarded is one clean request."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.codec.h2.pure import PureEngine
from tests.hostile.cases_h2 import CASES
from tests.hostile.fake_h1 import seen_of
from tests.hostile.fake_h2 import GET, POST, PREFACE, H2Edge, Heads, data, frame, rst, window
from tests.hostile.fake_h2 import settings as settings_frame

_SEEDS = [case.send for case in CASES if len(case.send(Heads())) < 600 and case.greet]
GREETING = PREFACE + settings_frame() + frame(4, b"", 0, 1)
SPECIAL = [
    *(GET[:2], GET, POST, [], [(b"host", b"b")], [(b"content-length", b"3")], [(b"x", b"a\r\nb")]),
    *([(b"transfer-encoding", b"chunked")], [(b":path", b"/\xff")], [(b"cookie", b"a")] * 3, [(b"te", b"x")]),
    *([(b"content-length", b"0")], [(b"X", b"y")], [(b":authority", b"b")], [(b"expect", b"100-continue")]),
]


@st.composite
def conversations(draw: st.DrawFn) -> bytes:
    """Frames that mostly make sense, some of them broken."""
    head = Heads()
    made = b""
    for _ in range(draw(st.integers(1, 6))):
        stream_id = draw(st.sampled_from((1, 1, 3, 5, 2, 0, 7)))
        what = draw(st.integers(0, 7))
        if what <= 2:
            fields = [
                field for group in draw(st.lists(st.sampled_from(SPECIAL), max_size=4)) for field in group
            ]
            start = draw(st.sampled_from((GET, POST, [])))
            made += head(stream_id, [*start, *fields], draw(st.booleans()))
        elif what <= 4:
            made += data(stream_id, draw(st.sampled_from((b"", b"abc", b"abcd"))), draw(st.booleans()))
        elif what == 5:
            made += rst(stream_id)
        elif what == 6:
            made += window(stream_id, draw(st.sampled_from((0, 1, (1 << 31) - 1))))
        else:
            kind = draw(st.integers(0, 17))
            made += frame(kind, draw(st.binary(max_size=12)), stream_id, draw(st.integers(0, 255)))
    return made


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A row of the hostile list, or a conversation, after up to three edits of its bytes."""
    made = draw(conversations() | st.sampled_from(_SEEDS).map(lambda send: send(Heads())))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(made)))
        piece = draw(st.binary(min_size=1, max_size=3))
        how = draw(st.sampled_from(("insert", "cut", "overwrite")))
        if how == "insert":
            made = made[:at] + piece + made[at:]
        elif how == "cut":
            made = made[:at] + made[at + len(piece) :]
        else:
            made = made[:at] + piece + made[at + len(piece) :]
    return made


def _check(edge: H2Edge) -> list[tuple[bytes, bytes, bytes]]:
    """A strict upstream sees each exchange as the one request it is; returns the complete ones."""
    assert edge.unhandled == []
    complete = []
    for exchange in edge.exchanges:
        seen_of(exchange)
        head = exchange.head
        if exchange.ended and exchange.failed is None:
            complete.append((head.method, head.path, exchange.body))
    return complete


@settings(max_examples=800, deadline=None)
@given(mutated())
@example(b"")
def test_whatever_is_accepted_is_one_request_to_a_strict_upstream(piece: bytes) -> None:
    edge = H2Edge(greet=False)
    edge.send(GREETING + piece)
    _check(edge)
    edge.wait(4000.0)
    assert edge.unhandled == []


@settings(max_examples=300, deadline=None)
@given(mutated(), st.integers(1, 40))
def test_pieces_make_no_difference_to_what_is_forwarded(piece: bytes, step: int) -> None:
    whole, parts = H2Edge(greet=False), H2Edge(greet=False)
    whole.send(GREETING + piece)
    parts.send(GREETING)
    for at in range(0, len(piece), step):
        if parts.ended:
            break
        parts.send(piece[at : at + step])
    # A reset in the same piece takes its request back; in a later piece it comes too late for that.
    assert set(_check(whole)) <= set(_check(parts))


@settings(max_examples=300, deadline=None)
@given(conversations())
def test_the_oracle_forwards_nothing_that_the_engine_refuses(piece: bytes) -> None:
    """Where ngh2 and h2 differ it is in how they refuse, never in what a request is."""
    native, pure = H2Edge(greet=False), H2Edge(greet=False, engine=PureEngine)
    for edge in (native, pure):
        edge.send(GREETING)
        edge.send(piece)
    if native.goaway is None and pure.goaway is None:
        assert _check(native) == _check(pure)
    else:
        _check(native)
        _check(pure)
