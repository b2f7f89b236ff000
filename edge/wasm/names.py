"""Custom sections: dropped from what is compiled, but for a name section that we write anew.

Its names are shown in backtraces, so they are cut, made printable and bounded in number. DWARF
stays in the guest's own bytes, which the store keeps.
"""

from __future__ import annotations

from typing import Final

from edge.wasm.binary import MAX_FUNCTIONS, read_sections
from edge.wasm.reader import InvalidModule, Reader

MAX_SYMBOL_BYTES: Final = 200
"""Names of C++ templates and Rust closures are longer; the beginning tells enough."""
_MODULE, _FUNCTIONS = 0, 1


def compiled_form(wasm: bytes, module_name: str) -> bytes:
    """`wasm` with no custom section but names: `module_name`, and its functions' as far as given."""
    parts = [wasm[:8]]
    parts += [wasm[section.head : section.end] for section in read_sections(wasm) if section.id]
    names = function_names(wasm)
    content = [_sized(b"name"), _subsection(_MODULE, _sized(module_name.encode()))]
    if names:
        entries = [_number(index) + _sized(names[index].encode()) for index in sorted(names)]
        content.append(_subsection(_FUNCTIONS, _number(len(entries)) + b"".join(entries)))
    parts.append(b"\0" + _sized(b"".join(content)))
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
        if kind == _FUNCTIONS and stop <= reader.end:
            inner = Reader(reader.data, reader.position, stop)
            for _ in range(inner.count(MAX_FUNCTIONS, "names")):
                index = inner.number()
                names[index] = _symbol(inner)
        reader.position = stop
    return names


def _symbol(reader: Reader) -> str:
    size = reader.number()
    start = reader.position
    if start + size > reader.end:
        raise InvalidModule(f"unexpected end at byte {start}")
    reader.position = start + size
    text = reader.data[start : start + min(size, MAX_SYMBOL_BYTES)].decode("utf-8", "replace")
    # Backtraces go to logs: a line break or an escape sequence in a name would forge lines.
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def _subsection(kind: int, content: bytes) -> bytes:
    return bytes([kind]) + _sized(content)


def _sized(content: bytes) -> bytes:
    return _number(len(content)) + content


def _number(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
