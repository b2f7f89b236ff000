"""Requests and responses of `filter call`, read from files."""

from __future__ import annotations

import pytest

from edge.cli.filter.message import DEFAULT_REQUEST, DEFAULT_RESPONSE, BadMessage, read_request, read_response


def test_the_defaults_are_readable() -> None:
    assert read_request(DEFAULT_REQUEST).head.path == b"/"
    assert read_response(DEFAULT_RESPONSE, b"GET").head.status == 200


def test_a_file_made_in_an_editor_is_read_and_its_body_is_kept_as_it_is() -> None:
    request = read_request(b"POST /x HTTP/1.1\nHost: a.example\nX-A: 1\n\nline 1\n\nline 2\n")
    assert (request.head.method, request.head.authority, request.head.get(b"x-a")) == (
        b"POST",
        b"a.example",
        b"1",
    )
    assert request.body == b"line 1\n\nline 2\n"
    assert request.head.length == len(request.body)


def test_crlf_is_read_too() -> None:
    request = read_request(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    assert (request.head.length, request.body) == (None, b"")


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"GET / HTTP/1.1\n\n", b"GET /%00 HTTP/1.1\nhost: a\n\n"]
)
def test_what_the_codec_refuses_is_refused(content: bytes) -> None:
    with pytest.raises(BadMessage, match="the request"):
        read_request(content)


def test_a_response_that_is_none_is_refused() -> None:
    with pytest.raises(BadMessage, match="the response"):
        read_response(b"HTTP/9 x", b"GET")
