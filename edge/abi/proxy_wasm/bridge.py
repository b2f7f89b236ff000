"""The bridge: a tiny module generated for each guest, between its memory and the inner host's.

It imports both memories and the guest's callbacks, and fills the guest's slots of the inner host's
table with checked copies, the guest's allocator and its callbacks. Where they begin it asks the
inner host when it starts, so one bridge fits a guest in whatever place of a Store. Callbacks of an
older arity get an adapter; slots of callbacks that a guest lacks keep the inner host's own answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

BRIDGE_VERSION: Final = 3
"""Part of every artefact's key: change it when `generate` gives other code."""

ALLOCATORS: Final = ("malloc", "proxy_on_memory_allocate")
"""The first that is exported is used, as Envoy does."""

SLOT_COPY_IN, SLOT_COPY_OUT, SLOT_STORE_PAIR, SLOT_STORE_WIDE, SLOT_ALLOCATE = range(1, 6)

CALLBACKS: Final = (
    ("proxy_on_context_create", "ii"),
    ("proxy_on_vm_start", "ii"),
    ("proxy_validate_configuration", "ii"),
    ("proxy_on_configure", "ii"),
    ("proxy_on_tick", "i"),
    ("proxy_on_request_headers", "iii"),
    ("proxy_on_request_body", "iii"),
    ("proxy_on_request_trailers", "ii"),
    ("proxy_on_response_headers", "iii"),
    ("proxy_on_response_body", "iii"),
    ("proxy_on_response_trailers", "ii"),
    ("proxy_on_http_call_response", "iiiii"),
    ("proxy_on_done", "i"),
    ("proxy_on_log", "i"),
    ("proxy_on_delete", "i"),
    ("proxy_on_queue_ready", "ii"),
)
"""The slots after the allocator, in order, with the parameters the inner host calls with."""


class Signature(Protocol):
    """Of an exported function."""

    @property
    def params(self) -> str: ...
    @property
    def results(self) -> str: ...


class Inspection(Protocol):
    """What `edge.wasm.binary.inspect` finds: for an export its signature, or its kind in words."""

    @property
    def exports(self) -> Mapping[str, Signature | str]: ...


class UnfitGuest(ValueError):
    """The guest cannot be driven; the text says why."""


def allocator(inspection: Inspection) -> str:
    """Name of the guest's allocator. Raises UnfitGuest if there is none of the right type."""
    for name in ALLOCATORS:
        found = inspection.exports.get(name)
        if found is not None and not isinstance(found, str) and (found.params, found.results) == ("i", "i"):
            return name
    raise UnfitGuest(f"exports no allocator: {' or '.join(ALLOCATORS)} of type (i32) -> i32")


def generate(inspection: Inspection) -> bytes:
    """The bridge for a guest, as WAT. Raises UnfitGuest naming the export that does not fit."""
    if inspection.exports.get("memory") != "memory":
        raise UnfitGuest("exports no memory")
    name = allocator(inspection)
    imports = [f'(import "g" "{name}" (func $allocate (param i32) (result i32)))']
    code: list[str] = []
    slots = [(SLOT_ALLOCATE, "$allocate")]
    for slot, (callback, params) in enumerate(CALLBACKS, SLOT_ALLOCATE + 1):
        found = inspection.exports.get(callback)
        if found is None:
            continue
        if isinstance(found, str):
            raise UnfitGuest(f"export {callback} is a {found}, not a function")
        if not params.startswith(found.params) or found.results not in ("", "i"):
            raise UnfitGuest(f"export {callback} has the type ({found.params}) -> ({found.results})")
        imports.append(f'(import "g" "{callback}" (func $g{slot} {_type(found.params, found.results)}))')
        if (found.params, found.results) == (params, "i"):
            slots.append((slot, f"$g{slot}"))
        else:
            code.append(_adapter(slot, params, found, callback))
            slots.append((slot, f"$a{slot}"))
    elements = "\n".join(f"(elem $e{slot} func {target})" for slot, target in slots)
    fills = "\n".join(_fill(slot, 1) for slot, _ in slots)
    return _MODULE.format(
        imports="\n".join(imports), code="\n".join(code), elements=elements, fills=fills
    ).encode()


def _fill(slot: int, count: int) -> str:
    at = f"(i32.add (local.get $b) (i32.const {slot}))"
    return f"(table.init $t $e{slot} {at} (i32.const 0) (i32.const {count}))"


def _type(params: str, results: str) -> str:
    return "".join(" (param i32)" for _ in params) + (" (result i32)" if results else "")


def _adapter(slot: int, params: str, found: Signature, callback: str) -> str:
    """Drop the arguments an older guest does not take; make up the answer it does not give.

    Callbacks that say yes or no say yes then; actions continue.
    """
    arguments = " ".join(f"(local.get {index})" for index in range(len(found.params)))
    answer = "1" if callback in _YES else "0"
    call = f"(call $g{slot} {arguments})"
    return f"(func $a{slot} {_type(params, 'i')} {call}{'' if found.results else f' (i32.const {answer})'})"


_YES: Final = ("proxy_on_vm_start", "proxy_validate_configuration", "proxy_on_configure", "proxy_on_done")


def _outside(pointer: str, size: str) -> str:
    """Leave with 1 unless pointer + size lies inside the guest's memory as it is now."""
    end = f"(i64.add (i64.extend_i32_u {pointer}) (i64.extend_i32_u {size}))"
    limit = "(i64.shl (i64.extend_i32_u (memory.size $g)) (i64.const 16))"
    return f"(if (i64.gt_u {end} {limit}) (then (return (i32.const 1))))"


_P, _N, _Q = "(local.get $p)", "(local.get $n)", "(local.get $q)"

_MODULE: Final = f"""(module
(import "s" "memory" (memory $s 1))
(import "s" "__indirect_function_table" (table $t 22 funcref))
(import "s" "table_base" (func $base (result i32)))
(import "g" "memory" (memory $g 0))
{{imports}}
(func $in (param $d i32) (param $p i32) (param $n i32) (result i32)
  {_outside(_P, _N)}
  (memory.copy $s $g (local.get $d) {_P} {_N}) (i32.const 0))
(func $out (param $p i32) (param $d i32) (param $n i32) (result i32)
  {_outside(_P, _N)}
  (memory.copy $g $s {_P} (local.get $d) {_N}) (i32.const 0))
(func $pair (param $p i32) (param $a i32) (param $q i32) (param $b i32) (result i32)
  {_outside(_P, "(i32.const 4)")}
  {_outside(_Q, "(i32.const 4)")}
  (i32.store $g {_P} (local.get $a)) (i32.store $g {_Q} (local.get $b)) (i32.const 0))
(func $wide (param $p i32) (param $v i64) (result i32)
  {_outside(_P, "(i32.const 8)")}
  (i64.store $g {_P} (local.get $v)) (i32.const 0))
{{code}}
(elem $e{SLOT_COPY_IN} func $in $out $pair $wide)
{{elements}}
(func $fill (local $b i32) (local.set $b (call $base))
{_fill(SLOT_COPY_IN, 4)}
{{fills}})
(start $fill))
"""
