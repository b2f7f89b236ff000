"""Fields of HTTP/2 messages: what each one is, what it means, and which go on. Spec: RFC 9113 §8.2.

What breaks HTTP/2 itself raises `Malformed`, for which the stream is reset; what is well-formed
and still refused raises a plain BadRequest, which is answered with its status.
"""

from __future__ import annotations

import re
from enum import IntEnum
from itertools import chain
from typing import Any, Final

from edge.codec.hops import MAX_FORWARDS
from edge.errors import BadRequest
from edge.head import Field, Fields, ResponseHead
from edge.syntax import (
    ALWAYS_SINGLE,
    NEVER_IN_TRAILERS,
    TOKEN,
    canonical_authority,
    is_field_value,
    is_forwarding,
)

CACHE_ENTRIES: Final = 4096
CACHE_FIELD_BYTES: Final = 256
TRAILER_BYTES: Final = 16 << 10
TRAILER_FIELDS: Final = 100


class Malformed(BadRequest):
    """Not HTTP/2: the stream is reset with PROTOCOL_ERROR. Spec: RFC 9113 §8.1.1."""


class Kind(IntEnum):
    """What becomes of a field."""

    PLAIN = 0
    SINGLE = 1
    DROP = 2
    FRAME = 3
    """Leaves the fields; a second one is an error."""
    CRUMB = 4
    HOPS = 5


_CONNECTION_FIELDS: Final = frozenset(
    (b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade")
)
_KINDS: Final = {
    **dict.fromkeys(ALWAYS_SINGLE, Kind.SINGLE),
    b"content-length": Kind.FRAME,
    b"host": Kind.FRAME,
    b"expect": Kind.FRAME,
    b"te": Kind.SINGLE,
    b"cookie": Kind.CRUMB,
    MAX_FORWARDS: Kind.HOPS,
    b"http2-settings": Kind.DROP,
}
_FRAMING_NAMES: Final = _CONNECTION_FIELDS | set(_KINDS)
_SECRET: Final = frozenset((b"authorization", b"cookie", b"proxy-authorization"))
_UNIQUE: Final = (b"traceparent", b"x-request-id", b"x-b3-traceid", b"x-b3-spanid", b"b3", b"uber-trace-id")
_UNKEPT: Final = _SECRET.union(_UNIQUE, (b"grpc-timeout",))
_lower_name: Final = re.compile(rb"(?:(?![A-Z])" + TOKEN + rb")++").fullmatch
_digits: Final = re.compile(rb"[0-9]{1,18}").fullmatch
_flat: Final = chain.from_iterable
_TE_TRAILERS: Final = (b"te", b"trailers")
_KIND_ENTRIES: Final = 1024
_KIND_NAME_BYTES: Final = 64

Noted = tuple[Kind, bytes, Field | None, Any]
"""Kind, name, the field if it stays one, what its value means."""


class KnownFields(dict[Field, Field | None]):
    """Field as it came → the field it is, for fields that were judged before and mean nothing more."""

    def __init__(self, keep_forwarding: bool = False) -> None:
        super().__init__()
        self._keep_forwarding = keep_forwarding
        self.noted: list[Noted] = []

    def __missing__(self, field: Field) -> Field | None:
        if field == _TE_TRAILERS:
            self.noted.append(_TE_NOTED)
            return _TE_TRAILERS
        name, value = field
        kind = Kind.PLAIN if self._keep_forwarding and _is_telling(name) else _kinds[name]
        if value and not is_field_value(value):
            raise Malformed("malformed field value")
        kept = (name, value)
        if kind is Kind.PLAIN:
            if len(name) + len(value) <= CACHE_FIELD_BYTES and name not in _UNKEPT:
                if len(self) >= CACHE_ENTRIES:
                    self.clear()
                self[kept] = kept
            return kept
        if kind is Kind.DROP:
            return None
        if kind is Kind.SINGLE:
            if name == b"te":
                if value.lower() != b"trailers":
                    raise Malformed("te other than trailers")
                kept = _TE_TRAILERS
            self.noted.append((kind, name, kept, None))
            return kept
        self.noted.append((kind, name, None, _meaning(name, value)))
        return None


def _is_telling(name: bytes) -> bool:
    return is_forwarding(name) and _lower_name(name) is not None


def _kind(name: bytes) -> Kind:
    if _lower_name(name) is None:
        raise Malformed("malformed field name")
    if name in _CONNECTION_FIELDS:
        raise Malformed("field of an HTTP/1 connection")
    if is_forwarding(name):
        return Kind.DROP
    if b"_" in name and name.replace(b"_", b"-") in _FRAMING_NAMES:
        raise BadRequest("underscored spelling of a field that frames or routes")
    return _KINDS.get(name, Kind.PLAIN)


class _KnownKinds(dict[bytes, Kind]):
    """Name → what becomes of its fields, for names that were judged before."""

    def __missing__(self, name: bytes) -> Kind:
        kind = _kind(name)
        if len(name) <= _KIND_NAME_BYTES:
            if len(self) >= _KIND_ENTRIES:
                self.clear()
            self[name] = kind
        return kind


_kinds: Final = _KnownKinds()
_TE_NOTED: Final[Noted] = (Kind.SINGLE, b"te", _TE_TRAILERS, None)


def _meaning(name: bytes, value: bytes) -> Any:
    if name == b"content-length":
        if _digits(value) is None:
            raise Malformed("malformed content-length")
        return int(value)
    if name == b"host":
        return authority(value)
    return value


def authority(value: bytes) -> bytes:
    """`canonical_authority`; one that has no canonical form is malformed. Spec: RFC 9113 §8.3.1."""
    try:
        return canonical_authority(value)
    except BadRequest as error:
        raise Malformed(error.detail) from None


def framing_fields(noted: list[Noted]) -> dict[bytes, Any]:
    """What the fields noted mean together; crumbs as a list under `cookie`."""
    found: dict[bytes, Any] = {}
    singles: set[bytes] = set()
    for kind, name, _, meaning in noted:
        if kind is Kind.CRUMB:
            found.setdefault(name, []).append(meaning)
        elif name in found or name in singles:
            error = Malformed if kind is Kind.FRAME else BadRequest
            raise error(f"two {name.decode()} fields")
        elif kind is Kind.SINGLE:
            singles.add(name)
        else:
            found[name] = meaning
    return found


def parse_trailers(listed: tuple[Field, ...]) -> Fields:
    """The trailer fields that may be forwarded. Raises Malformed. Spec: RFC 9113 §8.1, RFC 9110 §6.5.1."""
    if len(listed) > TRAILER_FIELDS or sum(map(len, _flat(listed))) > TRAILER_BYTES:
        raise Malformed("too many or too large trailers")
    kept: Fields = []
    for name, value in listed:
        if _lower_name(name) is None or (value and not is_field_value(value)) or name in _CONNECTION_FIELDS:
            raise Malformed("malformed trailer")
        if name == b"content-length":
            raise Malformed("content-length after the body")
        if name.replace(b"_", b"-") not in NEVER_IN_TRAILERS and not is_forwarding(name):
            kept.append((name, value))
    return kept


_statuses: Final = {status: (b":status", b"%d" % status) for status in range(100, 600)}


def response_fields(head: ResponseHead, with_length: bool) -> Fields:
    """The header list of a response; `with_length` = a content-length is told if there is one."""
    if with_length and head.length is not None:
        return [_statuses[head.status], *head.fields, (b"content-length", b"%d" % head.length)]
    return [_statuses[head.status], *head.fields]
