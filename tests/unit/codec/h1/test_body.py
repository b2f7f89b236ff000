"""Chunks in, bytes and trailers out."""

from __future__ import annotations

import pytest

from edge.codec.h1.body import ChunkedReader
from edge.errors import BadRequest

BODY = (
    b'5\r\nhello\r\n1;a="b"\r\n,\r\n00A\r\n0123456789\r\n'
    b"0\r\nX-Sum: 1\r\nHost: b\r\nX-Forwarded-For: c\r\n\r\n"
)


@pytest.mark.parametrize("step", range(1, len(BODY) + 5, 3))
def test_any_pieces_give_the_same_body(step: int) -> None:
    reader = ChunkedReader(BadRequest)
    wire = BODY + b"rest"
    out = b""
    for at in range(0, len(wire), step):
        data, done = reader.feed(wire[at : at + step])
        out += data
        if done:
            assert reader.rest + wire[at + step :] == b"rest"
            break
    else:
        pytest.fail("never done")
    assert out == b"hello,0123456789"
    assert reader.trailers == [(b"x-sum", b"1")]


def test_bytes_inside_a_chunk_pass_as_they_came() -> None:
    reader = ChunkedReader(BadRequest)
    reader.feed(b"20000\r\n")
    piece = b"x" * 65_536
    assert reader.feed(piece)[0] is piece


def test_small_chunks_are_served_until_they_are_a_flood() -> None:
    reader = ChunkedReader(BadRequest)
    assert reader.feed(b"1\r\nx\r\n" * 10_000)[0] == b"x" * 10_000
    with pytest.raises(BadRequest):
        reader.feed(b"1\r\nx\r\n")


def test_extensions_of_a_long_body_do_not_add_up() -> None:
    """Some senders sign each chunk; what matters is how much of the body they are."""
    reader = ChunkedReader(BadRequest)
    signed = b"400;chunk-signature=" + b"0" * 64 + b"\r\n" + bytes(0x400) + b"\r\n"
    for _ in range(1_000):
        assert reader.feed(signed) == (bytes(0x400), False)


def test_a_body_of_little_but_extensions_is_a_flood() -> None:
    reader = ChunkedReader(BadRequest)
    piece = b"4;" + b"x" * 80 + b"\r\nbody\r\n"
    with pytest.raises(BadRequest, match="extension"):
        for _ in range(60):
            reader.feed(piece)
