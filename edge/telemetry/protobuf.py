"""The few pieces of protobuf that an OTLP span needs, with attribute bytes kept for reuse.

A key is made once at import; `KEY[value]` gives the whole encoded attribute, from a bounded
cache when that value was seen before. What differs on every request goes through `fresh`.
Spec: protobuf encoding; opentelemetry-proto trace.proto, common.proto.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from struct import Struct
from typing import Final, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)

CACHED_VALUES: Final = 1024
"""Values kept for each key; when full, the key starts anew."""

KEPT_BYTES: Final = 256
"""Longer values are never kept: strangers choose some of them."""

_SHORT: Final = 2048

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
_ONE_BYTE: Final = 126
"""A string shorter than this has a length of one byte, and so has the value around it."""
_SHORT_STRINGS: Final = [bytes((0x12, size + 2, 0x0A, size)) for size in range(_ONE_BYTE)]
"""What stands before a short string: the value's tag and length, the string's tag and length."""


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
    size = len(value)
    if size < _ONE_BYTE and len(prefix) < _ONE_BYTE:
        # All lengths but the last are a byte each.
        whole = _VARINTS[len(prefix) + size + 4]
        return b"".join((_ATTRIBUTE, whole, prefix, _SHORT_STRINGS[size], value))
    inner = _STRING_VALUE + varint(size) + value
    body = prefix + b"\x12" + varint(len(inner)) + inner
    return _ATTRIBUTE + varint(len(body)) + body


def _key(name: str) -> bytes:
    return delimited(b"\x0a", name.encode("utf-8", "replace"))


class Kept(dict[KeyT, bytes]):
    """Encoded bytes of what is often the same: made by `make` when first asked for, bounded."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[KeyT], bytes]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: KeyT) -> bytes:
        if len(self) >= CACHED_VALUES:
            self.clear()
        self[key] = made = self._make(key)
        return made


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
        if len(value) > KEPT_BYTES:
            return self.fresh(value)
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
        if len(value) > KEPT_BYTES:
            return self.fresh(value)
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


class DoubleKeys:
    """Floating-point attributes that always come together; never kept."""

    __slots__ = ("_pack", "form", "size", "starts")

    def __init__(self, *names: str) -> None:
        keys = [_key(name) + b"\x12\x09\x21" for name in names]
        self.starts = tuple(_ATTRIBUTE + varint(len(key) + 8) + key for key in keys)
        """What comes before each value."""
        self.form = "".join(f"{len(start)}sd" for start in self.starts)
        """Of a `Struct` that packs each start and its value, for who packs more in one call."""
        whole = Struct("<" + self.form)
        self.size = whole.size
        self._pack = whole.pack

    def fresh(self, first: float, second: float, third: float) -> bytes:
        """Encode three, in the order of the names."""
        starts = self.starts
        return self._pack(starts[0], first, starts[1], second, starts[2], third)


class ListKey(dict[tuple[str, ...], bytes]):
    """A string[] attribute."""

    __slots__ = ("_limit", "_prefix")

    def __init__(self, name: str, limit_bytes: int) -> None:
        super().__init__()
        self._prefix = _key(name)
        self._limit = limit_bytes

    def fresh(self, values: Iterable[str]) -> bytes:
        """Encode without keeping."""
        entries = b"".join(
            delimited(b"\x0a", delimited(_STRING_VALUE, utf8(value.encode("utf-8", "replace"), self._limit)))
            for value in values
        )
        return _attribute(self._prefix, delimited(b"\x12", delimited(b"\x2a", entries)))

    def __missing__(self, values: tuple[str, ...]) -> bytes:
        if sum(map(len, values)) > KEPT_BYTES:
            return self.fresh(values)
        if len(self) >= CACHED_VALUES:
            self.clear()
        self[values] = encoded = self.fresh(values)
        return encoded


def boolean(name: str) -> tuple[bytes, bytes]:
    """Encoded attribute for (False, True)."""
    prefix = _key(name)
    return _attribute(prefix, _BOOL_FALSE), _attribute(prefix, _BOOL_TRUE)
