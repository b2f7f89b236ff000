"""The one engine of a process, with the constant profile `core`.

An inconsistent configuration aborts the process, so there is nothing to choose here; the profile
is started once in a child at boot (`python -m edge.wasm.selftest`) before anything depends on it.
"""

from __future__ import annotations

import resource
import threading
from ctypes import c_void_p, cast
from functools import cache
from typing import Final

from wasmtime import Config, Engine

from edge.wasm import raw

PROFILE: Final = "core-1"
"""Names the settings below; part of the key of every artefact. Change it when they change."""

WASM_STACK_BYTES: Final = 256 << 10
THREAD_STACK_BYTES: Final = 8 << 20
"""A WASM call on a thread with less than the WASM stack and room to spare kills the process."""
MAIN_STACK_BYTES: Final = 1 << 20
"""The WASM stack, and what Python and host functions put below and above it."""

_making: Final = threading.Lock()

_REFUSED: Final = (
    "wasm_threads",
    "wasm_memory64",
    "wasm_gc",
    "wasm_function_references",
    "wasm_exceptions",
    "wasm_tail_call",
    "wasm_stack_switching",
    "wasm_relaxed_simd",
    "wasm_custom_page_sizes",
    "wasm_wide_arithmetic",
    "wasm_component_model",
)


def _config() -> Config:
    config = Config()
    config.epoch_interruption = True
    config.max_wasm_stack = WASM_STACK_BYTES
    config.signals_based_traps = True
    config.shared_memory = False
    config.gc_support = False
    config.parallel_compilation = False
    config.wasm_multi_memory = True
    for proposal in _REFUSED:
        setattr(config, proposal, False)
    return config


def check_stack() -> None:
    """Raise RuntimeError if this process's main thread has less stack than guests may use of it."""
    soft, _ = resource.getrlimit(resource.RLIMIT_STACK)
    if soft != resource.RLIM_INFINITY and soft < MAIN_STACK_BYTES:
        raise RuntimeError(
            f"the stack limit is {soft >> 10} KiB, edge needs {MAIN_STACK_BYTES >> 10} KiB (ulimit -s)"
        )


class CoreEngine:
    """Owns the native engine; `pointer` is valid for the life of the process."""

    __slots__ = ("_engine", "pointer")

    def __init__(self) -> None:
        check_stack()
        self._engine = Engine(_config())
        self.pointer: int = cast(self._engine.ptr(), c_void_p).value or 0

    def increment_epoch(self) -> None:
        raw.increment_epoch(self.pointer)


@cache
def _engine() -> CoreEngine:
    return CoreEngine()


def core_engine() -> CoreEngine:
    """The process's engine, made at the first call, on whichever thread that is."""
    # functools.cache alone lets two first callers make one each, whose modules do not mix.
    with _making:
        return _engine()
