"""What processes give up, asked of the kernel in a process that did."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PR_GET_DUMPABLE, PR_GET_PDEATHSIG, PR_GET_NO_NEW_PRIVS = 3, 2, 39


def asked(code: str) -> list[str]:
    """What `code` prints, which has `edge.confine`, `libc` and a function `get`."""
    program = (
        "import ctypes, edge.confine as confine\n"
        "libc = ctypes.CDLL(None)\n"
        "def get(option): return libc.prctl(option, 0, 0, 0, 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program + code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.split()


def test_no_core_dumps_no_ptrace_and_no_gain_of_rights() -> None:
    said = asked(
        f"print(get({PR_GET_DUMPABLE}), get({PR_GET_NO_NEW_PRIVS}))\n"
        "confine.confine()\n"
        f"print(get({PR_GET_DUMPABLE}), get({PR_GET_NO_NEW_PRIVS}))\n"
    )
    assert said[0] == "1" and said[2:] == ["0", "1"]


def test_a_worker_dies_with_its_supervisor() -> None:
    code = (
        "confine.die_with_parent()\n"
        "signal = ctypes.c_int()\n"
        f"libc.prctl({PR_GET_PDEATHSIG}, ctypes.byref(signal))\n"
        "print(signal.value)\n"
    )
    assert asked(code) == ["9"]
