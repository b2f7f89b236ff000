"""Heads and chunks to bytes; the framing is always ours. Spec: RFC 9112 §3-7."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from edge.codec.h1.fields import CACHE_ENTRIES, CACHE_LINE_BYTES, SECRET
from edge.head import Field, Fields, RequestHead, ResponseHead

_lines: Final[dict[Field, bytes]] = {
    # Who sends TE must name it in Connection; kept here it costs nothing to look for.
    (b"te", b"trailers"): b"te: trailers\r\nconnection: te\r\n",
}
_KEPT: Final = dict(_lines)
_known_line: Final = _lines.get

_status_lines: Final = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus
}
_SWITCHING: Final = 101
_FIRST_FINAL: Final = 200
_NO_CONTENT: Final = 204
_NOT_MODIFIED: Final = 304

LAST_CHUNK: Final = b"0\r\n\r\n"


def _render_fields(fields: Fields) -> list[bytes]:
    known: list[bytes | None] = list(map(_known_line, fields))
    if None not in known:
        return known  # type: ignore[return-value]
    return [line or _render_field(field) for line, field in zip(known, fields, strict=True)]


def _render_field(field: Field) -> bytes:
    line = b"%b: %b\r\n" % field
    if len(line) <= CACHE_LINE_BYTES and field[0] not in SECRET:
        if len(_lines) >= CACHE_ENTRIES:
            _lines.clear()
            _lines.update(_KEPT)
        _lines[field] = line
    return line


def render_request(head: RequestHead, end: bool) -> bytes:
    """An HTTP/1.1 request head for an upstream. `end` = no body follows.

    An `upgrade` of the head is asked for; `expect_continue` is passed on when a body follows.
    """
    parts = _render_fields(head.fields)
    if head.upgrade is not None:
        parts.append(b"connection: upgrade\r\nupgrade: %b\r\n\r\n" % head.upgrade)
    elif head.length is not None:
        parts.append(b"content-length: %d\r\n\r\n" % (0 if end else head.length))
    elif end:
        parts.append(b"\r\n")
    else:
        parts.append(b"transfer-encoding: chunked\r\n\r\n")
    start = b"%b %b HTTP/1.1\r\nhost: %b\r\n" % (head.method, head.path, head.authority)
    if head.expect_continue and not end:
        start += b"expect: 100-continue\r\n"
    return start + b"".join(parts)


def render_response(head: ResponseHead, end: bool, close: bool, http10: bool, to_head: bool = False) -> bytes:
    """A response head for a client. `end` = no body follows, `to_head` = it answers a HEAD.

    Without a length, and with a body, an HTTP/1.1 client gets chunks and an HTTP/1.0 client
    a body that ends with the connection (so `close` must be True then). A 101 keeps the
    `upgrade` of its fields and gains `connection: upgrade`.
    """
    status = head.status
    parts = _render_fields(head.fields)
    if status < _FIRST_FINAL or status == _NO_CONTENT:
        framing = b"connection: upgrade\r\n" if status == _SWITCHING else b""
    elif to_head or status == _NOT_MODIFIED:
        framing = b"" if head.length is None else b"content-length: %d\r\n" % head.length
    elif end:
        framing = b"content-length: 0\r\n"
    elif head.length is not None:
        framing = b"content-length: %d\r\n" % head.length
    else:
        framing = b"" if http10 else b"transfer-encoding: chunked\r\n"
    if status >= _FIRST_FINAL:
        if close:
            framing += b"connection: close\r\n"
        elif http10:
            framing += b"connection: keep-alive\r\n"
    parts.append(framing + b"\r\n")
    start = _status_lines.get(status) or b"HTTP/1.1 %d \r\n" % status
    return start + b"".join(parts)


def chunk(data: bytes) -> bytes:
    """One chunk; `data` must not be empty, for an empty chunk ends the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: Fields) -> bytes:
    """The end of a chunked body."""
    if not trailers:
        return LAST_CHUNK
    return b"0\r\n%b\r\n" % b"".join(_render_fields(trailers))
