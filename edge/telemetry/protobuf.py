"""The few pieces of protobuf that an OTLP span needs, with attribute bytes kept for reuse.

A key is made once at import; `KEY[value]` gives the whole encoded attribute, from a bounded
cache when that value was seen before. What differs on every request goes through `fresh`.
Spec: protobuf encoding; opentelemetry-proto trace.proto, common.proto.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Final

CACHED_VALUES: Final = 1024
"""Values kept for each key; when full, the key starts anew."""

_SHORT: Final = 2048
_DOUBLE: Final = Struct("<d")

_STRING_VALUE: Final = b"\x0a"
_BOOL_TRUE: Final = b"\x12\x02\x10\x01"
_BOOL_FALSE: Final = b"\x12\x02\x10\x00"
_ATTRIBUTE: Final = b"\x4a"
"""Field 9 of Span. Resource uses field 1 (`resource_attribute`)."""


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_VARINTS: Final = [_varint(number) for number in range(_SHORT)]


def varint(number: int) -> bytes:
    """Base-128 of 0..2^64-1."""
    return _VARINTS[number] if 0 <= number < _SHORT else _varint(number & 0xFFFFFFFFFFFFFFFF)


def delimited(tag: bytes, payload: bytes) -> bytes:
    """A length-delimited field."""
    return tag + varint(len(payload)) + payload


def utf8(value: bytes, limit: int) -> bytes:
    """`value` cut to `limit` bytes and made valid UTF-8, as protobuf strings must be."""
    if len(value) > limit:
        value = value[:limit]
    if value.isascii():
        return value
    return value.decode("utf-8", "replace").encode()


def _attribute(prefix: bytes, any_value: bytes) -> bytes:
    body = prefix + any_value
    return _ATTRIBUTE + varint(len(body)) + body


def _string(prefix: bytes, value: bytes) -> bytes:
    inner = _STRING_VALUE + varint(len(value)) + value
    body = prefix + b"\x12" + varint(len(inner)) + inner
    return _ATTRIBUTE + varint(len(body)) + body


def _key(name: str) -> bytes:
    return delimited(b"\x0a", name.encode("utf-8", "replace"))


class BytesKey(dict[bytes, bytes]):
    """A string attribute whose values come as bytes."""

    __slots__ = ("_limit", "_prefix")

    def __init__(self, name: str, limit_bytes: int) -> None:
        super().__init__()
        self._prefix = _key(name)
        self._limit = limit_bytes

    def fresh(self, value: bytes) -> bytes:
        """Encode without keeping."""
        return _string(self._prefix, utf8(value, self._limit))

    def __missing__(self, value: bytes) -> bytes:
        if len(self) >= CACHED_VALUES:
            self.clear()
        self[value] = encoded = self.fresh(value)
        return encoded


class TextKey(dict[str, bytes]):
    """A string attribute whose values come as str."""

    __slots__ = ("_limit", "_prefix")

    def __init__(self, name: str, limit_bytes: int) -> None:
        super().__init__()
        self._prefix = _key(name)
        self._limit = limit_bytes

    def fresh(self, value: str) -> bytes:
        """Encode without keeping."""
        return _string(self._prefix, utf8(value.encode("utf-8", "replace"), self._limit))

    def __missing__(self, value: str) -> bytes:
        if len(self) >= CACHED_VALUES:
            self.clear()
        self[value] = encoded = self.fresh(value)
        return encoded


class IntKey(dict[int, bytes]):
    """An integer attribute, 0 or more."""

    __slots__ = ("_prefix",)

    def __init__(self, name: str) -> None:
        super().__init__()
        self._prefix = _key(name)

    def fresh(self, value: int) -> bytes:
        """Encode without keeping."""
        return _attribute(self._prefix, delimited(b"\x12", b"\x18" + varint(value)))

    def __missing__(self, value: int) -> bytes:
        if len(self) >= CACHED_VALUES:
            self.clear()
        self[value] = encoded = self.fresh(value)
        return encoded


class DoubleKey:
    """A floating-point attribute; never kept."""

    __slots__ = ("_start",)

    def __init__(self, name: str) -> None:
        prefix = _key(name) + b"\x12\x09\x21"
        self._start = _ATTRIBUTE + varint(len(prefix) + 8) + prefix

    def fresh(self, value: float) -> bytes:
        """Encode."""
        return self._start + _DOUBLE.pack(value)


class ListKey:
    """A string[] attribute; never kept."""

    __slots__ = ("_limit", "_prefix")

    def __init__(self, name: str, limit_bytes: int) -> None:
        self._prefix = _key(name)
        self._limit = limit_bytes

    def fresh(self, values: Iterable[str]) -> bytes:
        """Encode."""
        entries = b"".join(
            delimited(b"\x0a", delimited(_STRING_VALUE, utf8(value.encode("utf-8", "replace"), self._limit)))
            for value in values
        )
        return _attribute(self._prefix, delimited(b"\x12", delimited(b"\x2a", entries)))


def boolean(name: str) -> tuple[bytes, bytes]:
    """Encoded attribute for (False, True)."""
    prefix = _key(name)
    return _attribute(prefix, _BOOL_FALSE), _attribute(prefix, _BOOL_TRUE)
