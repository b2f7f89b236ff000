"""Start the profile once in a process of its own: `python -m edge.wasm.selftest`.

A profile that the engine does not accept aborts the process it is started in; so that process is
a child. It also tries what everything else stands on: a call, a trap, and the end of a loop.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Final

from edge.wasm.module import Module, assemble
from edge.wasm.store import Store, StoreLimits
from edge.wasm.trap import Trap

COMMAND: Final = (sys.executable, "-m", "edge.wasm.selftest")
TIMEOUT_S: Final = 30.0
BUDGET_NS: Final = 5_000_000

_PROBE: Final = """(module
  (memory 1 1)
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "trap") unreachable)
  (func (export "loop") (loop br 0)))"""


def check() -> None:
    """Raise RuntimeError if the profile does not do what is expected of it, here and now."""
    module = Module.compile(assemble(_PROBE))

    def end_of(name: bytes) -> str:
        store = Store(StoreLimits())
        instance = store.instantiate(module)
        store.budget.allow(BUDGET_NS, BUDGET_NS * 100)
        try:
            result = store.call(store.extern(instance, name), 3, 4)
        except Trap as trap:
            return trap.code
        return str(result & 0xFFFFFFFF)

    found = [end_of(name) for name in (b"add", b"trap", b"loop")]
    if found != ["7", "unreachable", "cpu_budget"]:
        raise RuntimeError(f"the WASM engine misbehaves: {found}")


def check_in_child(command: Sequence[str] = COMMAND) -> None:
    """For the supervisor, at boot. Raises RuntimeError with what the child said."""
    done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False)
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise RuntimeError(f"engine self-test ended with {done.returncode}: {said[-1] if said else ''}")


if __name__ == "__main__":
    check()
