"""What ends a call into a guest, in our own words."""

from __future__ import annotations

import ctypes
from ctypes import addressof, c_uint8
from typing import Final

from edge.wasm import raw

_CODES: Final = {
    0: "stack_overflow",
    1: "memory_out_of_bounds",
    2: "heap_misaligned",
    3: "table_out_of_bounds",
    4: "indirect_call_to_null",
    5: "bad_signature",
    6: "integer_overflow",
    7: "integer_division_by_zero",
    8: "bad_conversion_to_integer",
    9: "unreachable",
    10: "cpu_budget",
}
MAX_FRAMES: Final = 32
"""A deep recursion has thousands; the first ones tell the story."""


class Frame:
    """One line of a backtrace. `module` is the name given at compile time (guest, bridge, inner)."""

    __slots__ = ("function", "index", "module", "offset")

    def __init__(self, module: str, function: str, index: int, offset: int) -> None:
        self.module = module
        self.function = function
        self.index = index
        self.offset = offset

    def __str__(self) -> str:
        name = self.function or f"function {self.index}"
        return f"{self.module or '?'}: {name} at {self.offset:#x}"


class Trap(Exception):
    """A call into WASM that did not return. The store it ran in must be thrown away.

    `code` is one of unreachable, memory_out_of_bounds, table_out_of_bounds, stack_overflow,
    indirect_call_to_null, bad_signature, integer_overflow, integer_division_by_zero,
    bad_conversion_to_integer, heap_misaligned, cpu_budget, host (a host function failed),
    limit (the store's limits refuse it) or error (anything else, e.g. imports that do not fit).
    """

    def __init__(self, code: str, message: str, frames: list[Frame]) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.frames = frames

    def backtrace(self) -> list[str]:
        """One line a frame, innermost first."""
        return [str(frame) for frame in self.frames]


def take_trap(trap: int) -> Trap:
    """Our own form of a `wasm_trap_t`, which is freed."""
    number = c_uint8()
    has_code = raw.trap_code(trap, addressof(number))
    message = raw.ByteVec()
    raw.trap_message(trap, addressof(message))
    text = message.take().rstrip(b"\0").decode("utf-8", "replace")
    frames = raw.FrameVec()
    raw.trap_trace(trap, addressof(frames))
    listed = _take_frames(frames)
    raw.trap_delete(trap)
    code = _CODES.get(number.value, "error") if has_code else "host"
    return Trap(code, _first_line(text), listed)


def take_error(error: int) -> Trap:
    """Our own form of a `wasmtime_error_t`, which is freed."""
    text = take_message(error, delete=False)
    frames = raw.FrameVec()
    raw.error_trace(error, addressof(frames))
    listed = _take_frames(frames)
    raw.error_delete(error)
    line = _first_line(text)
    return Trap(_error_code(line), line, listed)


def _error_code(line: str) -> str:
    """Errors have no number: our own texts are known by their beginning, limits by the engine's words."""
    if line.startswith("cpu budget"):
        return "cpu_budget"
    if line.startswith("host function"):
        return "host"
    return "limit" if "limit" in line or "exceeds" in line else "error"


def take_message(error: int, delete: bool = True) -> str:
    """Text of a `wasmtime_error_t`."""
    message = raw.ByteVec()
    raw.error_message(error, addressof(message))
    text = message.take().decode("utf-8", "replace")
    if delete:
        raw.error_delete(error)
    return text


def _take_frames(vector: raw.FrameVec) -> list[Frame]:
    frames = []
    for position in range(min(vector.size, MAX_FRAMES)):
        pointer = vector.data[position]
        frames.append(
            Frame(
                raw.borrowed_name(raw.frame_module_name(pointer)),
                raw.borrowed_name(raw.frame_func_name(pointer)),
                raw.frame_func_index(pointer),
                raw.frame_module_offset(pointer),
            )
        )
    raw.frame_vec_delete(ctypes.addressof(vector))
    return frames


def _first_line(text: str) -> str:
    """The engine puts a backtrace before the cause; the cause is what matters in one line."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if "Caused by:" in lines:
        lines = lines[lines.index("Caused by:") + 1 :]
    return " ".join(lines)[:500] if lines else ""
