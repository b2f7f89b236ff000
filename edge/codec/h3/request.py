"""Decoded field sections to request heads and trailers, judged strictly. Spec: RFC 9114 §4.1.2-4.5."""

from __future__ import annotations

import re
from enum import IntEnum
from itertools import chain
from typing import Final

from edge.codec.h1.fields import CACHE_ENTRIES, CACHE_LINE_BYTES, UNKEPT
from edge.codec.hops import MAX_FORWARDS, one_hop_less
from edge.codec.websocket import KEY, new_key
from edge.errors import BadRequest
from edge.head import Field, Fields, RequestHead
from edge.model import Limits
from edge.syntax import (
    ALWAYS_SINGLE,
    HOP_BY_HOP,
    NEVER_IN_TRAILERS,
    canonical_authority,
    canonical_path,
    is_field_value,
    is_forwarding,
    is_token,
)

CRUMBS: Final = 256
"""Cookies come one a field and leave as one, so they are counted apart from other fields."""
LINE_OVERHEAD: Final = 32
"""Counted for each line beside its bytes. Spec: RFC 9114 §4.2.2."""
TRAILER_FIELDS: Final = 100
HTTP_3: Final = "HTTP/3"


class MalformedMessage(BadRequest):
    """Answered by resetting the stream, as RFC 9114 §4.1.2 says; nothing of it is forwarded."""


class _Kind(IntEnum):
    SINGLE = 0
    """Stays a field; a second one is 400."""
    DROP = 1
    LENGTH = 2
    HOST = 3
    EXPECT = 4
    TE = 5
    COOKIE = 6
    HOPS = 7


_KINDS: Final = {
    **dict.fromkeys(ALWAYS_SINGLE, _Kind.SINGLE),
    b"content-length": _Kind.LENGTH,
    b"host": _Kind.HOST,
    b"expect": _Kind.EXPECT,
    b"te": _Kind.TE,
    b"cookie": _Kind.COOKIE,
    MAX_FORWARDS: _Kind.HOPS,
    b"http2-settings": _Kind.DROP,
}
_CONNECTION: Final = HOP_BY_HOP - {b"te"}
_FRAMING: Final = HOP_BY_HOP | _KINDS.keys()
_UPPER: Final = re.compile(rb"[A-Z]").search
_digits: Final = re.compile(rb"[0-9]{1,18}").fullmatch
_visible: Final = re.compile(rb"[\x21-\x7e]++").fullmatch
_PSEUDO: Final = frozenset((b":method", b":scheme", b":authority", b":path", b":protocol"))
_SCHEMES: Final = (b"https", b"http")
_FLAT: Final = chain.from_iterable
_WEBSOCKET: Final = b"websocket"


class _Known(dict[Field, Field | None]):
    """(name, value) as decoded → the field it stays, or None when it leaves the fields.

    Fields that mean more than a field are noted in `noted`, which the parser empties first.
    """

    def __init__(self, keep_forwarding: bool = False) -> None:
        super().__init__()
        self._keep_forwarding = keep_forwarding
        self.noted: list[tuple[_Kind, bytes, bytes]] = []

    def __missing__(self, field: Field) -> Field | None:
        name, value = field
        kind = _KINDS.get(name)
        if kind is None:
            _check(name, value)
            if name in _CONNECTION:
                raise MalformedMessage("a field of one connection")
            kept = None if is_forwarding(name) and not self._keep_forwarding else field
            if b"_" in name and name.replace(b"_", b"-") in _FRAMING:
                raise BadRequest("underscored spelling of a field that frames or routes")
            if len(name) + len(value) <= CACHE_LINE_BYTES and name not in UNKEPT:
                if len(self) >= CACHE_ENTRIES:
                    self.clear()
                self[field] = kept
            return kept
        if not is_field_value(value):
            raise MalformedMessage("malformed field value")
        self.noted.append((kind, name, value))
        return field if kind is _Kind.SINGLE else None


_known: Final = _Known()
_telling: Final = _Known(keep_forwarding=True)

Line = tuple[bytes, bytes | None, bytes, bytes | None]
"""Method, authority (None = none given), canonical path, protocol of an extended CONNECT."""

_request_lines: Final[dict[tuple[Field, ...], Line]] = {}


def parse_request(
    fields: Fields, scheme: bytes, limits: Limits, keep_forwarding: bool = False
) -> RequestHead:
    """A request head from the lines of its section, in order.

    Raises MalformedMessage for what RFC 9114 calls malformed, and BadRequest with the status for
    what edge refuses (400, 405, 414, 417, 431, 501). An extended CONNECT becomes the GET with
    `upgrade` that it would be on HTTP/1.1. Spec: RFC 9114 §4.3.1, RFC 9220.
    """
    if len(fields) > limits.head_fields + CRUMBS:
        raise BadRequest("too many fields", 431)
    if sum(map(len, _FLAT(fields))) + LINE_OVERHEAD * len(fields) > limits.head_bytes:
        raise BadRequest("head too large", 431)
    index = 0
    for name, _ in fields:
        if name[:1] != b":":
            break
        index += 1
    line = tuple(fields[:index])
    method, authority, path, protocol = _request_lines.get(line) or _request_line(line, limits)
    known = _telling if keep_forwarding else _known
    noted = known.noted = []
    kept: Fields = list(filter(None, map(known.__getitem__, fields[index:])))
    head = RequestHead(method, scheme, authority or b"", path, kept, None, HTTP_3)
    if noted:
        _apply(head, noted)
    if authority is None and not head.authority:
        raise MalformedMessage("neither :authority nor host")
    if len(kept) > limits.head_fields:
        raise BadRequest("too many fields", 431)
    if protocol is not None:
        _upgrade(head, protocol)
    return head


