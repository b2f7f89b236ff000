"""The engine of a process: one, whoever asks first, and only with enough stack."""

from __future__ import annotations

import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from edge.wasm import engine
from edge.wasm.engine import core_engine


def test_threads_that_ask_at_once_get_the_same_engine() -> None:
    with ThreadPoolExecutor(8) as pool:
        engines = list(pool.map(lambda _: core_engine(), range(64)))
    assert len({id(found) for found in engines}) == 1
    assert engines[0].pointer


def test_a_stack_that_guests_could_overrun_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (256 << 10, 256 << 10))
    with pytest.raises(RuntimeError, match=r"the stack limit is 256 KiB, edge needs 1024 KiB"):
        engine.check_stack()


@pytest.mark.parametrize("soft", [resource.RLIM_INFINITY, 8 << 20, 1 << 20])
def test_an_ordinary_stack_is_accepted(monkeypatch: pytest.MonkeyPatch, soft: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (soft, soft))
    engine.check_stack()


def test_recursion_traps_with_the_smallest_stack_accepted() -> None:
    script = (
        "import resource; from edge.wasm.module import Module, assemble\n"
        "from edge.wasm.store import Store, StoreLimits\n"
        "from edge.wasm.trap import Trap\n"
        "s = Store(StoreLimits())\n"
        "i = s.instantiate(Module.compile(assemble('(module (func $f (export \"f\") (call $f)))')))\n"
        "try: s.call(s.extern(i, b'f'))\n"
        "except Trap as trap: print(trap.code)\n"
    )
    limit = f'ulimit -s {engine.MAIN_STACK_BYTES >> 10} && exec {sys.executable} -c "$0"'
    done = subprocess.run(["/bin/sh", "-c", limit, script], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, b"stack_overflow")
