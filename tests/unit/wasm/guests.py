"""Small guests in WAT and the stores to run them in."""

from __future__ import annotations

from functools import cache

from edge.wasm.budget import Budget
from edge.wasm.module import Module, assemble
from edge.wasm.store import Extern, Source, Store, StoreLimits
from edge.wasm.trap import Trap


@cache
def compiled(text: str) -> Module:
    return Module.compile(assemble(text))


class Running:
    """An instance of `text` in a Store of its own."""

    def __init__(
        self,
        text: str,
        imports: tuple[Source, ...] = (),
        limits: StoreLimits | None = None,
        budget: Budget | None = None,
        store: Store | None = None,
    ) -> None:
        self.store = store or Store(limits or StoreLimits(), budget)
        self.instance = self.store.instantiate(compiled(text), imports)

    def extern(self, name: str) -> Extern:
        return self.store.extern(self.instance, name.encode())

    def call(self, name: str, *arguments: int) -> int:
        """The i32 result."""
        return self.store.call(self.extern(name), *arguments) & 0xFFFFFFFF

    def trap(self, name: str, *arguments: int) -> Trap:
        """What ends the call; fails if it returns."""
        try:
            self.call(name, *arguments)
        except Trap as trap:
            return trap
        raise AssertionError(f"{name} returned")


LOOP = '(module (func (export "loop") (loop br 0)) (func (export "ok") (result i32) (i32.const 7)))'
