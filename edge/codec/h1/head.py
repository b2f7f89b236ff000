"""Heads of HTTP/1.x messages, parsed strictly. Spec: RFC 9112 §2-6, §9.3, RFC 9110 §7."""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Any, Final

from edge.codec.h1.fields import FieldLines, Kind
from edge.codec.h1.request_line import known_request_line, parse_request_line
from edge.errors import BadRequest, BadResponse
from edge.head import Field, Fields, RequestHead, ResponseHead
from edge.model import Limits
from edge.syntax import ALWAYS_SINGLE, END_TO_END


class Framing(IntEnum):
    """How the end of a message body is found."""

    NONE = 0
    LENGTH = 1
    CHUNKED = 2
    CLOSE = 3
    """Responses only: the body ends with the connection."""
    TUNNEL = 4
    """A request that asks for an upgrade, a response that grants it."""


class RequestParse:
    """A request head, how its body ends, and whether the connection may serve another."""

    __slots__ = ("framing", "head", "keep_alive")

    def __init__(self, head: RequestHead, framing: Framing, keep_alive: bool) -> None:
        self.head = head
        self.framing = framing
        self.keep_alive = keep_alive


class ResponseParse:
    """A response head, how its body ends, and whether the connection may be used again."""

    __slots__ = ("framing", "head", "keep_alive")

    def __init__(self, head: ResponseHead, framing: Framing, keep_alive: bool) -> None:
        self.head = head
        self.framing = framing
        self.keep_alive = keep_alive


_FRAMING_KINDS: Final = {
    b"content-length": Kind.FRAME,
    b"transfer-encoding": Kind.FRAME,
    b"connection": Kind.LIST,
    b"upgrade": Kind.LIST,
    b"keep-alive": Kind.DROP,
    b"proxy-connection": Kind.DROP,
}
_REQUEST_KINDS: Final = {
    **dict.fromkeys(ALWAYS_SINGLE, Kind.SINGLE),
    **_FRAMING_KINDS,
    b"host": Kind.FRAME,
    b"expect": Kind.FRAME,
    b"te": Kind.LIST,
    b"http2-settings": Kind.DROP,
}
_requests: Final = FieldLines(BadRequest, _REQUEST_KINDS, request=True)
_responses: Final = FieldLines(BadResponse, {**_FRAMING_KINDS, b"te": Kind.DROP}, request=False)
_plain_request_line: Final = _requests.plain.get
_plain_response_line: Final = _responses.plain.get

_status_line: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*+)?").fullmatch


