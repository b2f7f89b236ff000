"""Variable-length integers and HTTP/3 frames as bytes. Spec: RFC 9000 §16, RFC 9114 §7."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Frame(IntEnum):
    """Frame types. Spec: RFC 9114 §7.2."""

    DATA = 0x0
    HEADERS = 0x1
    CANCEL_PUSH = 0x3
    SETTINGS = 0x4
    PUSH_PROMISE = 0x5
    GOAWAY = 0x7
    MAX_PUSH_ID = 0xD


class Code(IntEnum):
    """Error codes. Spec: RFC 9114 §8.1, RFC 9204 §6."""

    NO_ERROR = 0x100
    INTERNAL_ERROR = 0x102
    CLOSED_CRITICAL_STREAM = 0x104
    FRAME_UNEXPECTED = 0x105
    FRAME_ERROR = 0x106
    EXCESSIVE_LOAD = 0x107
    REQUEST_REJECTED = 0x10B
    REQUEST_CANCELLED = 0x10C
    REQUEST_INCOMPLETE = 0x10D
    MESSAGE_ERROR = 0x10E
    CONNECT_ERROR = 0x10F
    QPACK_DECOMPRESSION_FAILED = 0x200


class ConnectionFault(Exception):
    """The client broke a rule that ends the whole connection with `code`."""

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


NOT_ON_REQUEST_STREAMS: Final = frozenset((0x2, 0x3, 0x4, 0x5, 0x6, 0x7, 0x8, 0x9, 0xD))
"""Frames of the control stream, pushes, and what HTTP/2 has and HTTP/3 reserves. RFC 9114 §7.2.8."""


def varint(value: int) -> bytes:
    """`value` (0..2**62-1) in its shortest form."""
    if value < 0x40:
        return b"%c" % value
    if value < 0x4000:
        return (value | 0x4000).to_bytes(2, "big")
    if value < 0x4000_0000:
        return (value | 0x8000_0000).to_bytes(4, "big")
    return (value | 0xC000_0000_0000_0000).to_bytes(8, "big")


def integer(data: bytes, at: int, end: int) -> tuple[int, int]:
    """(value, where it ends); the end is 0 when `data` ends, at `end`, before it does."""
    if at >= end:
        return 0, 0
    first = data[at]
    if first < 0x40:
        return first, at + 1
    stop = at + (1 << (first >> 6))
    if stop > end:
        return 0, 0
    return int.from_bytes(data[at:stop], "big") & ((1 << (8 * (stop - at) - 2)) - 1), stop


def read_varint(data: bytes, at: int) -> tuple[int, int] | None:
    """(value, where it ends), or None when `data` ends before it does."""
    value, end = integer(data, at, len(data))
    return (value, end) if end else None


def read_frame_head(data: bytes, at: int) -> tuple[int, int, int] | None:
    """(type, length, where the payload begins), or None when `data` ends before it does."""
    if at + 3 <= len(data) and data[at] < 0x40 <= data[at + 1] < 0x80:
        # A short type and a length of two bytes, as nearly all heads have.
        return data[at], (data[at + 1] & 0x3F) << 8 | data[at + 2], at + 3
    kind = read_varint(data, at)
    length = read_varint(data, kind[1]) if kind is not None else None
    return (kind[0], *length) if kind is not None and length is not None else None


def headers_frame(block: bytes) -> bytes:
    return b"\x01" + varint(len(block)) + block


def data_frame(data: bytes) -> bytes:
    return b"\x00" + varint(len(data)) + data


def goaway_frame(stream_id: int) -> bytes:
    identifier = varint(stream_id)
    return b"\x07" + varint(len(identifier)) + identifier
