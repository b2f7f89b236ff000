"""Raw calls into the engine's C API, which cost 0.26 µs instead of the 19 µs of the public API.

These bindings are private to wasmtime-py: the version is pinned, and every symbol used here is
checked at import. All prototypes are CFUNCTYPE, which releases the GIL: a prototype that kept it
would stop the ticker, and a looping guest would live for ever.

Pointers are plain ints. A value slot is 16 bytes (`VALUE_STRIDE` words of 8).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import (
    CFUNCTYPE,
    POINTER,
    byref,
    c_bool,
    c_char,
    c_char_p,
    c_int64,
    c_size_t,
    c_uint8,
    c_uint32,
    c_uint64,
    c_void_p,
)
from functools import partial
from typing import Any, Final

from wasmtime import _bindings as bindings
from wasmtime import _ffi

from edge.installed import version

EXPECTED_VERSION: Final = "50.0.1"

_SYMBOLS: Final = {
    "wasmtime_func_call_unchecked": 5,
    "wasmtime_func_new_unchecked": 6,
    "wasmtime_instance_new": 6,
    "wasmtime_instance_export_get": 5,
    "wasmtime_store_new": 3,
    "wasmtime_store_context": 1,
    "wasmtime_store_delete": 1,
    "wasmtime_store_limiter": 6,
    "wasmtime_store_epoch_deadline_callback": 4,
    "wasmtime_context_set_epoch_deadline": 2,
    "wasmtime_engine_increment_epoch": 1,
    "wasmtime_memory_data": 2,
    "wasmtime_memory_data_size": 2,
    "wasmtime_module_new": 4,
    "wasmtime_module_delete": 1,
    "wasmtime_module_deserialize_file": 3,
    "wasmtime_module_serialize": 2,
    "wasmtime_trap_code": 2,
    "wasmtime_trap_new": 2,
    "wasm_trap_message": 2,
    "wasm_trap_trace": 2,
    "wasm_trap_delete": 1,
    "wasmtime_error_message": 2,
    "wasmtime_error_new": 1,
    "wasmtime_error_delete": 1,
    "wasmtime_error_wasm_trace": 2,
    "wasmtime_frame_module_name": 1,
    "wasmtime_frame_func_name": 1,
    "wasm_frame_func_index": 1,
    "wasm_frame_module_offset": 1,
    "wasm_frame_vec_delete": 1,
    "wasm_byte_vec_delete": 1,
    "wasm_functype_new": 2,
    "wasm_functype_delete": 1,
    "wasm_valtype_new": 1,
    "wasm_valtype_vec_new": 3,
}
"""Every symbol called from this package, and how many arguments it takes."""


def check_bindings() -> None:
    """Raise ImportError naming the version expected if the bindings are not those we know."""
    found = version("wasmtime")
    if found != EXPECTED_VERSION:
        raise ImportError(f"edge needs wasmtime=={EXPECTED_VERSION} exactly, found {found}")
    for name, arity in _SYMBOLS.items():
        argtypes = getattr(getattr(bindings, f"_{name}", None), "argtypes", None)
        if argtypes is None or len(argtypes) != arity:
            raise ImportError(
                f"edge needs wasmtime=={EXPECTED_VERSION} exactly: {name} is missing or takes other arguments"
            )
    sizes = (ctypes.sizeof(bindings.wasmtime_extern_t), ctypes.sizeof(bindings.wasmtime_instance_t))
    if sizes != (32, 16) or ctypes.sizeof(bindings.wasmtime_val_raw_t) != 16:
        raise ImportError(f"edge needs wasmtime=={EXPECTED_VERSION} exactly: sizes of C structs differ")


check_bindings()

P = c_void_p
_dll = _ffi.dll

EXTERN_BYTES: Final = ctypes.sizeof(bindings.wasmtime_extern_t)
EXTERN_OF: Final[int] = bindings.wasmtime_extern_t.of.offset
INSTANCE_BYTES: Final = ctypes.sizeof(bindings.wasmtime_instance_t)
VALUE_STRIDE: Final = 2
FUNC, GLOBAL, TABLE, MEMORY = 0, 1, 2, 3
"""Kinds of externs."""


def _prototype(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    return CFUNCTYPE(result, *arguments)((name, _dll))


store_new = _prototype("wasmtime_store_new", P, P, P, P)
store_context = _prototype("wasmtime_store_context", P, P)
store_delete = _prototype("wasmtime_store_delete", None, P)
store_limiter = _prototype("wasmtime_store_limiter", None, P, c_int64, c_int64, c_int64, c_int64, c_int64)
store_epoch_callback = _prototype("wasmtime_store_epoch_deadline_callback", None, P, P, P, P)
set_epoch_deadline = _prototype("wasmtime_context_set_epoch_deadline", None, P, c_uint64)
increment_epoch = _prototype("wasmtime_engine_increment_epoch", None, P)

instance_new = _prototype("wasmtime_instance_new", P, P, P, P, c_size_t, P, P)
export_get = _prototype("wasmtime_instance_export_get", c_bool, P, P, c_char_p, c_size_t, P)
func_new = _prototype("wasmtime_func_new_unchecked", None, P, P, P, P, P, P)
memory_data = _prototype("wasmtime_memory_data", P, P, P)
memory_size = _prototype("wasmtime_memory_data_size", c_size_t, P, P)

module_new = _prototype("wasmtime_module_new", P, P, c_char_p, c_size_t, P)
module_delete = _prototype("wasmtime_module_delete", None, P)
module_deserialize_file = _prototype("wasmtime_module_deserialize_file", P, P, c_char_p, P)
module_serialize = _prototype("wasmtime_module_serialize", P, P, P)

trap_code = _prototype("wasmtime_trap_code", c_bool, P, P)
trap_new = _prototype("wasmtime_trap_new", P, c_char_p, c_size_t)
trap_message = _prototype("wasm_trap_message", None, P, P)
trap_trace = _prototype("wasm_trap_trace", None, P, P)
trap_delete = _prototype("wasm_trap_delete", None, P)
error_new = _prototype("wasmtime_error_new", P, c_char_p)
error_message = _prototype("wasmtime_error_message", None, P, P)
error_trace = _prototype("wasmtime_error_wasm_trace", None, P, P)
error_delete = _prototype("wasmtime_error_delete", None, P)
frame_module_name = _prototype("wasmtime_frame_module_name", P, P)
frame_func_name = _prototype("wasmtime_frame_func_name", P, P)
frame_func_index = _prototype("wasm_frame_func_index", c_uint32, P)
frame_module_offset = _prototype("wasm_frame_module_offset", c_size_t, P)
frame_vec_delete = _prototype("wasm_frame_vec_delete", None, P)
byte_vec_delete = _prototype("wasm_byte_vec_delete", None, P)
functype_new = _prototype("wasm_functype_new", P, P, P)
functype_delete = _prototype("wasm_functype_delete", None, P)
valtype_new = _prototype("wasm_valtype_new", P, c_uint8)
valtype_vec_new = _prototype("wasm_valtype_vec_new", None, P, c_size_t, P)

HostCallback = CFUNCTYPE(c_size_t, P, P, POINTER(c_int64), c_size_t)
"""(env, caller, values, count) -> trap pointer or 0. What escapes from one ends the process."""

EpochCallback = CFUNCTYPE(c_size_t, P, P, POINTER(c_uint64), POINTER(c_uint8))
"""(context, data, ticks to add, kind) -> error pointer or 0."""

_fast_call = CFUNCTYPE(c_size_t)(("wasmtime_func_call_unchecked", _dll))
"""Without argument types: takes what `_ready` gives as it is, which halves the crossing."""
_nowhere: Final = c_char.from_address(0)


def _ready(word: int) -> Any:
    """An argument that is converted already: a pointer or a size, in the form in which ctypes hands it on."""
    return byref(_nowhere, word)


def bound_call(
    context: int, function: int, values: int, count: int, trap: int, owners: object
) -> Callable[[], int]:
    """A crossing with every argument made ready; gives 0 or an error pointer, `trap` may be set.

    `owners` of the memory behind the pointers live as long as what is returned: the engine aborts
    the process when a function of one store is called with another, or with what is left of it.
    """
    call: Any = partial(_fast_call, *map(_ready, (context, function, values, count, trap)))
    call.owners = owners
    return call  # type: ignore[no-any-return]


_fast_size = CFUNCTYPE(c_size_t)(("wasmtime_memory_data_size", _dll))


def bound_size(context: int, memory: int, owners: object) -> Callable[[], int]:
    """As `bound_call`: the size of a memory in bytes."""
    call: Any = partial(_fast_size, *map(_ready, (context, memory)))
    call.owners = owners
    return call  # type: ignore[no-any-return]


class ByteVec(ctypes.Structure):
    """`wasm_byte_vec_t`, also names and messages."""

    _fields_ = [("size", c_size_t), ("data", P)]

    def take(self) -> bytes:
        """Copy the content and free the vector."""
        content = ctypes.string_at(self.data, self.size) if self.data else b""
        byte_vec_delete(ctypes.addressof(self))
        return content


class FrameVec(ctypes.Structure):
    """`wasm_frame_vec_t`: owns its frames until `frame_vec_delete`."""

    _fields_ = [("size", c_size_t), ("data", POINTER(P))]


def borrowed_name(pointer: int | None) -> str:
    """Text of a `wasm_name_t` that the engine still owns; empty for none."""
    if not pointer:
        return ""
    name = ByteVec.from_address(pointer)
    return ctypes.string_at(name.data, name.size).decode("utf-8", "replace") if name.data else ""
