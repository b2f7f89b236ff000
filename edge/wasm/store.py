"""A Store: the instances that live and die together, their limits and their budget.

One thread at a time. After a `Trap` the Store is thrown away: drop every reference to it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from ctypes import addressof, c_char, c_int64, c_void_p
from functools import lru_cache
from typing import Any, Final

from edge.wasm import raw
from edge.wasm.budget import Budget, watch
from edge.wasm.engine import core_engine
from edge.wasm.host_function import HostFunction
from edge.wasm.module import Module
from edge.wasm.ticker import ticker
from edge.wasm.trap import Trap, take_error, take_trap

MEMORY_BYTES: Final = 32 << 20
TABLE_ELEMENTS: Final = 65_536
VALUES: Final = 24
"""Slots of the argument array: no call of ours has more arguments."""


class StoreLimits:
    """For `guests` guests: an inner host, and for each guest itself and its bridge.

    `memory_bytes` holds for each memory, `guest_tables` is the sum over the guests.
    """

    __slots__ = ("instances", "memories", "memory_bytes", "table_elements", "tables")

    def __init__(self, guests: int = 1, memory_bytes: int = MEMORY_BYTES, guest_tables: int = 1) -> None:
        self.memory_bytes = memory_bytes
        self.table_elements = TABLE_ELEMENTS
        self.instances = 2 * guests + 1
        self.memories = guests + 1
        self.tables = 1 + guest_tables


class RawInstance:
    """An instance in a Store; meaningful only there."""

    __slots__ = ("_struct", "address")

    def __init__(self) -> None:
        self._struct = (c_char * raw.INSTANCE_BYTES)()
        self.address = addressof(self._struct)


class Extern:
    """Something exported or defined: `kind` is FUNC, GLOBAL, TABLE or MEMORY of `edge.wasm.raw`."""

    __slots__ = ("_struct", "address")

    def __init__(self) -> None:
        self._struct = (c_char * raw.EXTERN_BYTES)()
        self.address = addressof(self._struct)

    @property
    def kind(self) -> int:
        return ord(self._struct[0])


Source = Extern | tuple[RawInstance, bytes]
"""Where an import comes from: an extern at hand, or an export by name."""


class Store:
    """Instantiation, calls and memory, without any object of the engine on the outside.

    `args` is the argument array as signed 64-bit words: argument k is `args[2 * k]`, the (single)
    result `args[0]`. An i32 result needs `& 0xFFFFFFFF` (its upper half is undefined).

    The fast way to call: `store.budget.call += 1`, set `args`, then
    `if bound() or failed[0]: raise store.trap(...)` with `failed = store.failed`; pass what the
    bound call gave. `call` does the same, slower.
    """

    __slots__ = ("_cell", "_context", "_pointer", "_trap", "_values", "args", "budget", "failed")

    def __init__(self, limits: StoreLimits, budget: Budget | None = None) -> None:
        ticker.start()
        self.budget = budget or Budget()
        self._pointer: int = raw.store_new(core_engine().pointer, None, None)
        self._context: int = raw.store_context(self._pointer)
        raw.store_limiter(
            self._pointer,
            limits.memory_bytes,
            limits.table_elements,
            limits.instances,
            limits.tables,
            limits.memories,
        )
        watch(self._pointer, self._context, self.budget)
        self._values = (c_int64 * (VALUES * raw.VALUE_STRIDE))()
        self._cell = c_void_p()
        self._trap = addressof(self._cell)
        self.args = memoryview(self._values).cast("B").cast("q")
        self.failed = memoryview(self._cell).cast("B").cast("Q")

    def __del__(self) -> None:
        raw.store_delete(self._pointer)
        self.budget.release()

    def define(self, function: HostFunction, env: int) -> Extern:
        """A host function as an extern of this Store; `env` (not 0) is what it gets first."""
        extern = Extern()
        function.define(self._context, env, extern.address)
        return extern

    def instantiate(self, module: Module, imports: Sequence[Source] = ()) -> RawInstance:
        """Imports in the module's order. Runs the start section, so it has a budget of its own call.

        Raises Trap (also code `limit`, and `error` when imports do not fit).
        """
        size = raw.EXTERN_BYTES
        array = (c_char * (size * max(1, len(imports))))()
        address = addressof(array)
        for source in imports:
            if isinstance(source, Extern):
                ctypes.memmove(address, source.address, size)
            else:
                self._export(source[0], source[1], address)
            address += size
        instance = RawInstance()
        self.budget.call += 1
        error = raw.instance_new(
            self._context, module.pointer, addressof(array), len(imports), instance.address, self._trap
        )
        if error or self._cell.value:
            raise self.trap(error or 0)
        return instance

    def extern(self, instance: RawInstance, name: bytes) -> Extern:
        """An export. Raises KeyError if there is none."""
        extern = Extern()
        self._export(instance, name, extern.address)
        return extern

    def _export(self, instance: RawInstance, name: bytes, address: int) -> None:
        if not raw.export_get(self._context, instance.address, name, len(name), address):
            raise KeyError(name.decode("utf-8", "replace"))

    def bind(self, function: Extern, count: int) -> Callable[[], int]:
        """A call ready to be made; `count` = the larger of its numbers of arguments and results.

        It gives 0 or an error for `trap`, and keeps the Store alive.
        """
        if function.kind != raw.FUNC:
            raise TypeError("not a function")
        return raw.bound_call(
            self._context,
            function.address + raw.EXTERN_OF,
            addressof(self._values),
            max(1, count),
            self._trap,
            (self, function),
        )

    def call(self, function: Extern, *arguments: int) -> int:
        """One call with integer arguments; gives the first result word. Raises Trap."""
        self.budget.call += 1
        args = self.args
        for position, value in enumerate(arguments):
            args[2 * position] = value
        error = self.bind(function, len(arguments))()
        if error or self._cell.value:
            raise self.trap(error)
        return args[0]

    def trap(self, error: int) -> Trap:
        """What ended the call that gave `error` (0 if only `failed` was set); taken once."""
        pointer = self._cell.value
        self._cell.value = None
        if error:
            return take_error(error)
        if pointer:
            return take_trap(pointer)
        return Trap("error", "the call failed without a reason", [])

    def memory(self, memory: Extern) -> memoryview:
        """The bytes of a memory as they are now, writable. Keeps the Store alive.

        Only for memories that cannot grow (minimum = maximum): growing may move the bytes.
        """
        if memory.kind != raw.MEMORY:
            raise TypeError("not a memory")
        address = memory.address + raw.EXTERN_OF
        size = raw.memory_size(self._context, address)
        region: Any = _region(size).from_address(raw.memory_data(self._context, address))
        region.store = self
        return memoryview(region).cast("B")

    def memory_size(self, memory: Extern) -> Callable[[], int]:
        """Tells the bytes a memory has, whenever it is called. Keeps the Store alive."""
        if memory.kind != raw.MEMORY:
            raise TypeError("not a memory")
        return raw.bound_size(self._context, memory.address + raw.EXTERN_OF, (self, memory))


@lru_cache(maxsize=64)
def _region(size: int) -> Any:
    """A ctypes array type whose instances can hold a reference to their Store."""
    return type("Region", (c_char * size,), {})
