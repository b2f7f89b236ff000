"""Heads and chunks to bytes; the framing is always ours. Spec: RFC 9112 §3-7."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from edge.codec.h1.fields import CACHE_ENTRIES, CACHE_LINE_BYTES, UNKEPT
from edge.head import Field, Fields, RequestHead, ResponseHead


class _FieldLines(dict[Field, bytes]):
    """Field → its line, made on first use; bounded, and nothing secret or unique is kept."""

    def __missing__(self, field: Field) -> bytes:
        if field[0] in UNKEPT:
            return b"%b: %b\r\n" % field
        if field == _TE_TRAILERS:
            # Who sends TE must name it in Connection.
            return b"te: trailers\r\nconnection: te\r\n"
        line = b"%b: %b\r\n" % field
        if len(line) <= CACHE_LINE_BYTES:
            if len(self) >= CACHE_ENTRIES:
                self.clear()
            self[field] = line
        return line


_TE_TRAILERS: Final = (b"te", b"trailers")
_lines: Final = _FieldLines()
_line_of: Final = _lines.__getitem__
_JOIN: Final = b"".join

_status_lines: Final = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus
}
_SWITCHING: Final = 101
_FIRST_FINAL: Final = 200
_NO_CONTENT: Final = 204
_NOT_MODIFIED: Final = 304

LAST_CHUNK: Final = b"0\r\n\r\n"


def render_request(head: RequestHead, end: bool) -> bytes:
    """An HTTP/1.1 request head for an upstream. `end` = no body follows.

    An `upgrade` of the head is asked for; `expect_continue` is passed on when a body follows.
    """
    if head.upgrade is not None:
        framing = b"connection: upgrade\r\nupgrade: %b\r\n" % head.upgrade
    elif head.length is not None:
        framing = b"content-length: %d\r\n" % (0 if end else head.length)
    else:
        framing = b"" if end else b"transfer-encoding: chunked\r\n"
    if head.expect_continue and not end:
        framing += b"expect: 100-continue\r\n"
    known = head.known
    if known is not None and head.fields[: known.count] == known.fields:
        if not known.lines:
            known.lines = _JOIN(map(_line_of, known.fields))
        begin, rest = known.lines, head.fields[known.count :]
    else:
        begin, rest = b"", head.fields.copy()
    # The last field is mostly the request's own id, which is never found among lines that are kept.
    last = b"%b: %b\r\n" % rest.pop() if rest and rest[-1][0] in UNKEPT else b""
    return b"%b %b HTTP/1.1\r\nhost: %b\r\n%b%b%b%b\r\n" % (
        head.method,
        head.path,
        head.authority,
        begin,
        _JOIN(map(_line_of, rest)),
        last,
        framing,
    )


def render_response(head: ResponseHead, end: bool, close: bool, http10: bool, to_head: bool = False) -> bytes:
    """A response head for a client. `end` = no body follows, `to_head` = it answers a HEAD.

    Without a length, and with a body, an HTTP/1.1 client gets chunks and an HTTP/1.0 client
    a body that ends with the connection (so `close` must be True then). A 101 keeps the
    `upgrade` of its fields and gains `connection: upgrade`.
    """
    status = head.status
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
    start = _status_lines.get(status) or b"HTTP/1.1 %d \r\n" % status
    return b"%b%b%b\r\n" % (start, _JOIN(map(_line_of, head.fields)), framing)


def chunk(data: bytes) -> bytes:
    """One chunk; `data` must not be empty, for an empty chunk ends the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: Fields) -> bytes:
    """The end of a chunked body."""
    if not trailers:
        return LAST_CHUNK
    return b"0\r\n%b\r\n" % _JOIN(map(_line_of, trailers))
