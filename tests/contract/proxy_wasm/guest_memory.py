"""The oracle's way to a guest: wasmtime's public API, checked reads and writes, no code of edge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import wasmtime


@cache
def _engine() -> wasmtime.Engine:
    return wasmtime.Engine()


@cache
def _compiled(wasm: bytes) -> wasmtime.Module:
    return wasmtime.Module(_engine(), wasm)


class Fault(Exception):
    """A pointer of the guest leaves its memory."""


class Guest:
    """One instance whose imports are Python functions by name; all i32 come unsigned."""

    def __init__(self, wasm: bytes, functions: Mapping[str, Callable[..., int | None]]) -> None:
        code = _compiled(wasm)
        self.store = wasmtime.Store(_engine())
        imports = [self._wrapped(item, functions[item.name or ""]) for item in code.imports]
        self.exports = wasmtime.Instance(self.store, code, imports).exports(self.store)
        memory = self.exports["memory"]
        assert isinstance(memory, wasmtime.Memory)
        self._memory = memory

    def _wrapped(self, item: Any, function: Callable[..., int | None]) -> wasmtime.Func:
        wide = [str(kind) == "i64" for kind in item.type.params]

        def call(*arguments: int) -> Any:
            unsigned = [
                value & 0xFFFFFFFFFFFFFFFF if big else value & 0xFFFFFFFF
                for value, big in zip(arguments, wide, strict=True)
            ]
            answer = function(*unsigned)
            if answer is None:
                return None
            return int(answer) - (1 << 32) if answer > 0x7FFFFFFF else int(answer)

        return wasmtime.Func(self.store, item.type, call)

    def call(self, name: str, *arguments: int) -> int:
        """An export; 0 when it is absent or answers nothing."""
        function = self.exports.get(name)
        if not isinstance(function, wasmtime.Func):
            return 0
        answer = function(self.store, *arguments)
        return answer & 0xFFFFFFFF if isinstance(answer, int) else 0

    def read(self, at: int, size: int) -> bytes:
        if at + size > self._memory.data_len(self.store):
            raise Fault
        return bytes(self._memory.read(self.store, at, at + size))

    def write(self, at: int, data: bytes) -> None:
        if at + len(data) > self._memory.data_len(self.store):
            raise Fault
        self._memory.write(self.store, data, at)

    def check(self, at: int, size: int) -> None:
        if at + size > self._memory.data_len(self.store):
            raise Fault

    def give(self, data: bytes, at_pointer: int, at_size: int) -> None:
        """Put `data` into a block of the guest's own allocator. Nothing is allocated for nothing."""
        at = 0
        if data:
            at = self.call("proxy_on_memory_allocate", len(data))
            if not at:
                raise Fault
            self.write(at, data)
        self.store_words(at_pointer, at, at_size, len(data))

    def store_words(self, at_a: int, a: int, at_b: int, b: int) -> None:
        self.check(at_a, 4)
        self.check(at_b, 4)
        self.write(at_a, a.to_bytes(4, "little"))
        self.write(at_b, b.to_bytes(4, "little"))
