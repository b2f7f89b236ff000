"""The library with a store and a compiler of our own: what is compiled when, and what is passed on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

import pytest

from edge.control.modules.compile import CompileError, Compiler
from edge.control.modules.library import ModuleLibrary, ModuleRefused
from edge.control.modules.sealed import content_of
from edge.wasm.module import assemble
from tests.contract.memory_store import MemoryModuleStore

GUEST = assemble(
    '(module (import "env" "proxy_log" (func (param i32 i32 i32) (result i32))) (memory (export "memory") 1)'
    ' (func (export "proxy_abi_version_0_2_1"))'
    ' (func (export "malloc") (param i32) (result i32) (i32.const 8)))'
)


class FakeCompiler(Compiler):
    """Answers `artefact of <part>`, or fails."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[list[str]] = []
        self.error = ""

    async def compile(self, parts: Sequence[tuple[str, bytes]]) -> list[bytes]:
        self.jobs.append([name for name, _ in parts])
        if self.error:
            raise CompileError(self.error)
        return [b"artefact of " + name.encode() for name, _ in parts]


def read(fd: int) -> bytes:
    with content_of(fd) as content:
        return content[:]


def test_a_module_is_compiled_once_and_then_found() -> None:
    async def run() -> None:
        compiler, store = FakeCompiler(), MemoryModuleStore()
        for _ in range(2):
            library = ModuleLibrary(store, compiler)
            provided = await library.provide(GUEST)
            assert read(provided.guest_fd) == b"artefact of guest"
            assert read(provided.bridge_fd) == b"artefact of bridge"
            assert provided.abi == "proxy-wasm/0.2.1"
            assert provided.guest_imports[0][:2] == ("env", "proxy_log")
            assert {source for source, _ in provided.bridge_imports} == {"s", "g"}
            assert "malloc" in provided.exports
            provided.close()
        assert compiler.jobs == [["guest", "bridge"]]
        assert store.source(provided.digest) == GUEST

    asyncio.run(run())


def test_the_inner_host_is_compiled_once() -> None:
    async def run() -> None:
        compiler, store = FakeCompiler(), MemoryModuleStore()
        for _ in range(2):
            fd = await ModuleLibrary(store, compiler).inner_host()
            assert read(fd) == b"artefact of inner"
            os.close(fd)
        assert compiler.jobs == [["inner"]]

    asyncio.run(run())


def test_a_missing_bridge_has_both_compiled_again_and_leaks_no_descriptor() -> None:
    async def run() -> None:
        compiler, store = FakeCompiler(), MemoryModuleStore()
        library = ModuleLibrary(store, compiler)
        (await library.provide(GUEST)).close()
        store.artefacts = {key: value for key, value in store.artefacts.items() if key[1] != "bridge"}
        before = len(os.listdir("/proc/self/fd"))
        (await library.provide(GUEST)).close()
        assert len(os.listdir("/proc/self/fd")) == before
        assert compiler.jobs == [["guest", "bridge"]] * 2

    asyncio.run(run())


def test_a_refused_module_is_never_compiled() -> None:
    async def run() -> None:
        compiler = FakeCompiler()
        with pytest.raises(ModuleRefused) as caught:
            await ModuleLibrary(MemoryModuleStore(), compiler).provide(assemble("(module)"))
        assert len(caught.value.errors) == 2
        assert compiler.jobs == []

    asyncio.run(run())


def test_what_the_compiler_says_is_the_reason() -> None:
    async def run() -> None:
        compiler, store = FakeCompiler(), MemoryModuleStore()
        compiler.error = "guest: too much"
        with pytest.raises(ModuleRefused, match="guest: too much"):
            await ModuleLibrary(store, compiler).provide(GUEST)
        assert store.artefacts == {}

    asyncio.run(run())
