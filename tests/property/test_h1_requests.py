"""Requests that Hypothesis makes or breaks: what is accepted is forwarded as the same one request."""

from __future__ import annotations

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tests.hostile.cases_h1 import CASES, chunked, get, post
from tests.hostile.fake_h1 import Edge, responses, seen_of

GOOD = [case.data for case in CASES if case.forwarded and len(case.data) < 600] + [
    get(b"Accept: x", b"Cookie: a=b", b"X-A:  c "),
    post(b"Content-Length: 5", body=b"hello") + get(target=b"/next"),
    chunked(b"5\r\nhello\r\n0\r\nX-A: b\r\n\r\n") + get(target=b"/next"),
    get(b"Connection: upgrade", b"Upgrade: websocket") + b"raw",
]
BAD = [case.data for case in CASES if not case.forwarded and len(case.data) < 600]
PIECES = [
    *(bytes((byte,)) for byte in b"\r\n\t \0:,;/%.0\x80\xff"),
    *(b"\r\n", b"\r\n\r\n", b"\n\n", b"0\r\n\r\n", b" HTTP/1.1\r\n", b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"),
    *(b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: b\r\n", b"Connection: close\r\n"),
    *(
        b"chunked",
        b"identity",
        b"%2e",
        b"%2f",
        b"..",
        b"//",
        b"Expect: 100-continue\r\n",
        b"Upgrade: h2c\r\n",
    ),
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A seed after up to four edits: a piece put in, a stretch cut out, copied or overwritten."""
    data = draw(st.sampled_from(GOOD) | st.sampled_from(GOOD) | st.sampled_from(BAD))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        how = draw(st.sampled_from(("insert", "insert", "cut", "copy", "overwrite")))
        piece = draw(st.sampled_from(PIECES) | st.binary(min_size=1, max_size=3))
        if how == "insert":
            data = data[:start] + piece + data[start:]
        elif how == "cut":
            data = data[:start] + data[end:]
        elif how == "copy":
            data = data[:end] + data[start:end] + data[end:]
        else:
            data = data[:start] + piece + data[start + len(piece) :]
    return data


def _check_forwarded(edge: Edge) -> list[tuple[bytes, bytes, bytes]]:
    """A strict upstream sees each exchange as the one request it is; returns the complete ones."""
    assert edge.unhandled == []
    complete = []
    for exchange in edge.exchanges:
        seen, head = seen_of(exchange), exchange.head
        if exchange.ended:
            assert seen.complete
            complete.append((head.method, head.path, exchange.body))
        elif head.upgrade is None:
            assert not seen.complete
    return complete


@settings(max_examples=1500, deadline=None)
@given(mutated())
def test_whatever_is_accepted_is_one_request_to_a_strict_upstream(data: bytes) -> None:
    edge = Edge()
    edge.feed(data)
    complete = _check_forwarded(edge)
    methods = tuple(method for method, _, _ in complete)
    answers = responses(edge.transport.written, methods)
    assert sum(status == 200 for status, _, _ in answers) == len(complete)
    assert all(status in (200, 400, 405, 414, 417, 431, 501, 505) for status, _, _ in answers)
    if any(status != 200 for status, _, _ in answers):
        assert edge.ended
        assert answers[-1][0] != 200


@settings(max_examples=800, deadline=None)
@given(mutated(), st.lists(st.integers(1, 40), max_size=30))
@example(b"\r\n\r\n" + get(), [1])
def test_the_pieces_in_which_bytes_come_change_nothing(data: bytes, sizes: list[int]) -> None:
    whole, pieces = Edge(), Edge()
    whole.feed(data)
    at = 0
    for size in sizes:
        if pieces.ended:
            break
        pieces.feed(data[at : at + size])
        at += size
    if not pieces.ended and data[at:]:
        pieces.feed(data[at:])
    assert _check_forwarded(pieces) == _check_forwarded(whole)
    assert pieces.transport.written == whole.transport.written
    assert pieces.ended is whole.ended


PATHS = st.sampled_from((b"/", b"/a", b"/b?c=d"))
BODIES = st.binary(max_size=300)


@st.composite
def conversation(draw: st.DrawFn) -> tuple[bytes, list[tuple[bytes, bytes, bytes]]]:
    """Valid pipelined requests, and what they mean."""
    wire, meaning = b"", []
    for _ in range(draw(st.integers(1, 5))):
        path, body = draw(PATHS), draw(BODIES)
        kind = draw(st.sampled_from(("none", "length", "chunked")))
        if kind == "none":
            wire += get(target=path)
            meaning.append((b"GET", path, b""))
            continue
        if kind == "length":
            wire += get(b"Content-Length: %d" % len(body), target=path, method=b"PUT") + body
        else:
            size = draw(st.integers(1, 50))
            parts = [body[at : at + size] for at in range(0, len(body), size)]
            wire += get(b"Transfer-Encoding: chunked", target=path, method=b"PUT")
            wire += b"".join(b"%X\r\n%b\r\n" % (len(part), part) for part in parts)
            wire += b"0\r\n" + draw(st.sampled_from((b"", b"X-Sum: 1\r\n"))) + b"\r\n"
        meaning.append((b"PUT", path, body))
    return wire, meaning


@settings(max_examples=300, deadline=None)
@given(conversation(), st.lists(st.integers(1, 60), max_size=60))
def test_a_valid_conversation_is_understood_in_any_pieces(
    talk: tuple[bytes, list[tuple[bytes, bytes, bytes]]], sizes: list[int]
) -> None:
    wire, meaning = talk
    edge = Edge()
    at = 0
    for size in [*sizes, len(wire)]:
        if wire[at : at + size]:
            edge.feed(wire[at : at + size])
        at += size
    assert _check_forwarded(edge) == meaning
    assert [status for status, _, _ in responses(edge.transport.written)] == [200] * len(meaning)
    assert not edge.ended


CONTROLS = frozenset((*range(0x20), 0x7F)) - {0x09}


@settings(max_examples=500, deadline=None)
@given(
    st.binary(max_size=6)
    | st.text("ab \t\r\n\0\x7f\xff", max_size=6).map(lambda text: text.encode("latin-1"))
)
def test_a_value_is_forwarded_byte_for_byte_or_refused_for_a_control_byte(value: bytes) -> None:
    assume(b"\r\n" not in value)
    edge = Edge()
    edge.feed(get(b"X-A: " + value, b"X-End: 1"))
    (answer,) = responses(edge.transport.written)
    if CONTROLS & set(value):
        assert answer[0] == 400
        assert edge.exchanges == []
    else:
        assert answer[0] == 200
        assert edge.exchanges[0].head.fields == [(b"x-a", value.strip(b" \t")), (b"x-end", b"1")]
        _check_forwarded(edge)
