"""The compile child with real modules: good, refused, malformed and bombs; edge goes on beside it."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import signal
import sys
from pathlib import Path

import pytest

from edge.control.modules import compile as compiling
from edge.control.modules.compile import CompileError, Compiler
from edge.control.modules.library import ModuleLibrary
from edge.control.modules.sealed import sealed_copy
from edge.control.modules.store import FileModuleStore
from edge.wasm.module import Module, assemble
from edge.wasm.store import Store, StoreLimits
from tests.unit.wasm.binaries import one_function

ROOT = Path(__file__).parents[2]
ADD = assemble(
    '(module (func (export "add") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1))))'
)


def test_an_artefact_of_the_child_runs_here() -> None:
    (artefact,) = asyncio.run(Compiler().compile([("guest", ADD)]))
    fd = sealed_copy(artefact, "test")
    module = Module.load(fd)
    os.close(fd)
    store = Store(StoreLimits())
    assert store.call(store.extern(store.instantiate(module), b"add"), 41) == 42


def test_the_built_in_filters_and_the_inner_host_compile_once(tmp_path: Path) -> None:
    paths = sorted((ROOT / "edge" / "builtin").glob("*.wasm"))
    assert len(paths) == 3

    async def run() -> int:
        compiler = Compiler()
        for _ in range(2):
            library = ModuleLibrary(FileModuleStore(tmp_path), compiler)
            os.close(await library.inner_host())
            for path in paths:
                provided = await library.provide(path.read_bytes())
                Module.load(provided.guest_fd)
                Module.load(provided.bridge_fd)
                provided.close()
        return compiler.children

    assert asyncio.run(run()) == 4


def test_a_module_that_is_not_valid_is_refused_with_the_engines_words() -> None:
    with pytest.raises(CompileError, match=r"guest: failed to compile.*type mismatch"):
        asyncio.run(Compiler().compile([("guest", one_function(b"\x41\1\x41\2"))]))


def test_mutated_modules_are_compiled_or_refused_and_never_harm_the_parent() -> None:
    random.seed(20261123)
    wasm = (ROOT / "edge" / "builtin" / "ab-split.wasm").read_bytes()

    async def run() -> int:
        compiler, answers = Compiler(), 0
        for _ in range(12):
            mutated = bytearray(wasm)
            for _ in range(3):
                mutated[random.randrange(8, len(mutated))] = random.randrange(256)
            try:
                await compiler.compile([("guest", bytes(mutated))])
            except CompileError as error:
                assert str(error)
            answers += 1
        return answers

    assert asyncio.run(run()) == 12


def test_w9_a_compile_bomb_ends_in_the_child_while_the_loop_turns() -> None:
    """A million branches: minutes or gigabytes for the engine, nothing for us."""
    bomb = one_function(b"\x20\0\x04\x40\x0b" * 1_000_000 + b"\x20\0")

    async def run() -> int:
        compiler, turns = Compiler(), 0
        work = asyncio.create_task(compiler.compile([("guest", bomb)]))
        while not work.done():
            await asyncio.wait({work}, timeout=0.01)
            turns += 1
        with pytest.raises(CompileError, match="compiling took more than"):
            await work
        assert len(await compiler.compile([("guest", ADD)])) == 1
        return turns

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert asyncio.run(run()) > 50
    # The bomb itself is 5 MB and is held a few times over while it is sent.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


def test_only_one_child_runs_at_a_time() -> None:
    async def run() -> int:
        compiler = Compiler()
        jobs = [asyncio.create_task(compiler.compile([("guest", ADD)])) for _ in range(3)]
        most = 0
        while not all(job.done() for job in jobs):
            await asyncio.wait(jobs, timeout=0.005, return_when=asyncio.FIRST_COMPLETED)
            most = max(most, compile_children())
        assert compiler.children == 3
        return most

    assert asyncio.run(run()) == 1


def compile_children() -> int:
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return sum(b"modules.child" in command_of(pid) for pid in children)


def command_of(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_the_child_sees_no_environment_and_no_foreign_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for the interpreter writes down what it was started with."""
    seen = tmp_path / "seen"
    spy = tmp_path / "spy"
    spy.write_text(f'#!/bin/sh\n(env; ls /proc/self/fd) > {seen}\nexec {sys.executable} "$@"\n')
    spy.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(spy))
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    with (tmp_path / "open").open("w") as foreign:
        os.set_inheritable(foreign.fileno(), True)
        asyncio.run(Compiler().compile([("guest", ADD)]))
    lines = seen.read_text().split("\n")
    names = {line.partition("=")[0] for line in lines if "=" in line}
    assert names <= {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PWD", "OLDPWD", "SHLVL", "_"}
    assert [line for line in lines if line.isdigit()] == ["0", "1", "2", "3"]


def test_the_child_lowers_its_own_limits() -> None:
    script = (
        "import resource as r, os\n"
        "from edge.control.modules.child import restrict\n"
        "restrict()\n"
        "limits = [r.getrlimit(l)[0] for l in (r.RLIMIT_CPU, r.RLIMIT_AS, r.RLIMIT_FSIZE, r.RLIMIT_CORE)]\n"
        "print(*limits, os.nice(0))\n"
        "print([l for l in open('/proc/self/status') if l.startswith('NoNewPrivs')])\n"
    )

    async def run() -> bytes:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, env=compiling._environment()
        )
        output, _ = await child.communicate()
        return output

    said = asyncio.run(run()).decode().splitlines()
    assert said[0] == f"30 {2 << 30} 0 0 {min(19, os.nice(0) + 10)}"
    assert said[1] == "['NoNewPrivs:\\t1\\n']"


def test_a_child_that_never_ends_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = tmp_path / "stuck"
    stuck.write_text("#!/bin/sh\nexec sleep 1000\n")
    stuck.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(stuck))
    monkeypatch.setattr(compiling, "WALL_S", 0.2)
    with pytest.raises(CompileError, match="took more than 0 s"):
        asyncio.run(Compiler().compile([("guest", ADD)]))
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    assert not any(b"sleep" in command_of(pid) for pid in children)


@pytest.mark.parametrize(
    ("status", "said", "reason"),
    [
        (-signal.SIGXCPU, b"", "compiling took more than 30 s of CPU"),
        (-signal.SIGABRT, b"memory allocation of 9 bytes failed", "compiling took more than 2 GiB of memory"),
        (1, b"MemoryError", "compiling took more than 2 GiB of memory"),
        (3, b"guest: no", "guest: no"),
        (-signal.SIGSEGV, b"", "the compile child ended with status -11"),
    ],
)
def test_the_reason_follows_from_how_the_child_ended(status: int, said: bytes, reason: str) -> None:
    assert compiling._reason(status, said) == reason