_Found = dict[bytes, Any]
"""Name of a field that frames → what its value means: int, bytes or a tuple of tokens."""
_NONE: Final = Framing.NONE
_FRAME: Final = Kind.FRAME
_NEVER_TUNNELLED: Final = (b"h2", b"http", b"tls")
_FIRST_FINAL: Final = 200
_SWITCHING: Final = 101
_NO_CONTENT: Final = 204
_BODILESS: Final = frozenset((_NO_CONTENT, 304))
_CODINGS: Final = frozenset((b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress", b"identity"))
_OPTIONS: Final = frozenset((b"close", b"keep-alive", b"upgrade", b"te"))


def parse_request(block: bytes, scheme: bytes, limits: Limits) -> RequestParse:
    """Parse the bytes before the CRLFCRLF of a request head.

    `scheme` is the connection's (`http` or `https`), whatever an absolute-form target says.
    Claims about earlier hops (`x-forwarded-*`, `forwarded`, `x-real-ip`) are dropped: no hop
    before this one is trusted. Raises BadRequest with 400, 405, 414, 417, 431, 501 or 505.
    """
    lines = block.split(b"\r\n")
    count = len(lines)
    if count > limits.head_fields + 1 or len(block) > limits.head_bytes:
        parse_request_line(lines[0], limits)
        raise BadRequest("too many or too large fields", 431)
    method, path, authority, http10 = known_request_line(lines[0]) or parse_request_line(lines[0], limits)
    fields: list[Field | None] = list(map(_plain_request_line, lines))
    fields[0] = None
    found = _special_fields(_requests, lines, fields, count)
    host = found.pop(b"host", None)
    if host is None:
        raise BadRequest("no host")
    kept: Fields = list(filter(None, fields))
    head = RequestHead(
        method, scheme, authority or host, path, kept, None, "HTTP/1.0" if http10 else "HTTP/1.1"
    )
    if not found:
        return RequestParse(head, _NONE, not http10)
    return _frame_request(head, found, http10)


def _special_fields(known: FieldLines, lines: list[bytes], fields: list[Field | None], count: int) -> _Found:
    """Fill the gaps that the memory of plain lines left in `fields`; returns what frames.

    The result maps a name to the meaning of its value. `fields` ends with one None more.
    """
    found: _Found = {}
    singles: set[bytes] = set()
    special = known.special
    fields.append(None)
    gap = fields.index
    index = 0
    while (index := gap(None, index + 1)) < count:
        kind, name, field, meaning = special(lines[index])
        if kind is _FRAME:
            if name in found:
                raise known.error(f"two {name.decode()} fields")
            found[name] = meaning
        elif kind is Kind.PLAIN:
            fields[index] = field
        elif kind is Kind.SINGLE:
            if name in singles:
                raise known.error(f"two {name.decode()} fields")
            singles.add(name)
            fields[index] = field
        elif kind is Kind.LIST:
            found[name] = found.get(name, ()) + meaning
    return found


def _frame_request(head: RequestHead, found: _Found, http10: bool) -> RequestParse:
    """Apply the fields that frame to `head`. Spec: RFC 9112 §6, §9.3, RFC 9110 §7.8, §10.1.1."""
    coding = found.get(b"transfer-encoding")
    length = found.get(b"content-length")
    framing = Framing.NONE
    if coding is not None:
        if http10 or length is not None:
            raise BadRequest("transfer-encoding with content-length or HTTP/1.0")
        if coding != b"chunked":
            raise BadRequest("transfer-encoding other than chunked", 501 if _ends_chunked(coding) else 400)
        framing = Framing.CHUNKED
    elif length is not None:
        head.length = length
        if length:
            framing = Framing.LENGTH
    keep_alive = not http10
    named = found.get(b"connection", ())
    if named:
        keep_alive = b"close" not in named and (keep_alive or b"keep-alive" in named)
        _remove_named(head, named)
        if b"upgrade" in named and framing is Framing.NONE and not http10:
            head.upgrade = _accepted_upgrade(found.get(b"upgrade", ()))
            if head.upgrade is not None:
                framing = Framing.TUNNEL
    if found.get(b"te"):
        head.fields.append((b"te", b"trailers"))
    expect = found.get(b"expect")
    if expect is not None:
        if expect != b"100-continue":
            raise BadRequest("unknown expectation", 417)
        head.expect_continue = not http10 and framing in (Framing.LENGTH, Framing.CHUNKED)
    return RequestParse(head, framing, keep_alive)


def _ends_chunked(coding: bytes) -> bool:
    """Whether this is a list of known codings, ended by the only `chunked`: well-formed, not served."""
    *others, last = (member.strip(b" \t") for member in coding.split(b","))
    return last == b"chunked" and all(other in _CODINGS for other in others)


def _remove_named(head: RequestHead | ResponseHead, named: tuple[bytes, ...]) -> None:
    """Drop what `Connection` names, but nothing that matters end to end. Spec: RFC 9110 §7.6.1."""
    extra = {name for name in named if name not in _OPTIONS and name not in END_TO_END}
    if extra:
        head.fields = [field for field in head.fields if field[0] not in extra]


def _accepted_upgrade(offered: tuple[bytes, ...]) -> bytes | None:
    """The first protocol offered that may be tunnelled: never another HTTP, never TLS inside."""
    for protocol in offered:
        if not protocol.startswith(_NEVER_TUNNELLED):
            return protocol
    return None


def parse_response(block: bytes, method: bytes, limits: Limits) -> ResponseParse:
    """Parse the bytes before the CRLFCRLF of a response head to a request with `method`.

    A 101 keeps its `upgrade` field, every other hop-by-hop field is gone. `keep_alive` is False
    also where a body was announced that this response cannot have. Raises BadResponse.
    """
    lines = block.split(b"\r\n")
    count = len(lines)
    if count > limits.head_fields + 1 or len(block) > limits.head_bytes:
        raise BadResponse("too many or too large fields")
    match = _status_line(lines[0])
    if match is None:
        raise BadResponse("malformed status line")
    http10 = match[1] == b"0"
    fields: list[Field | None] = list(map(_plain_response_line, lines))
    fields[0] = None
    found = _special_fields(_responses, lines, fields, count)
    kept: Fields = list(filter(None, fields))
    head = ResponseHead(int(match[2]), kept)
    return _frame_response(head, found, http10, method)


def _frame_response(head: ResponseHead, found: _Found, http10: bool, method: bytes) -> ResponseParse:
    """Spec: RFC 9112 §6.3, §9.3."""
    status = head.status
    coding = found.get(b"transfer-encoding")
    length = found.get(b"content-length")
    if coding is not None and (coding != b"chunked" or http10 or length is not None):
        raise BadResponse("transfer-encoding other than chunked, with content-length, or of HTTP/1.0")
    named = found.get(b"connection", ())
    keep_alive = not http10
    if named:
        keep_alive = b"close" not in named and (keep_alive or b"keep-alive" in named)
        _remove_named(head, named)
    if status == _SWITCHING:
        head.fields.extend((b"upgrade", protocol) for protocol in found.get(b"upgrade", ()))
        return ResponseParse(head, Framing.TUNNEL, False)
    if status < _FIRST_FINAL or status in _BODILESS or method == b"HEAD":
        if status < _FIRST_FINAL or status == _NO_CONTENT:
            keep_alive = keep_alive and coding is None and not length
        else:
            head.length = length
        return ResponseParse(head, Framing.NONE, keep_alive)
    if coding is not None:
        return ResponseParse(head, Framing.CHUNKED, keep_alive)
    if length is None:
        return ResponseParse(head, Framing.CLOSE, False)
    head.length = length
    return ResponseParse(head, Framing.LENGTH if length else Framing.NONE, keep_alive)
