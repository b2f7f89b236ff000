"""Bounded reading of numbers, names and types of the WASM binary format."""

from __future__ import annotations

from typing import Final

MAX_NAME_BYTES: Final = 256
MAX_VALUES: Final = 100
"""Parameters of one function type."""
_LETTERS: Final = {0x7F: "i", 0x7E: "I", 0x7D: "f", 0x7C: "F", 0x7B: "v", 0x70: "r", 0x6F: "x"}


class InvalidModule(Exception):
    """The bytes are no module we take; the text says what is wrong and where."""


class Reader:
    """Bounded reading of LEB128 numbers and names."""

    __slots__ = ("data", "end", "position")

    def __init__(self, data: bytes, start: int, end: int) -> None:
        self.data = data
        self.position = start
        self.end = end

    def byte(self) -> int:
        position = self.position
        if position >= self.end:
            raise InvalidModule(f"unexpected end at byte {position}")
        self.position = position + 1
        return self.data[position]

    def number(self) -> int:
        """An unsigned 32-bit LEB128."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift > 28:
                raise InvalidModule(f"number too long at byte {self.position}")
        if value > 0xFFFFFFFF:
            raise InvalidModule(f"number too large at byte {self.position}")
        return value

    def count(self, limit: int, what: str) -> int:
        value = self.number()
        if value > limit:
            raise InvalidModule(f"{value} {what}, at most {limit} are allowed")
        return value

    def name(self) -> str:
        size = self.number()
        start = self.position
        if size > MAX_NAME_BYTES:
            raise InvalidModule(
                f"a name of {size} bytes at byte {start}, at most {MAX_NAME_BYTES} are allowed"
            )
        if start + size > self.end:
            raise InvalidModule(f"unexpected end at byte {start}")
        self.position = start + size
        try:
            return self.data[start : start + size].decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidModule(f"a name that is not UTF-8 at byte {start}") from None

    def value_type(self) -> str:
        byte = self.byte()
        letter = _LETTERS.get(byte)
        if letter is None:
            raise InvalidModule(f"value type {byte:#x} at byte {self.position - 1} is not supported")
        return letter

    def value_types(self) -> str:
        return "".join(
            [self.value_type() for _ in range(self.count(MAX_VALUES, "values in a function type"))]
        )

    def limits(self, memory: bool) -> None:
        """Table or memory limits; shared, 64-bit and custom page sizes are refused."""
        flags = self.byte()
        if flags > 1:
            what = "memory64, shared memories and custom page sizes" if memory else "64-bit and shared tables"
            raise InvalidModule(f"{what} are not supported (flags {flags:#x})")
        self.number()
        if flags:
            self.number()

    def finish(self, what: str) -> None:
        if self.position != self.end:
            raise InvalidModule(f"the {what} section has {self.end - self.position} bytes too many")
