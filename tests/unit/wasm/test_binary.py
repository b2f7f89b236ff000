"""The reader of declarations: what it finds, and one exact refusal for each malformed module."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.wasm import binary
from edge.wasm.binary import FuncSig, Import, inspect
from edge.wasm.module import assemble
from edge.wasm.names import compiled_form, function_names
from edge.wasm.reader import InvalidModule
from tests.unit.wasm.binaries import (
    HEAD,
    NOP_CODE,
    NOP_FUNCTION,
    NOP_TYPE,
    custom,
    leb,
    many_exports,
    module,
    name,
    section,
    vector,
)

RICH = """(module
  (import "env" "proxy_log" (func (param i32 i32 i32) (result i32)))
  (import "env" "wide" (func (param i64 f32 f64)))
  (import "env" "g" (global i32))
  (table 2 funcref)
  (memory (export "memory") 1)
  (global (export "version") i32 (i32.const 1))
  (func $start)
  (func $add (export "add") (param i32 i64) (result f64) (f64.const 0))
  (start $start))"""


def test_imports_exports_and_counts_are_found() -> None:
    found = inspect(assemble(RICH))
    assert found.imports == [
        Import("env", "proxy_log", "func", "iii", "i"),
        Import("env", "wide", "func", "IfF", ""),
        Import("env", "g", "global", "", ""),
    ]
    assert found.exports == {"memory": "memory", "version": "global", "add": FuncSig("iI", "F")}
    assert (found.memories, found.tables, found.functions, found.has_start) == (1, 1, 4, True)


def test_imported_memories_and_tables_are_counted_with_own_ones() -> None:
    found = inspect(
        assemble('(module (import "m" "m" (memory 1)) (import "m" "t" (table 1 funcref)) (memory 1 2))')
    )
    assert (found.memories, found.tables) == (2, 1)
    assert [entry.kind for entry in found.imports] == ["memory", "table"]


LONG = "n" * 257
MALFORMED: list[tuple[bytes, str]] = [
    (b"", "not a WASM binary (it does not start with \\0asm)"),
    (b"\x7fELF" + bytes(60), "not a WASM binary (it does not start with \\0asm)"),
    (b"\0asm\x0d\0\x01\0", "version 0d000100 is not a core module of version 1"),
    (HEAD + b"\x01\x05", "section 1 at byte 8 goes past the end"),
    (HEAD + b"\x01", "unexpected end at byte 9"),
    (HEAD + b"\x01\x80\x80\x80\x80\x80\x00", "number too long at byte 14"),
    (HEAD + b"\x01\xff\xff\xff\xff\x7f", "number too large at byte 14"),
    (module(section(99, b"")), "section 99 is not supported"),
    (module(section(13, b"\0")), "section 13 is not supported"),
    (module(NOP_FUNCTION, NOP_TYPE), "section 1 at byte 12 is out of order"),
    (module(NOP_TYPE, NOP_TYPE), "section 1 at byte 14 is out of order"),
    (module(section(1, b"\1\x5f\0")), "type form 0x5f is not supported (GC types are off)"),
    (module(section(1, b"\1\x60\1\x63\0")), "value type 0x63 at byte 13 is not supported"),
    (module(section(1, b"\1\x60\0\0\0")), "the type section has 1 bytes too many"),
    (module(section(1, leb(5001))), "5001 types, at most 5000 are allowed"),
    (module(section(1, b"\1\x60" + leb(101))), "101 values in a function type, at most 100 are allowed"),
    (module(section(2, leb(1001))), "1001 imports, at most 1000 are allowed"),
    (module(section(2, b"\1" + name("a") + name("b") + b"\4\0\0")), "import a.b is of kind 4"),
    (module(section(2, b"\1" + name("a") + name("b") + b"\0\7")), "there is no type 7"),
    (module(section(2, b"\1" + name(LONG))), "a name of 257 bytes at byte 14, at most 256 are allowed"),
    (module(section(2, b"\1" + name(b"\xff\xfe"))), "a name that is not UTF-8 at byte 12"),
    (module(section(2, b"\1\x7fabc")), "unexpected end at byte 12"),
    (module(section(3, leb(50_001))), "50001 functions, at most 50000 are allowed"),
    (module(section(3, b"\1\0")), "there is no type 0"),
    (module(section(5, vector(b"\3\1\1"))), "memory64, shared memories and custom page sizes are not"),
    (module(section(5, vector(b"\4\1"))), "memory64, shared memories and custom page sizes are not"),
    (module(section(5, leb(17))), "17 memories, at most 16 are allowed"),
    (module(section(4, leb(17))), "17 tables, at most 16 are allowed"),
    (many_exports(1001), "1001 exports, at most 1000 are allowed"),
    (module(section(7, vector(name("x") + b"\0\0"))), "export x names function 0, which does not exist"),
    (module(section(7, vector(name("x") + b"\4\0"))), "export x is of kind 4"),
    (
        module(NOP_TYPE, NOP_FUNCTION, section(7, vector(*[name("x") + b"\0\0"] * 2)), NOP_CODE),
        "two exports are called x",
    ),
    (module(*[custom("c")] * 101), "more than 100 sections"),
]


@pytest.mark.parametrize("row", range(len(MALFORMED)))
def test_a_malformed_module_is_refused_with_its_reason(row: int) -> None:
    wasm, reason = MALFORMED[row]
    with pytest.raises(InvalidModule) as caught:
        inspect(wasm)
    assert str(caught.value).startswith(reason)


def test_all_malformed_rows_are_there() -> None:
    assert len(MALFORMED) == 33


def test_a_module_over_the_size_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary, "MODULE_BYTES", 7)
    with pytest.raises(InvalidModule, match="8 bytes, at most 7 are allowed"):
        inspect(HEAD)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutated_modules_are_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    wasm = bytearray(assemble(RICH))
    for _ in range(data.draw(st.integers(1, 4))):
        wasm[data.draw(st.integers(0, len(wasm) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = inspect(bytes(wasm[: data.draw(st.integers(0, len(wasm)))]))
    except InvalidModule:
        return
    assert len(found.imports) <= binary.MAX_ENTRIES


def test_custom_sections_are_dropped_from_what_is_compiled_but_for_names() -> None:
    wasm = assemble('(module (func $first) (func $second (export "e")))')
    wasm += custom(".debug_info", bytes(10_000))
    compiled = compiled_form(wasm, "guest")
    assert len(compiled) < 100
    assert b".debug_info" not in compiled
    assert inspect(compiled).exports == inspect(wasm).exports
    assert function_names(compiled) == function_names(wasm) == {0: "first", 1: "second"}
    assert compiled_form(compiled, "guest") == compiled


def names_of(*names: tuple[int, bytes]) -> bytes:
    entries = [leb(index) + name(text) for index, text in names]
    return module(custom("name", section(1, vector(*entries))))


def test_names_are_cut_and_made_printable() -> None:
    wasm = names_of((7, b"x" * 5000), (2, b"a\nERROR forged\x1b[31m"), (3, b"\xff"))
    assert function_names(wasm) == {7: "x" * 200, 2: "a?ERROR forged?[31m", 3: "\ufffd"}
    assert function_names(compiled_form(wasm, "guest")) == function_names(wasm)


@pytest.mark.parametrize("content", [b"\x01\x80", b"\x01\x03\x05\x00\x01", b"\x01\xff\xff\x7f"])
def test_a_broken_name_section_gives_no_names_and_no_error(content: bytes) -> None:
    assert function_names(module(custom("name", content))) == {}
