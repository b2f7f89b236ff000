"""Custom sections: dropped from what is compiled, function names kept for backtraces."""

from __future__ import annotations

from typing import Final

from edge.wasm.binary import MAX_FUNCTIONS, read_sections
from edge.wasm.reader import InvalidModule, Reader

MAX_SYMBOL_BYTES: Final = 1024
"""Longer names (C++ templates, Rust closures) are cut."""


def compiled_form(wasm: bytes, module_name: str) -> bytes:
    """`wasm` without custom sections, but with `module_name`, which frames of traps then show."""
    parts = [wasm[:8]]
    parts += [wasm[section.head : section.end] for section in read_sections(wasm) if section.id]
    name = _sized(module_name.encode())
    content = _sized(b"name") + b"\0" + _sized(name)
    parts.append(b"\0" + _sized(content))
    return b"".join(parts)


def function_names(wasm: bytes) -> dict[int, str]:
    """Names by function index from the name section; empty when there is none or it is broken.

    Spec: WebAssembly Core 2.0 appendix, name section, subsection 1.
    """
    for section in read_sections(wasm):
        if section.id == 0 and wasm[section.start : section.start + 5] == b"\x04name":
            try:
                return _subsections(Reader(wasm, section.start + 5, section.end))
            except InvalidModule:
                return {}
    return {}


def _subsections(reader: Reader) -> dict[int, str]:
    names: dict[int, str] = {}
    while reader.position < reader.end:
        kind, size = reader.byte(), reader.number()
        stop = reader.position + size
        if kind == 1 and stop <= reader.end:
            inner = Reader(reader.data, reader.position, stop)
            for _ in range(inner.count(MAX_FUNCTIONS, "names")):
                index = inner.number()
                names[index] = _symbol(inner)
        reader.position = stop
    return names


def _symbol(reader: Reader) -> str:
    size = reader.number()
    start = reader.position
    reader.position = start + size
    text = reader.data[start : min(start + min(size, MAX_SYMBOL_BYTES), reader.end)]
    return text.decode("utf-8", "replace")


def _sized(content: bytes) -> bytes:
    size = len(content)
    encoded = bytearray()
    while size >= 0x80:
        encoded.append(size & 0x7F | 0x80)
        size >>= 7
    encoded.append(size)
    return bytes(encoded) + content
