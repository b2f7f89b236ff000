"""Heads out: framing is ours, whatever came in."""

from __future__ import annotations

import pytest

from edge.codec.h1.fields import CACHE_ENTRIES
from edge.codec.h1.render import chunk, last_chunk, render_request, render_response
from edge.head import RequestHead, ResponseHead


def request(**more: object) -> RequestHead:
    head = RequestHead(b"PUT", b"https", b"a:8", b"/x?y", [(b"x-a", b"b"), (b"x-a", b"c")])
    for name, value in more.items():
        setattr(head, name, value)
    return head


@pytest.mark.parametrize(
    ("head", "end", "framing"),
    [
        (request(), True, b""),
        (request(), False, b"transfer-encoding: chunked\r\n"),
        (request(length=5), False, b"content-length: 5\r\n"),
        (request(length=0), True, b"content-length: 0\r\n"),
        (request(length=5), True, b"content-length: 0\r\n"),
        (request(upgrade=b"websocket"), False, b"connection: upgrade\r\nupgrade: websocket\r\n"),
    ],
)
def test_a_request_says_how_its_body_ends(head: RequestHead, end: bool, framing: bytes) -> None:
    for _ in range(2):
        rendered = render_request(head, end)
        assert rendered == b"PUT /x?y HTTP/1.1\r\nhost: a:8\r\nx-a: b\r\nx-a: c\r\n" + framing + b"\r\n"


def test_an_expectation_goes_on_only_with_a_body() -> None:
    assert b"expect: 100-continue\r\n" in render_request(request(length=5, expect_continue=True), False)
    assert b"expect" not in render_request(request(expect_continue=True), True)


def test_te_is_named_in_connection() -> None:
    head = RequestHead(b"GET", b"http", b"a", b"/", [(b"te", b"trailers")])
    assert render_request(head, True).endswith(b"te: trailers\r\nconnection: te\r\n\r\n")


@pytest.mark.parametrize(
    ("head", "flags", "lines"),
    [
        (ResponseHead(200, [], 5), (False, False, False), b"content-length: 5\r\n"),
        (ResponseHead(200, []), (False, False, False), b"transfer-encoding: chunked\r\n"),
        (ResponseHead(200, []), (False, True, True), b"connection: close\r\n"),
        (ResponseHead(200, [], 5), (False, False, True), b"content-length: 5\r\nconnection: keep-alive\r\n"),
        (ResponseHead(200, []), (True, False, False), b"content-length: 0\r\n"),
        (ResponseHead(204, [], 5), (True, False, False), b""),
        (ResponseHead(304, [], 5), (True, True, False), b"content-length: 5\r\nconnection: close\r\n"),
        (ResponseHead(304, []), (True, False, False), b""),
        (ResponseHead(200, []), (True, False, False, True), b""),
        (ResponseHead(200, [], 7), (True, False, False, True), b"content-length: 7\r\n"),
        (ResponseHead(103, [(b"link", b"x")]), (True, False, False), b"link: x\r\n"),
        (
            ResponseHead(101, [(b"upgrade", b"x")]),
            (False, False, False),
            b"upgrade: x\r\nconnection: upgrade\r\n",
        ),
    ],
)
def test_a_response_says_how_its_body_ends(head: ResponseHead, flags: tuple[bool, ...], lines: bytes) -> None:
    rendered = render_response(head, *flags)
    assert rendered.startswith(b"HTTP/1.1 %d " % head.status)
    assert rendered.partition(b"\r\n")[2] == lines + b"\r\n"


def test_an_unknown_status_has_no_reason() -> None:
    assert render_response(ResponseHead(299, [], 0), True, False, False).startswith(b"HTTP/1.1 299 \r\n")


def test_chunks() -> None:
    assert chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert last_chunk([]) == b"0\r\n\r\n"
    assert last_chunk([(b"x-a", b"b")]) == b"0\r\nx-a: b\r\n\r\n"


def test_rendered_lines_with_secrets_are_not_remembered_and_the_memory_is_bounded() -> None:
    from edge.codec.h1 import render

    for index in range(CACHE_ENTRIES + 10):
        render_request(
            RequestHead(b"GET", b"http", b"a", b"/", [(b"x-i", b"%d" % index), (b"cookie", b"s")]), True
        )
        assert len(render._lines) <= CACHE_ENTRIES
    assert (b"cookie", b"s") not in render._lines