def _request_line(line: tuple[Field, ...], limits: Limits) -> Line:
    pseudo = dict(line)
    if len(pseudo) != len(line) or not pseudo.keys() <= _PSEUDO:
        raise MalformedMessage("unknown or repeated pseudo header")
    method = pseudo.get(b":method", b"")
    if not is_token(method):
        raise MalformedMessage("malformed :method")
    scheme, path, protocol = pseudo.get(b":scheme"), pseudo.get(b":path"), pseudo.get(b":protocol")
    named = pseudo.get(b":authority")
    if named is not None and not _visible(named):
        raise MalformedMessage("malformed :authority")
    if method == b"CONNECT" and protocol is None:
        if scheme is not None or path is not None or named is None:
            raise MalformedMessage("CONNECT has an authority and nothing else")
        raise BadRequest("CONNECT is not served", 501)
    if scheme not in _SCHEMES or path is None:
        raise MalformedMessage("malformed :scheme or no :path")
    if protocol is not None and (method != b"CONNECT" or not is_token(protocol)):
        raise MalformedMessage(":protocol without CONNECT, or malformed")
    if len(path) > limits.target_bytes:
        raise BadRequest("target too long", 414)
    if not _visible(path) or not (path.startswith(b"/") or (path == b"*" and method == b"OPTIONS")):
        raise MalformedMessage("malformed :path")
    if method == b"TRACE":
        raise BadRequest("TRACE is not served", 405)
    authority = None if named is None else canonical_authority(named)
    parsed = (method, authority, path if path == b"*" else canonical_path(path), protocol)
    if sum(map(len, _FLAT(line))) <= CACHE_LINE_BYTES:
        if len(_request_lines) >= CACHE_ENTRIES:
            _request_lines.clear()
        _request_lines[line] = parsed
    return parsed


def _apply(head: RequestHead, noted: list[tuple[_Kind, bytes, bytes]]) -> None:
    """What the fields that frame or route mean for `head`."""
    seen: set[bytes] = set()
    crumbs: list[bytes] = []
    for kind, name, value in noted:
        if kind is _Kind.COOKIE:
            crumbs.append(value)
            continue
        if name in seen and kind is not _Kind.DROP:
            fault = BadRequest if kind in (_Kind.SINGLE, _Kind.HOPS) else MalformedMessage
            raise fault(f"two {name.decode()} fields")
        seen.add(name)
        if kind is _Kind.LENGTH:
            if _digits(value) is None:
                raise MalformedMessage("malformed content-length")
            head.length = int(value)
        elif kind is _Kind.HOST:
            host = canonical_authority(value)
            if head.authority and host != head.authority:
                raise BadRequest("host is not :authority")
            head.authority = host
        elif kind is _Kind.EXPECT:
            if value.lower() != b"100-continue":
                raise BadRequest("unknown expectation", 417)
            head.expect_continue = True
        elif kind is _Kind.TE:
            if value.lower() != b"trailers":
                raise MalformedMessage("te other than trailers")
            head.fields.append((b"te", b"trailers"))
        elif kind is _Kind.HOPS:
            one_hop_less(head, value)
    head.expect_continue = head.expect_continue and head.length != 0
    if len(crumbs) > CRUMBS:
        raise BadRequest("too many cookie fields", 431)
    if crumbs:
        # An empty crumb at the end would leave a blank at the end, which no value may have.
        head.fields.append((b"cookie", b"; ".join(filter(None, crumbs))))


def _upgrade(head: RequestHead, protocol: bytes) -> None:
    """Extended CONNECT as an HTTP/1.1 upgrade. Spec: RFC 9220 §3, RFC 8441 §5."""
    if protocol != _WEBSOCKET:
        raise BadRequest("CONNECT for a protocol that is not served", 501)
    if head.length is not None or head.expect_continue:
        raise MalformedMessage("CONNECT with framing of a body")
    head.method = b"GET"
    head.upgrade = protocol
    head.remove(KEY)
    head.fields.append((KEY, new_key()))


def parse_trailers(fields: Fields) -> Fields:
    """Trailer fields that may be forwarded. Raises MalformedMessage. Spec: RFC 9114 §4.1, RFC 9110 §6.5."""
    if len(fields) > TRAILER_FIELDS:
        raise MalformedMessage("too many trailers")
    kept = []
    for field in fields:
        name, value = field
        _check(name, value)
        if name in _CONNECTION:
            raise MalformedMessage("a field of one connection in the trailers")
        if name.replace(b"_", b"-") not in NEVER_IN_TRAILERS and not is_forwarding(name):
            kept.append(field)
    return kept


def _check(name: bytes, value: bytes) -> None:
    if not is_token(name) or _UPPER(name) or not is_field_value(value):
        raise MalformedMessage("malformed field")
