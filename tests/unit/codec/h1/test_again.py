"""A head that comes again is what it was the first time, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.codec.h1.again import KEPT_BYTES, LastHead
from edge.codec.h1.head import ResponseParse, parse_response
from edge.errors import BadResponse
from edge.model import Limits

LIMITS = Limits()
HEADS = (
    b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nset-cookie: a=1\r\nx-one: 1\r\nX-One: 2",
    b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nset-cookie: a=2",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked",
    b"HTTP/1.0 200 OK",
    b"HTTP/1.1 204 No Content\r\ncontent-length: 3",
    b"HTTP/1.1 304 Not Modified\r\ncontent-length: 3\r\nconnection: close, x-one\r\nx-one: 1",
    b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade",
    b"HTTP/1.1 103 Early Hints\r\nlink: </a>",
    b"HTTP/1.1 200 OK\r\nx: " + b"y" * KEPT_BYTES,
)


def seen(parsed: ResponseParse) -> object:
    head = parsed.head
    return head.status, head.fields, head.length, parsed.framing, parsed.keep_alive


@given(st.lists(st.tuples(st.sampled_from(HEADS), st.sampled_from((b"GET", b"HEAD")))))
def test_in_any_order_heads_are_what_the_parser_says(asked: list[tuple[bytes, bytes]]) -> None:
    last = LastHead()
    for block, method in asked:
        parsed = last.parse(bytes(bytearray(block)), method, LIMITS)
        assert seen(parsed) == seen(parse_response(block, method, LIMITS))
        # What the rule and the filters do to this answer is not the next one's.
        parsed.head.set(b"x-one", b"edited")
        parsed.head.add(b"x-two", b"2")
        parsed.head.length = 99


@given(st.lists(st.tuples(st.sampled_from(HEADS), st.sampled_from((b"GET", b"HEAD"))), min_size=1))
def test_what_is_told_at_once_is_what_the_parser_says(asked: list[tuple[bytes, bytes]]) -> None:
    last = LastHead()
    for block, method in [each for each in asked for _ in range(3)]:
        data = block + b"\r\n\r\nbody"
        head = last.again(data, method, LIMITS)
        if head is None:
            last.parse(block, method, LIMITS)
            continue
        told = ResponseParse(head, last.framing, last.keep_alive)
        assert seen(told) == seen(parse_response(block, method, LIMITS)) and data[last.size :] == b"body"
        assert head.status >= 200
        assert last.again(data[: last.size - 1], method, LIMITS) is None
        assert last.again(data, method, Limits(head_fields=2)) is None
        head.set(b"x-one", b"edited")


def test_a_head_is_told_at_once_when_it_comes_the_third_time() -> None:
    last = LastHead()
    block, longer = HEADS[1], HEADS[1] + b"\r\nx-one: 1"
    for _ in range(2):
        assert last.again(block + b"\r\n\r\n", b"GET", LIMITS) is None
        last.parse(block, b"GET", LIMITS)
    assert last.again(block + b"\r\n\r\nbody", b"GET", LIMITS) is not None
    assert last.again(longer + b"\r\n\r\nbody", b"GET", LIMITS) is None
    last.parse(longer, b"GET", LIMITS)
    assert last.again(block + b"\r\n\r\nbody", b"GET", LIMITS) is None


def test_a_malformed_head_is_refused_each_time() -> None:
    last = LastHead()
    for _ in range(3):
        with pytest.raises(BadResponse):
            last.parse(b"HTTP/1.1 200 OK\r\nbad line", b"GET", LIMITS)


def test_other_limits_are_asked_anew() -> None:
    last = LastHead()
    block = HEADS[0]
    for _ in range(3):
        last.parse(block, b"GET", LIMITS)
    with pytest.raises(BadResponse):
        last.parse(block, b"GET", Limits(head_fields=2))
