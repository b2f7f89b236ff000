"""Heads to header lists of HTTP/2 requests, and header lists of responses to heads.

Spec: RFC 9113 §8.2, §8.3. The engine checks much of this too; nothing here relies on it.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import Final

from edge.codec.websocket import ACCEPT, KEY, accept_of
from edge.errors import BadResponse
from edge.head import Field, Fields, RequestHead, ResponseHead
from edge.model import Limits
from edge.syntax import HOP_BY_HOP, NEVER_IN_TRAILERS, TOKEN, is_field_value

CACHE_ENTRIES: Final = 4096
CACHE_FIELD_BYTES: Final = 256
TRAILER_BYTES: Final = 16 << 10
TRAILER_FIELDS: Final = 100
WEBSOCKET: Final = b"websocket"
_UNKEPT: Final = frozenset((b"set-cookie", b"x-request-id"))
"""Secret, or seldom the same twice."""
_lower_name: Final = re.compile(rb"(?:(?![A-Z])" + TOKEN + rb")++").fullmatch
_digits: Final = re.compile(rb"[0-9]{1,18}").fullmatch
_flat: Final = chain.from_iterable
_FIELD_OVERHEAD: Final = 4
_LENGTH: Final = b"content-length"
_NO_LENGTH: Final = frozenset((*range(100, 200), 204))


class _KnownFields(dict[Field, Field | None]):
    """Field as it came → the field it is, for fields that were judged before; None leaves the fields."""

    def __init__(self) -> None:
        super().__init__()
        self._length: bytes | None = None

    def length(self) -> int | None:
        """The content-length of the list just judged; asking begins a new list."""
        found, self._length = self._length, None
        return None if found is None else int(found)

    def __missing__(self, field: Field) -> Field | None:
        name, value = field
        if name == _LENGTH:
            if self._length is not None or _digits(value) is None:
                raise BadResponse("malformed content-length, or two")
            self._length = value
            return None
        if _lower_name(name) is None or (value and not is_field_value(value)):
            raise BadResponse("malformed field")
        if name in HOP_BY_HOP:
            raise BadResponse("field of an HTTP/1 connection")
        kept = (name, value)
        if len(name) + len(value) <= CACHE_FIELD_BYTES and name not in _UNKEPT:
            if len(self) >= CACHE_ENTRIES:
                self.clear()
            self[kept] = kept
        return kept


_known: Final = _KnownFields()
_field: Final = _known.__getitem__
_statuses: Final = {(b":status", b"%d" % status): status for status in range(100, 600) if status != 101}


class Repeat:
    """What a connection's last plain response began and ended with; services repeat themselves."""

    __slots__ = ("fields", "head", "limits", "status", "trailers", "trailers_kept")

    def __init__(self) -> None:
        self.head: tuple[Field, ...] = ()
        self.status = 0
        self.fields: Fields = []
        self.limits: Limits | None = None
        self.trailers: tuple[Field, ...] = ()
        self.trailers_kept: Fields = []


def parse_response(listed: tuple[Field, ...], limits: Limits, repeat: Repeat) -> ResponseHead:
    """The head of a header list. A length is None for 1xx and 204. Raises BadResponse."""
    if listed == repeat.head and limits is repeat.limits:
        return ResponseHead(repeat.status, repeat.fields.copy(), None)
    status = _statuses.get(listed[0]) if listed else None
    if status is None:
        raise BadResponse("no status from 100 to 599, or a 101")
    if sum(map(len, _flat(listed))) + _FIELD_OVERHEAD * len(listed) > limits.head_bytes:
        raise BadResponse("response head too large")
    _known.length()
    kept: Fields = list(filter(None, map(_field, listed[1:])))
    if len(kept) > limits.head_fields:
        raise BadResponse("too many fields")
    length = _known.length()
    if length is None:
        repeat.head = listed
        repeat.status = status
        repeat.fields = kept.copy()
        repeat.limits = limits
    return ResponseHead(status, kept, None if status in _NO_LENGTH else length)


def parse_trailers(listed: tuple[Field, ...], repeat: Repeat) -> Fields:
    """The trailer fields that may be forwarded. Raises BadResponse. Spec: RFC 9110 §6.5.1."""
    if listed == repeat.trailers:
        return repeat.trailers_kept.copy()
    if len(listed) > TRAILER_FIELDS or sum(map(len, _flat(listed))) > TRAILER_BYTES:
        raise BadResponse("too many or too large trailers")
    kept: Fields = []
    for name, value in listed:
        if _lower_name(name) is None or (value and not is_field_value(value)) or name in HOP_BY_HOP:
            raise BadResponse("malformed trailer")
        if name.replace(b"_", b"-") not in NEVER_IN_TRAILERS:
            kept.append((name, value))
    repeat.trailers = listed
    repeat.trailers_kept = kept.copy()
    return kept


def request_fields(head: RequestHead, end: bool, scheme: Field) -> Fields:
    """The header list of a request. `end` = no body follows; `scheme` is the connection's field."""
    fields = [
        (b":method", head.method),
        scheme,
        (b":authority", head.authority),
        (b":path", head.path),
        *head.fields,
    ]
    if head.length is not None:
        fields.append((_LENGTH, b"0" if end else b"%d" % head.length))
    if head.expect_continue and not end:
        fields.append((b"expect", b"100-continue"))
    return fields


def connect_fields(head: RequestHead, scheme: Field) -> Fields:
    """The extended CONNECT that a WebSocket's HTTP/1 upgrade is here. Spec: RFC 8441 §4, §5."""
    return [
        (b":method", b"CONNECT"),
        (b":protocol", head.upgrade or WEBSOCKET),
        scheme,
        (b":authority", head.authority),
        (b":path", head.path),
        *(field for field in head.fields if field[0] != KEY),
    ]


def granted(request: RequestHead, response: ResponseHead) -> ResponseHead:
    """The 101 that a 2xx to `connect_fields(request)` means. Spec: RFC 6455 §4.2.2."""
    accept = (ACCEPT, accept_of(request.get(KEY) or b""))
    return ResponseHead(101, [*response.fields, (b"upgrade", WEBSOCKET), accept])
