"""QPACK without a dynamic table: no state between field sections, so nothing to block or to poison.

Field lines are encoded once and remembered; a section is their concatenation. Spec: RFC 9204 §4.5.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from pylsqpack import Decoder, DecompressionFailed, Encoder, StreamBlocked

from edge.codec.h1.fields import CACHE_ENTRIES, CACHE_LINE_BYTES, UNKEPT
from edge.codec.h3.wire import Code, ConnectionFault
from edge.head import Field, Fields, ResponseHead
from edge.syntax import HOP_BY_HOP

_PREFIX: Final = b"\x00\x00"
_encoder: Final = Encoder()
_FIRST_FINAL: Final = 200
_NO_CONTENT: Final = 204
_NOT_MODIFIED: Final = 304
_JOIN: Final = b"".join


def _encoded(field: Field) -> bytes:
    try:
        return _encoder.encode(0, [field])[1][len(_PREFIX) :]
    except ValueError:
        # The encoder takes values up to 64 KiB.
        return literal(*field)


def literal(name: bytes, value: bytes) -> bytes:
    """A line that refers to no table and is not compressed. Spec: RFC 9204 §4.5.6."""
    return _prefixed(len(name), 3, 0x20) + name + _prefixed(len(value), 7, 0) + value


def _prefixed(value: int, bits: int, first: int) -> bytes:
    """Spec: RFC 7541 §5.1."""
    most = (1 << bits) - 1
    if value < most:
        return b"%c" % (first | value)
    rest = value - most
    made = bytearray((first | most,))
    while rest >= 0x80:
        made.append(rest & 0x7F | 0x80)
        rest >>= 7
    made.append(rest)
    return bytes(made)


class _Lines(dict[Field, bytes]):
    """Field → its line; bounded, and nothing secret or unique is kept. Hop-by-hop names give nothing."""

    def __missing__(self, field: Field) -> bytes:
        name, value = field
        line = b"" if name in HOP_BY_HOP else _encoded(field)
        if len(name) + len(value) <= CACHE_LINE_BYTES and name not in UNKEPT:
            if len(self) >= CACHE_ENTRIES:
                self.clear()
            self[field] = line
        return line


_lines: Final = _Lines()
_line_of: Final = _lines.__getitem__
_status: Final = {
    status.value: _PREFIX + _encoded((b":status", b"%d" % status.value)) for status in HTTPStatus
}


def encode_response(head: ResponseHead, end: bool, to_head: bool) -> bytes:
    """The field section of a response head; `end` = no body follows, `to_head` = it answers a HEAD."""
    status = head.status
    start = _status.get(status) or _PREFIX + _encoded((b":status", b"%d" % status))
    length = head.length
    if status < _FIRST_FINAL or status == _NO_CONTENT:
        length = None
    elif length is None and end and not to_head and status != _NOT_MODIFIED:
        length = 0
    section = start + _JOIN(map(_line_of, head.fields))
    if length is not None:
        section += _line_of((b"content-length", b"%d" % length))
    return section


def encode_trailers(fields: Fields) -> bytes:
    return _PREFIX + _JOIN(map(_line_of, fields))


def decode(decoder: Decoder, stream_id: int, section: bytes) -> Fields:
    """Fields of a section. Raises ConnectionFault. Spec: RFC 9204 §2.2."""
    if section == _PREFIX:
        # ls-qpack takes a section without lines for a broken one.
        return []
    try:
        return decoder.feed_header(stream_id, section)[1]
    except (DecompressionFailed, StreamBlocked) as error:
        # A reference to a table of capacity 0 can never be resolved.
        raise ConnectionFault(Code.QPACK_DECOMPRESSION_FAILED, "undecodable field section") from error


def lines_exceed(section: bytes, limit: int) -> bool:
    """Whether `section` holds more than `limit` lines. What is malformed is left to the decoder.

    A one-byte line decodes to hundreds of bytes, so a long section is counted before it is decoded.
    """
    at = _skip_int(section, _skip_int(section, 0, 8), 7)
    end = len(section)
    lines = 0
    while at < end:
        lines += 1
        if lines > limit:
            return True
        first = section[at]
        if first & 0x80:
            at = _skip_int(section, at, 6)
        elif first & 0x40:
            at = _skip_string(section, _skip_int(section, at, 4), 7)
        elif first & 0x20:
            at = _skip_string(section, _skip_string(section, at, 3), 7)
        else:
            return False
    return False


def _read_int(section: bytes, at: int, bits: int) -> tuple[int, int]:
    """Prefixed integer at `at`; beyond the end it is endless. Spec: RFC 7541 §5.1."""
    end = len(section)
    if at >= end:
        return 0, end
    most = (1 << bits) - 1
    value = section[at] & most
    at += 1
    if value < most:
        return value, at
    shift = 0
    while at < end and shift < 63:
        byte = section[at]
        at += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    return end, end


def _skip_int(section: bytes, at: int, bits: int) -> int:
    return _read_int(section, at, bits)[1]


def _skip_string(section: bytes, at: int, bits: int) -> int:
    size, at = _read_int(section, at, bits)
    return at + size
