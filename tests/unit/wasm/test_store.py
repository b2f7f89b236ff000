"""Stores: calls, memory, host functions, limits, and each trap by its code."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from edge.wasm import budget as budgets
from edge.wasm.host_function import HostFunction
from edge.wasm.module import Module, ModuleError, assemble
from edge.wasm.names import compiled_form
from edge.wasm.store import Store, StoreLimits
from edge.wasm.trap import MAX_FRAMES, Trap
from tests.unit.wasm.guests import Running, compiled

ADD = '(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))'


def test_a_call_takes_arguments_and_gives_the_result() -> None:
    assert Running(ADD).call("add", 3, 4) == 7
    assert Running(ADD).call("add", -1, 0) == 0xFFFFFFFF


def test_a_bound_call_works_through_the_shared_argument_array() -> None:
    running = Running(ADD)
    store = running.store
    add = store.bind(running.extern("add"), 2)
    for left in range(100):
        store.budget.call += 1
        store.args[0], store.args[2] = left, 1
        assert not add() and not store.failed[0]
        assert store.args[0] & 0xFFFFFFFF == left + 1


def test_a_bound_call_keeps_its_store_alive() -> None:
    running = Running(ADD)
    add, args = running.store.bind(running.extern("add"), 2), running.store.args
    del running
    gc.collect()
    args[0], args[2] = 20, 22
    assert not add()
    assert args[0] == 42


def test_a_view_of_memory_keeps_its_store_alive_and_is_the_guests_memory() -> None:
    running = Running(
        '(module (memory (export "m") 1 1) (func (export "peek") (result i32) (i32.load8_u (i32.const 5))))'
    )
    view = running.store.memory(running.extern("m"))
    view[5] = 99
    assert len(view) == 65_536 == running.store.memory_size(running.extern("m"))()
    assert running.call("peek") == 99
    del running
    gc.collect()
    assert view[5] == 99


def test_a_store_that_is_gone_leaves_no_budget_behind() -> None:
    gc.collect()
    before = len(budgets._budgets)
    running = Running(ADD)
    assert len(budgets._budgets) == before + 1
    del running
    gc.collect()
    assert len(budgets._budgets) == before


def test_a_missing_export_is_a_key_error_with_its_name() -> None:
    with pytest.raises(KeyError, match="nothing"):
        Running(ADD).extern("nothing")


def test_only_functions_can_be_bound_and_only_memories_viewed() -> None:
    running = Running('(module (memory (export "m") 1) (func (export "f")))')
    with pytest.raises(TypeError, match="not a function"):
        running.store.bind(running.extern("m"), 0)
    with pytest.raises(TypeError, match="not a memory"):
        running.store.memory(running.extern("f"))


def test_instances_are_linked_to_each_other_by_name() -> None:
    store = Store(StoreLimits())
    inner = store.instantiate(compiled(ADD))
    outer = Running(
        '(module (import "s" "add" (func $a (param i32 i32) (result i32)))'
        ' (func (export "twice") (param i32) (result i32) (call $a (local.get 0) (local.get 0))))',
        ((inner, b"add"),),
        store=store,
    )
    assert outer.call("twice", 21) == 42


CALLS_HOST = """(module (import "h" "f" (func $f (param i32 i64 f32 f64) (result i32)))
  (func (export "go") (result i32)
    (call $f (i32.const -7) (i64.const 123456789012) (f32.const 1) (f64.const 2))))"""


def test_a_host_function_sees_its_environment_and_arguments_and_answers() -> None:
    seen: list[tuple[int, int, int]] = []

    def answer(env: int, values: Any) -> None:
        seen.append((env, values[0] & 0xFFFFFFFF, values[2]))
        values[0] = 42

    function = HostFunction("f", "iIfF", "i", answer)
    store = Store(StoreLimits())
    assert Running(CALLS_HOST, (store.define(function, 5),), store=store).call("go") == 42
    assert seen == [(5, 0xFFFFFFF9, 123456789012)]


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt(), MemoryError(), SystemExit(3)])
def test_a_host_function_that_raises_becomes_a_trap(error: BaseException) -> None:
    def fail(_env: int, _values: Any) -> None:
        raise error

    function = HostFunction("h.f", "iIfF", "i", fail)
    store = Store(StoreLimits())
    trap = Running(CALLS_HOST, (store.define(function, 1),), store=store).trap("go")
    assert trap.code == "host"
    assert trap.message == f"host function h.f failed: {error!r}"
    assert function.error is error
    assert len(trap.frames) == 1


def test_a_host_function_whose_error_cannot_be_shown_becomes_a_trap() -> None:
    class Nasty(Exception):
        def __repr__(self) -> str:
            raise RuntimeError("no")

    def fail(_env: int, _values: Any) -> None:
        raise Nasty

    store = Store(StoreLimits())
    function = HostFunction("f", "iIfF", "i", fail)
    trap = Running(CALLS_HOST, (store.define(function, 1),), store=store).trap("go")
    assert (trap.code, trap.message) == ("host", "host function failed")


TRAPS = """(module (memory 1) (table 2 funcref) (type $v (func)) (type $i (func (result i32)))
  (func $one (result i32) (i32.const 1)) (elem (i32.const 0) $one)
  (func (export "unreachable") unreachable)
  (func (export "memory_out_of_bounds") (drop (i32.load (i32.const 70000))))
  (func (export "table_out_of_bounds") (call_indirect (type $v) (i32.const 9)))
  (func (export "indirect_call_to_null") (call_indirect (type $v) (i32.const 1)))
  (func (export "bad_signature") (call_indirect (type $v) (i32.const 0)))
  (func (export "integer_overflow") (drop (i32.div_s (i32.const 0x80000000) (i32.const -1))))
  (func (export "integer_division_by_zero") (drop (i32.div_u (i32.const 1) (i32.const 0))))
  (func (export "bad_conversion_to_integer") (drop (i32.trunc_f32_s (f32.const nan))))
  (func $deep (export "stack_overflow") (call $deep)))"""
CODES = [
    "unreachable",
    "memory_out_of_bounds",
    "table_out_of_bounds",
    "indirect_call_to_null",
    "bad_signature",
    "integer_overflow",
    "integer_division_by_zero",
    "bad_conversion_to_integer",
    "stack_overflow",
]


@pytest.mark.parametrize("code", CODES)
def test_each_trap_has_its_code_a_message_and_frames(code: str) -> None:
    trap = Running(TRAPS).trap(code)
    assert trap.code == code
    assert "wasm trap" in trap.message and "\n" not in trap.message
    assert 1 <= len(trap.frames) <= MAX_FRAMES
    assert str(trap).startswith(f"{code}: ")


def test_frames_name_the_module_and_function() -> None:
    store = Store(StoreLimits())
    module = Module.compile(compiled_form(assemble('(module (func $f (export "f") unreachable))'), "guest"))
    instance = store.instantiate(module)
    with pytest.raises(Trap) as caught:
        store.call(store.extern(instance, b"f"))
    assert caught.value.backtrace()[0].startswith("guest: f at 0x")


def test_a_trap_is_taken_once() -> None:
    running = Running(TRAPS)
    assert running.trap("unreachable").code == "unreachable"
    assert running.store.failed[0] == 0
    assert running.store.trap(0).message == "the call failed without a reason"


LIMITS = [
    ("(module (memory 513))", "limit"),
    ("(module (table 65537 funcref))", "limit"),
    ('(module (memory 1) (memory 1) (memory 1) (func (export "f")))', "limit"),
    ("(module (table 1 funcref) (table 1 funcref) (table 1 funcref))", "limit"),
    ('(module (import "a" "b" (func)))', "error"),
]


@pytest.mark.parametrize("row", range(5))
def test_a_store_refuses_what_passes_its_limits(row: int) -> None:
    text, code = LIMITS[row]
    with pytest.raises(Trap) as caught:
        Running(text)
    assert caught.value.code == code
    assert len(LIMITS) == 5


def test_the_number_of_instances_is_limited() -> None:
    store = Store(StoreLimits(guests=1))
    for _ in range(3):
        store.instantiate(compiled("(module)"))
    with pytest.raises(Trap) as caught:
        store.instantiate(compiled("(module)"))
    assert caught.value.code == "limit"


def test_code_that_does_not_compile_or_assemble_is_a_module_error() -> None:
    with pytest.raises(ModuleError):
        Module.compile(b"\0asm\x01\0\0\0\x01")
    with pytest.raises(ModuleError):
        assemble("(module")
