"""Compiling in a child process, one at a time."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

import edge
from edge.control.modules.child import CPU_S, REFUSED, Part

WALL_S: Final = 90.0
"""The child has lower priority than traffic and may wait for the CPU."""
ARTEFACT_BYTES: Final = 256 << 20
ERROR_BYTES: Final = 4096


class CompileError(Exception):
    """The bytes are refused, or cost more than a module may; one line for the uploader."""


class Compiler:
    """Runs one child at a time. `cpu_s` and others are constants of the child."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self.children = 0

    async def compile(self, parts: Sequence[tuple[str, bytes]]) -> list[bytes]:
        """Artefacts of (name, wasm) pairs, in order. Raises CompileError.

        The names appear in backtraces of traps; custom sections are dropped before compiling.
        """
        job = msgspec.msgpack.encode([Part(name, wasm) for name, wasm in parts])
        async with self._turn:
            self.children += 1
            output = await _run(job)
        try:
            artefacts = msgspec.msgpack.decode(output, type=list[bytes])
        except msgspec.MsgspecError:
            raise CompileError("the compile child answered with something else") from None
        if len(artefacts) != len(parts):
            raise CompileError("the compile child answered for another number of modules")
        return artefacts


async def _run(job: bytes) -> bytes:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "edge.control.modules.child",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=_environment(),
        cwd="/",
        limit=1 << 20,
    )
    try:
        async with asyncio.timeout(WALL_S):
            output, said = await _talk(child, job)
            status = await child.wait()
    except TimeoutError:
        raise CompileError(f"compiling took more than {WALL_S:.0f} s") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if status:
        raise CompileError(_reason(status, said))
    return output


async def _talk(child: asyncio.subprocess.Process, job: bytes) -> tuple[bytes, bytes]:
    assert child.stdin is not None and child.stdout is not None and child.stderr is not None
    output, said, _ = await asyncio.gather(
        _read(child.stdout, ARTEFACT_BYTES), _read(child.stderr, ERROR_BYTES), _write(child.stdin, job)
    )
    return output, said


async def _write(stream: asyncio.StreamWriter, job: bytes) -> None:
    try:
        stream.write(job)
        await stream.drain()
        stream.close()
        await stream.wait_closed()
    except ConnectionError:
        return  # The child ended early; its status says why.


async def _read(stream: asyncio.StreamReader, limit: int) -> bytes:
    """At most `limit` bytes are kept; the rest is read and dropped, so that the child can end."""
    chunks: list[bytes] = []
    size = 0
    while chunk := await stream.read(1 << 20):
        if size < limit:
            chunks.append(chunk[: limit - size])
        size += len(chunk)
    return b"".join(chunks)


def _environment() -> dict[str, str]:
    """Nothing but where the code is."""
    places = [str(Path(edge.__file__).parents[1]), *(p for p in sys.path if p)]
    return {"PYTHONPATH": os.pathsep.join(dict.fromkeys(places)), "PYTHONDONTWRITEBYTECODE": "1"}


def _reason(status: int, said: bytes) -> str:
    text = said.decode("utf-8", "replace").strip()
    if status == REFUSED:
        return text[:500] or "the module is refused"
    if status in {-signal.SIGXCPU, -signal.SIGKILL}:
        return f"compiling took more than {CPU_S} s of CPU"
    if "MemoryError" in text or "memory allocation" in text or status == -signal.SIGABRT:
        return "compiling took more than 2 GiB of memory"
    return f"the compile child ended with status {status}"
