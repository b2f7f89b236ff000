"""Header lists of HTTP/2 requests to heads. Spec: RFC 9113 §8.3, RFC 8441.

Engines check some of this too; nothing here relies on it.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import Any, Final

from edge.codec.h2.fields import CACHE_ENTRIES, CACHE_FIELD_BYTES, KnownFields, Malformed, framing_fields
from edge.codec.h2.fields import authority as authority_of
from edge.codec.hops import MAX_FORWARDS, one_hop_less
from edge.errors import BadRequest
from edge.head import REPEAT_BYTES, Field, Fields, Known, RequestHead
from edge.model import Limits
from edge.syntax import canonical_path, is_token

PROTOCOL: Final = "HTTP/2"
WEBSOCKET: Final = b"websocket"
_FIELD_OVERHEAD: Final = 4
"""What a field costs beyond name and value where it is forwarded: `: ` and CRLF."""


_target: Final = re.compile(rb"/[\x21\x22\x24-\x7e]*+").fullmatch
_flat: Final = chain.from_iterable
_Start = tuple[bytes, bytes | None, bytes, bytes | None]
"""Method, authority, canonical path, protocol of an extended CONNECT."""

_known: Final = KnownFields()
_telling: Final = KnownFields(keep_forwarding=True)
_starts: Final[dict[tuple[Field, ...], _Start]] = {}
_known_start: Final = _starts.get
_PSEUDO: Final = 4
_PSEUDO_NAMES: Final = (b":method", b":scheme", b":authority", b":path", b":protocol")


class Repeat:
    """A connection's last plain head; as for HTTP/1 it never leaves it."""

    __slots__ = ("known", "limits", "listed", "start", "tail")

    start: _Start

    def __init__(self) -> None:
        self.listed: tuple[Field, ...] = ()
        self.tail: tuple[Field, ...] = ()
        """Of `listed`, what followed the pseudo fields: often that alone comes again."""
        self.known: Known | None = None
        self.limits: Limits | None = None


def parse_request(
    listed: tuple[Field, ...],
    end: bool,
    scheme: bytes,
    limits: Limits,
    repeat: Repeat,
    keep_forwarding: bool = False,
) -> RequestHead:
    """The head of a header list; `end` = no body follows, `scheme` is the connection's.

    A WebSocket's extended CONNECT becomes the GET of an HTTP/1 upgrade, still without its key.
    Raises Malformed, or BadRequest with 400, 405, 414, 417, 431 or 501.
    """
    if listed == repeat.listed and limits is repeat.limits:
        return _again(repeat, repeat.start, scheme)
    tail = listed[_PSEUDO:]
    start = _known_start(listed[:_PSEUDO])
    if start is not None and tail == repeat.tail and limits is repeat.limits:
        # Longer than REPEAT_BYTES by no more than a start that is known: those are short.
        repeat.listed = listed
        repeat.start = start
        return _again(repeat, start, scheme)
    if start is None:
        start, tail = _parse_start(listed, limits)
    size = sum(map(len, _flat(listed))) + _FIELD_OVERHEAD * len(listed)
    if size > limits.head_bytes:
        raise BadRequest("head too large", 431)
    judged = _telling if keep_forwarding else _known
    noted = judged.noted = []
    kept: Fields = list(filter(None, map(judged.__getitem__, tail)))
    found = framing_fields(noted)
    crumbs = found.pop(b"cookie", None)
    if crumbs is not None:
        # An empty crumb at the end would leave a blank at the end, which no value may have.
        kept.append((b"cookie", b"; ".join(filter(None, crumbs))))
    if len(kept) > limits.head_fields:
        raise BadRequest("too many fields", 431)
    host = found.pop(b"host", None)
    method, authority, path, protocol = start
    if authority is None and host is None:
        raise Malformed("no authority")
    if authority is not None and host is not None and host != authority:
        raise BadRequest("host other than :authority")
    head = RequestHead(method, scheme, authority or host, path, kept, None, PROTOCOL)
    if protocol is not None:
        _upgrade(head, found)
    elif found:
        _frame(head, found, end)
    elif host is None and size <= REPEAT_BYTES:
        # With an authority of its own and no protocol the start has exactly four fields.
        repeat.listed = listed
        repeat.start = start
        repeat.tail = tail
        repeat.known = Known(kept.copy()) if kept else None
        repeat.limits = limits
    return head


def _again(repeat: Repeat, start: _Start, scheme: bytes) -> RequestHead:
    method, authority, path, _ = start
    known = repeat.known
    fields = [] if known is None else known.fields.copy()
    head = RequestHead(method, scheme, authority or b"", path, fields, None, PROTOCOL)
    head.known = known
    return head


def _parse_start(listed: tuple[Field, ...], limits: Limits) -> tuple[_Start, tuple[Field, ...]]:
    """The pseudo fields, and the fields after them. Spec: RFC 9113 §8.3.1, RFC 8441 §4."""
    found: dict[bytes, bytes] = {}
    for name, value in listed:
        if not name.startswith(b":"):
            break
        if name in found or name not in _PSEUDO_NAMES:
            raise Malformed("unknown or repeated pseudo field")
        found[name] = value
    method = found.get(b":method")
    if method is None or not is_token(method):
        raise Malformed("no method that is a token")
    protocol = found.get(b":protocol")
    if method == b"CONNECT" and protocol is None:
        raise BadRequest("CONNECT is not served", 501)
    if protocol is not None and method != b"CONNECT":
        raise Malformed(":protocol without CONNECT")
    if found.get(b":scheme", b"").lower() not in (b"http", b"https"):
        raise Malformed("scheme other than http and https")
    path = _path(method, found.get(b":path", b""), limits)
    if method == b"TRACE":
        raise BadRequest("TRACE is not served", 405)
    if protocol is not None and protocol.lower() != WEBSOCKET:
        raise BadRequest("only WebSocket is tunnelled", 501)
    given = found.get(b":authority")
    start = (method, None if given is None else authority_of(given), path, protocol)
    count = len(found)
    if count == _PSEUDO and given is not None and sum(map(len, _flat(listed[:count]))) <= CACHE_FIELD_BYTES:
        if len(_starts) >= CACHE_ENTRIES:
            _starts.clear()
        _starts[listed[:count]] = start
    return start, listed[count:]


def _path(method: bytes, target: bytes, limits: Limits) -> bytes:
    if len(target) > limits.target_bytes:
        raise BadRequest("target too long", 414)
    if target == b"*" and method == b"OPTIONS":
        return target
    if _target(target) is None:
        raise Malformed("target is not an absolute path")
    return canonical_path(target)


def _upgrade(head: RequestHead, found: dict[bytes, Any]) -> None:
    """Spec: RFC 8441 §5."""
    hops = found.pop(MAX_FORWARDS, None)
    if hops is not None:
        one_hop_less(head, hops)
    if found:
        raise Malformed("content-length or expect in an extended CONNECT")
    head.method = b"GET"
    head.upgrade = WEBSOCKET
    head.remove(b"sec-websocket-key")


def _frame(head: RequestHead, found: dict[bytes, Any], end: bool) -> None:
    length = found.get(b"content-length")
    if length is not None:
        if end and length:
            raise Malformed("content-length without a body")
        head.length = length
    expect = found.get(b"expect")
    if expect is not None:
        if expect.lower() != b"100-continue":
            raise BadRequest("unknown expectation", 417)
        head.expect_continue = not end and head.length != 0
    hops = found.get(MAX_FORWARDS)
    if hops is not None:
        one_hop_less(head, hops)
