"""The compile child: `python -m edge.control.modules.child`, jobs by stdin, artefacts by stdout.

It takes away from itself whatever compiling does not need before it reads the first byte. The
parent trusts it with nothing: the artefact is bounded, and signed by the parent.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from typing import Final

import msgspec

from edge.confine import confine
from edge.wasm.module import Module, ModuleError
from edge.wasm.names import compiled_form
from edge.wasm.reader import InvalidModule

CPU_S: Final = 30
ADDRESS_SPACE_BYTES: Final = 2 << 30
REFUSED: Final = 3
"""Exit status: stderr says in one line why the bytes are refused."""
NICENESS: Final = 10

_PR_SET_PDEATHSIG: Final = 1
_CLONE_NEWUSER_AND_NEWNET: Final = 0x10000000 | 0x40000000


class Part(msgspec.Struct, frozen=True, array_like=True):
    """One module to compile; `name` is what frames of traps show."""

    name: str
    wasm: bytes


def restrict() -> None:
    """Limits on CPU, memory, files and processes; no network where the kernel permits that."""
    confine()
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # Refused in many containers; there is no descriptor of a socket in any case.
    libc.unshare(_CLONE_NEWUSER_AND_NEWNET)
    os.nice(NICENESS)
    for what, limit in (
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_AS, ADDRESS_SPACE_BYTES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 16),
    ):
        resource.setrlimit(what, (limit, limit))


def main() -> int:
    restrict()
    parts = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=list[Part])
    artefacts = []
    for part in parts:
        try:
            artefacts.append(Module.compile(compiled_form(part.wasm, part.name)).serialise())
        except (ModuleError, InvalidModule) as error:
            sys.stderr.write(f"{part.name}: {' '.join(str(error).split())}\n")
            return REFUSED
    sys.stdout.buffer.write(msgspec.msgpack.encode(artefacts))
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
