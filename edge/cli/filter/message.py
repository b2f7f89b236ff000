"""Requests and responses in files, as HTTP/1.1 writes them, read by the codec that serves clients."""

from __future__ import annotations

from typing import NamedTuple

from edge.codec.h1.head import parse_request, parse_response
from edge.errors import EdgeError
from edge.head import RequestHead, ResponseHead
from edge.model import Limits

DEFAULT_REQUEST = b"GET / HTTP/1.1\r\nhost: localhost\r\nuser-agent: edge\r\naccept: */*\r\n\r\n"
DEFAULT_RESPONSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nhello\n"


class BadMessage(Exception):
    """The text says what is wrong."""


class Request(NamedTuple):
    head: RequestHead
    body: bytes


class Response(NamedTuple):
    head: ResponseHead
    body: bytes


def read_request(content: bytes) -> Request:
    """The body is what follows the head; its length is taken as it is. Raises BadMessage."""
    block, body = _parts(content)
    try:
        head = parse_request(block, b"http", Limits()).head
    except EdgeError as error:
        raise BadMessage(f"the request: {error.detail}") from None
    head.length = len(body) if body else None
    return Request(head, body)


def read_response(content: bytes, method: bytes) -> Response:
    """As `read_request`."""
    block, body = _parts(content)
    try:
        head = parse_response(block, method, Limits()).head
    except EdgeError as error:
        raise BadMessage(f"the response: {error.detail}") from None
    head.length = len(body)
    return Response(head, body)


def _parts(content: bytes) -> tuple[bytes, bytes]:
    """Head block and body. Files made in an editor have bare LF: in the head they are taken as CRLF."""
    if b"\r\n" not in content.split(b"\n\n", 1)[0]:
        head, _, body = content.partition(b"\n\n")
        return head.strip(b"\n").replace(b"\n", b"\r\n"), body
    head, _, body = content.partition(b"\r\n\r\n")
    return head, body
