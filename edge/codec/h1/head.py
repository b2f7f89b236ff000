"""Heads of HTTP/1.x messages, parsed strictly. Spec: RFC 9112 §2-6, §9.3, RFC 9110 §7."""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Any, Final

from edge.codec.h1.fields import CACHE_LINE_BYTES, FieldLines, Kind, Special
from edge.codec.h1.request_line import RequestLine, known_request_line, parse_request_line
from edge.codec.hops import MAX_FORWARDS, one_hop_less
from edge.errors import BadRequest, BadResponse
from edge.head import REPEAT_BYTES, Fields, Known, RequestHead, ResponseHead
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
    MAX_FORWARDS: Kind.FRAME,
    b"te": Kind.LIST,
    b"http2-settings": Kind.DROP,
}
_requests: Final = FieldLines(BadRequest, _REQUEST_KINDS, request=True)
_responses: Final = FieldLines(BadResponse, {**_FRAMING_KINDS, b"te": Kind.DROP}, request=False)
_telling_requests: Final = FieldLines(BadRequest, _REQUEST_KINDS, request=True, keep_forwarding=True)
_response_field: Final = _responses.__getitem__
_status_lines: Final[dict[bytes, tuple[int, bool]]] = {}
_STATUS_LINES: Final = 256

_known_status_lines: Final[dict[bytes, tuple[int, bool]]] = {}
_status_line: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*+)?").fullmatch


_Found = dict[bytes, Any]
"""Name of a field that frames → what its value means: int, bytes or a tuple of tokens."""
_NONE: Final = Framing.NONE
HTTP_1_0: Final = "HTTP/1.0"
HTTP_1_1: Final = "HTTP/1.1"
_ONLY_KEEP_ALIVE: Final = (b"keep-alive",)
_FRAME: Final = Kind.FRAME
_NEVER_TUNNELLED: Final = (b"h2", b"http", b"tls")
_FIRST_FINAL: Final = 200
_SWITCHING: Final = 101
_NO_CONTENT: Final = 204
_BODILESS: Final = frozenset((_NO_CONTENT, 304))
_CODINGS: Final = frozenset((b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress", b"identity"))
_OPTIONS: Final = frozenset((b"close", b"keep-alive", b"upgrade", b"te"))


class Repeat:
    """Line and fields of a connection's last plain head: clients mostly say the same again.

    Kept per connection, so what is secret in it stays where it came from.
    """

    __slots__ = ("host", "known", "limits", "line", "request_line", "tail")

    def __init__(self) -> None:
        self.line = b""
        self.request_line: RequestLine | None = None
        self.tail = b""
        self.host = b""
        self.known: Known | None = None
        self.limits: Limits | None = None


def parse_request(
    block: bytes,
    scheme: bytes,
    limits: Limits,
    repeat: Repeat | None = None,
    keep_forwarding: bool = False,
) -> RequestParse:
    """Parse the bytes before the CRLFCRLF of a request head.

    `scheme` is the connection's (`http` or `https`), whatever an absolute-form target says.
    Claims about earlier hops (`x-forwarded-*`, `forwarded`, `x-real-ip`) are dropped, unless
    `keep_forwarding`: somebody judges them. `repeat` is the connection's. Raises BadRequest with 400,
    405, 414, 417, 431, 501 or 505.
    """
    line, _, rest = block.partition(b"\r\n")
    if len(block) > limits.head_bytes:
        parse_request_line(line, limits)
        raise BadRequest("head too large", 431)
    if repeat is None:
        method, path, authority, http10 = known_request_line(line) or parse_request_line(line, limits)
    else:
        known = repeat.request_line
        if line != repeat.line or known is None:
            known = known_request_line(line) or parse_request_line(line, limits)
            if len(line) <= REPEAT_BYTES:
                repeat.request_line = known
                repeat.line = line
        method, path, authority, http10 = known
    if repeat is not None and rest == repeat.tail and limits is repeat.limits:
        again = repeat.known
        fields = [] if again is None else again.fields.copy()
        head = RequestHead(method, scheme, authority or repeat.host, path, fields)
        head.known = again
        if http10:
            head.protocol = HTTP_1_0
        return RequestParse(head, _NONE, not http10)
    lines = rest.split(b"\r\n")
    if len(lines) > limits.head_fields:
        raise BadRequest("too many fields", 431)
    lines_known = _telling_requests if keep_forwarding else _requests
    noted = lines_known.noted = []
    kept: Fields = list(filter(None, map(lines_known.__getitem__, lines))) if rest else []
    found = _framing_fields(lines_known, noted)
    host = found.pop(b"host", None)
    if host is None:
        raise BadRequest("no host")
    head = RequestHead(method, scheme, authority or host, path, kept, None, HTTP_1_0 if http10 else HTTP_1_1)
    if found:
        return _frame_request(head, found, http10)
    if repeat is not None and len(rest) <= REPEAT_BYTES:
        repeat.tail = rest
        repeat.host = host
        repeat.known = Known(kept.copy()) if kept else None
        repeat.limits = limits
    return RequestParse(head, _NONE, not http10)


def _framing_fields(known: FieldLines, noted: list[Special]) -> _Found:
    """What the lines noted mean together: the meaning of each name that left the fields."""
    found: _Found = {}
    singles: set[bytes] | None = None
    for kind, name, _, meaning in noted:
        if kind is _FRAME:
            if name in found:
                raise known.error(f"two {name.decode()} fields")
            found[name] = meaning
        elif kind is Kind.SINGLE:
            if singles is None:
                singles = {name}
            elif name in singles:
                raise known.error(f"two {name.decode()} fields")
            else:
                singles.add(name)
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
    if named == _ONLY_KEEP_ALIVE:
        keep_alive = True
    elif named:
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
    hops = found.get(MAX_FORWARDS)
    if hops is not None:
        one_hop_less(head, hops)
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
    line, _, rest = block.partition(b"\r\n")
    status, http10 = _status_lines.get(line) or _parse_status_line(line)
    lines = rest.split(b"\r\n")
    if len(lines) > limits.head_fields or len(block) > limits.head_bytes:
        raise BadResponse("too many or too large fields")
    noted = _responses.noted = []
    kept: Fields = list(filter(None, map(_response_field, lines))) if rest else []
    head = ResponseHead(status, kept)
    return _frame_response(head, _framing_fields(_responses, noted), http10, method)


def _parse_status_line(line: bytes) -> tuple[int, bool]:
    """Status, and whether it is HTTP/1.0. Spec: RFC 9112 §4."""
    match = _status_line(line)
    if match is None:
        raise BadResponse("malformed status line")
    parsed = (int(match[2]), match[1] == b"0")
    if len(line) <= CACHE_LINE_BYTES:
        if len(_status_lines) >= _STATUS_LINES:
            _status_lines.clear()
        _status_lines[line] = parsed
    return parsed


def _frame_response(head: ResponseHead, found: _Found, http10: bool, method: bytes) -> ResponseParse:
    """Spec: RFC 9112 §6.3, §9.3."""
    status = head.status
    coding = found.get(b"transfer-encoding")
    length = found.get(b"content-length")
    if coding is not None and (coding != b"chunked" or http10 or length is not None):
        raise BadResponse("transfer-encoding other than chunked, with content-length, or of HTTP/1.0")
    named = found.get(b"connection", ())
    keep_alive = not http10
    if named == _ONLY_KEEP_ALIVE:
        keep_alive = True
    elif named:
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
