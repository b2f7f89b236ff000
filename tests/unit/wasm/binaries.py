"""Hand-made module binaries, valid and not."""

from __future__ import annotations

HEAD = b"\0asm\x01\0\0\0"


def leb(number: int) -> bytes:
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def section(number: int, content: bytes) -> bytes:
    return bytes([number]) + leb(len(content)) + content


def name(text: str | bytes) -> bytes:
    encoded = text.encode() if isinstance(text, str) else text
    return leb(len(encoded)) + encoded


def custom(title: str, content: bytes = b"") -> bytes:
    return section(0, name(title) + content)


def module(*sections: bytes) -> bytes:
    return HEAD + b"".join(sections)


def vector(*entries: bytes) -> bytes:
    return leb(len(entries)) + b"".join(entries)


NOP_TYPE = section(1, vector(b"\x60\0\0"))
NOP_FUNCTION = section(3, vector(b"\0"))
NOP_CODE = section(10, vector(b"\2\0\x0b"))


def one_function(body: bytes, exports: bytes = b"") -> bytes:
    """One function (i32) -> i32 with `body`, and a memory."""
    code = b"\0" + body + b"\x0b"
    return module(
        section(1, vector(b"\x60\1\x7f\1\x7f")),
        section(3, vector(b"\0")),
        section(5, vector(b"\0\1")),
        exports,
        section(10, vector(leb(len(code)) + code)),
    )


def many_exports(count: int) -> bytes:
    entries = [name(f"e{k}") + b"\0\0" for k in range(count)]
    return module(NOP_TYPE, NOP_FUNCTION, section(7, vector(*entries)), NOP_CODE)
