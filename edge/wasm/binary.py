"""A strict reader of what a module declares, in plain Python, before any engine sees the bytes.

It reads types, imports, exports, counts and the order of sections. Bodies are the engine's business
(in the compile child); a hostile module costs at most a few milliseconds here.
Spec: WebAssembly Core 2.0 §5.5.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from edge.wasm.reader import InvalidModule, Reader

MAGIC: Final = b"\0asm"
VERSION: Final = b"\x01\0\0\0"
MODULE_BYTES: Final = 16 << 20
"""A Go guest has about 5 MiB."""
MAX_ENTRIES: Final = 1_000
"""Imports, exports. The largest real guests have about 100 of each."""
MAX_TYPES: Final = 5_000
MAX_FUNCTIONS: Final = 50_000
"""Go guests come to 10,000; reading this many costs 10 ms."""
MAX_TABLES: Final = 16
MAX_MEMORIES: Final = 16
MAX_SECTIONS: Final = 100

CUSTOM, TYPE, IMPORT, FUNCTION, TABLE, MEMORY, GLOBAL, EXPORT, START = range(9)
_ORDER: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 7, 7: 8, 8: 9, 9: 10, 12: 11, 10: 12, 11: 13}
"""Section id to its place; what is missing here belongs to a proposal that is off."""
_KINDS: Final = ("func", "table", "memory", "global")


class FuncSig(NamedTuple):
    """One letter a value: i = i32, I = i64, f = f32, F = f64, v = v128, r = funcref, x = externref."""

    params: str
    results: str


class Import(NamedTuple):
    """`kind` is func, table, memory or global; the signature is empty for all but func."""

    module: str
    name: str
    kind: str
    params: str
    results: str


class Section(NamedTuple):
    """`start` .. `end` is the content, `head` the place of the id byte before it."""

    id: int
    head: int
    start: int
    end: int


class Inspection:
    """What a module declares. `exports` gives the signature, or the kind for other than functions.

    `memories` and `tables` count imported and own ones together. `sections` are in file order.
    """

    __slots__ = ("exports", "functions", "has_start", "imports", "memories", "sections", "tables")

    def __init__(self, sections: list[Section]) -> None:
        self.sections = sections
        self.imports: list[Import] = []
        self.exports: dict[str, FuncSig | str] = {}
        self.memories = 0
        self.tables = 0
        self.functions = 0
        self.has_start = False


def inspect(wasm: bytes) -> Inspection:
    """Read the declarations of `wasm`. Raises InvalidModule."""
    sections = read_sections(wasm)
    found = Inspection(sections)
    by_id = {section.id: Reader(wasm, section.start, section.end) for section in sections if section.id}
    types = _types(by_id.get(TYPE))
    functions = _imports(by_id.get(IMPORT), types, found)
    functions += _functions(by_id.get(FUNCTION), types)
    _count_memories_and_tables(by_id, found)
    found.functions = len(functions)
    found.has_start = START in by_id
    _exports(by_id.get(EXPORT), types, functions, found)
    return found


def read_sections(wasm: bytes) -> list[Section]:
    """Frame of the binary: magic, version, sections in order and inside the file."""
    if len(wasm) > MODULE_BYTES:
        raise InvalidModule(f"{len(wasm)} bytes, at most {MODULE_BYTES} are allowed")
    if wasm[:4] != MAGIC:
        raise InvalidModule("not a WASM binary (it does not start with \\0asm)")
    if wasm[4:8] != VERSION:
        raise InvalidModule(f"version {wasm[4:8].hex()} is not a core module of version 1")
    reader = Reader(wasm, 8, len(wasm))
    sections: list[Section] = []
    place = 0
    while reader.position < reader.end:
        if len(sections) >= MAX_SECTIONS:
            raise InvalidModule(f"more than {MAX_SECTIONS} sections")
        head = reader.position
        number = reader.byte()
        size = reader.number()
        start = reader.position
        if start + size > reader.end:
            raise InvalidModule(f"section {number} at byte {head} goes past the end")
        if number:
            if number not in _ORDER:
                raise InvalidModule(f"section {number} is not supported")
            if _ORDER[number] <= place:
                raise InvalidModule(f"section {number} at byte {head} is out of order")
            place = _ORDER[number]
        reader.position = start + size
        sections.append(Section(number, head, start, start + size))
    return sections


def _types(reader: Reader | None) -> list[FuncSig]:
    if reader is None:
        return []
    types = []
    for _ in range(reader.count(MAX_TYPES, "types")):
        form = reader.byte()
        if form != 0x60:
            raise InvalidModule(f"type form {form:#x} is not supported (GC types are off)")
        types.append(FuncSig(reader.value_types(), reader.value_types()))
    reader.finish("type")
    return types


def _imports(reader: Reader | None, types: list[FuncSig], found: Inspection) -> list[int]:
    """Type indices of the imported functions."""
    functions: list[int] = []
    if reader is None:
        return functions
    for _ in range(reader.count(MAX_ENTRIES, "imports")):
        module, name, kind = reader.name(), reader.name(), reader.byte()
        signature = FuncSig("", "")
        if kind >= len(_KINDS):
            raise InvalidModule(f"import {module}.{name} is of kind {kind}, which is not supported")
        if kind == 0:
            index = reader.number()
            signature = _type(types, index)
            functions.append(index)
        elif kind == 3:
            reader.value_type()
            reader.byte()
        else:
            if kind == 1:
                reader.value_type()
                found.tables += 1
            else:
                found.memories += 1
            reader.limits(memory=kind != 1)
        found.imports.append(Import(module, name, _KINDS[kind], *signature))
    reader.finish("import")
    return functions


def _type(types: list[FuncSig], index: int) -> FuncSig:
    if index >= len(types):
        raise InvalidModule(f"there is no type {index}")
    return types[index]


def _functions(reader: Reader | None, types: list[FuncSig]) -> list[int]:
    if reader is None:
        return []
    indices = [reader.number() for _ in range(reader.count(MAX_FUNCTIONS, "functions"))]
    reader.finish("function")
    if indices:
        _type(types, max(indices))
    return indices


def _count_memories_and_tables(by_id: dict[int, Reader], found: Inspection) -> None:
    memories = by_id.get(MEMORY)
    if memories is not None:
        own = memories.count(MAX_MEMORIES, "memories")
        for _ in range(own):
            memories.limits(memory=True)
        memories.finish("memory")
        found.memories += own
    tables = by_id.get(TABLE)
    if tables is not None:
        found.tables += tables.count(MAX_TABLES, "tables")


def _exports(reader: Reader | None, types: list[FuncSig], functions: list[int], found: Inspection) -> None:
    if reader is None:
        return
    for _ in range(reader.count(MAX_ENTRIES, "exports")):
        name, kind, index = reader.name(), reader.byte(), reader.number()
        if kind >= len(_KINDS):
            raise InvalidModule(f"export {name} is of kind {kind}, which is not supported")
        if name in found.exports:
            raise InvalidModule(f"two exports are called {name}")
        if kind == 0:
            if index >= len(functions):
                raise InvalidModule(f"export {name} names function {index}, which does not exist")
            found.exports[name] = _type(types, functions[index])
        else:
            found.exports[name] = _KINDS[kind]
    reader.finish("export")
