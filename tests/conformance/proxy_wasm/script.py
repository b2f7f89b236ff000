"""Writes byte code for guests/script.c: which host calls to make in which callback.

Texts are laid out in the guest's free memory (`LOW` .. 2 MiB); results go to fixed cells.
"""

from __future__ import annotations

from struct import pack
from typing import Final

LOW: Final = 65_536
CELLS: Final = 4_096
"""Where out-pointers point: cell n is CELLS + 8 * n."""

FUNCTIONS: Final = {
    "log": 1,
    "get_log_level": 2,
    "get_current_time_nanoseconds": 3,
    "set_tick_period_milliseconds": 4,
    "get_buffer_bytes": 5,
    "set_buffer_bytes": 6,
    "get_buffer_status": 7,
    "get_header_map_size": 8,
    "get_header_map_pairs": 9,
    "set_header_map_pairs": 10,
    "get_header_map_value": 11,
    "add_header_map_value": 12,
    "replace_header_map_value": 13,
    "remove_header_map_value": 14,
    "get_property": 15,
    "set_property": 16,
    "continue_stream": 17,
    "close_stream": 18,
    "send_local_response": 19,
    "http_call": 20,
    "grpc_call": 21,
    "grpc_stream": 22,
    "grpc_send": 23,
    "grpc_cancel": 24,
    "grpc_close": 25,
    "get_status": 26,
    "set_shared_data": 27,
    "get_shared_data": 28,
    "register_shared_queue": 29,
    "resolve_shared_queue": 30,
    "enqueue_shared_queue": 31,
    "dequeue_shared_queue": 32,
    "define_metric": 33,
    "record_metric": 34,
    "increment_metric": 35,
    "get_metric": 36,
    "call_foreign_function": 37,
    "set_effective_context": 38,
    "done": 39,
    "args_get": 50,
    "args_sizes_get": 51,
    "environ_get": 52,
    "environ_sizes_get": 53,
    "fd_write": 54,
    "fd_fdstat_get": 55,
    "clock_time_get": 56,
    "random_get": 57,
    "poll_oneoff": 58,
    "proc_exit": 59,
    "fd_prestat_get": 60,
    "path_open": 61,
}
OWN: Final = {"set_own_context": 40}
"""What the script makes of it: `set_effective_context` to the stream context created last."""

CALLBACKS: Final = {
    name: number
    for number, name in enumerate(
        (
            *("configure", "request_headers", "request_body", "request_trailers", "response_headers"),
            *("response_body", "response_trailers", "tick", "call_response", "done", "log", "delete"),
            *("create", "vm_start", "queue_ready"),
        ),
        1,
    )
}
_POKE, _CALL, _PEEK, _FOLLOW, _ANSWER, _LOOP, _TRAP, _GROW, _ALLOCATOR, _EMIT, _QUIET = range(1, 12)


class Script:
    """One callback's code. Methods chain."""

    def __init__(self) -> None:
        self._code: list[bytes] = []
        self._next = LOW
        self._words: list[str] = []

    def __repr__(self) -> str:
        return f"<{'; '.join(self._words)}>"

    def text(self, data: bytes) -> tuple[int, int]:
        """Put bytes into memory: (address, size) for a call."""
        at = self._next
        self._next += (len(data) + 15) & ~15
        self.poke(at, data)
        return at, len(data)

    def poke(self, at: int, data: bytes) -> Script:
        self._code.append(pack("<3I", _POKE, at, len(data)) + data + b"\0" * (-len(data) % 4))
        return self

    def call(self, name: str, *arguments: int | bytes) -> Script:
        """A host call; bytes become address and size. Its status is emitted."""
        self._words.append(f"{name}{tuple(a[:40] if isinstance(a, bytes) else a for a in arguments)}")
        words: list[int] = []
        for argument in arguments:
            words += self.text(argument) if isinstance(argument, bytes) else (argument & 0xFFFFFFFF,)
        words += [0] * (12 - len(words))
        self._code.append(pack("<14I", _CALL, {**FUNCTIONS, **OWN}[name], *words))
        return self

    def peek(self, at: int, size: int) -> Script:
        """Emit bytes of memory."""
        self._code.append(pack("<3I", _PEEK, at, size))
        return self

    def follow(self, at_pointer: int, at_size: int) -> Script:
        """Emit what a (pointer, size) pair in memory means."""
        self._code.append(pack("<3I", _FOLLOW, at_pointer, at_size))
        return self

    def get(self, name: str, *arguments: int | bytes) -> Script:
        """A call whose last two arguments are where it puts pointer and size; emits what it gave."""
        pointer, size = cell(0), cell(1)
        self.poke(pointer, b"\0" * 16)
        return self.call(name, *arguments, pointer, size).follow(pointer, size)

    def answer(self, value: int) -> Script:
        self._words.append(f"answer {value}")
        self._code.append(pack("<2I", _ANSWER, value))
        return self

    def loop(self) -> Script:
        self._code.append(pack("<I", _LOOP))
        return self

    def trap(self) -> Script:
        self._code.append(pack("<I", _TRAP))
        return self

    def grow(self, pages: int) -> Script:
        self._code.append(pack("<2I", _GROW, pages))
        return self

    def allocator(self, mode: int) -> Script:
        """0 sound, 1 gives 0, 2 past the end, 3 grows, 4 calls the host, 5 60000, 6 traps, 7 last byte."""
        self._code.append(pack("<2I", _ALLOCATOR, mode))
        return self

    def emit(self) -> Script:
        self._code.append(pack("<I", _EMIT))
        return self

    def quiet(self) -> Script:
        """Drop what would be emitted."""
        self._words.append("quiet")
        self._code.append(pack("<I", _QUIET))
        return self

    def code(self) -> bytes:
        return b"".join(self._code)


def cell(number: int) -> int:
    return CELLS + 8 * number


def configuration(**callbacks: Script) -> bytes:
    """The plugin configuration for script.c."""
    sections = [
        pack("<2I", CALLBACKS[name], len(script.code()) // 4) + script.code()
        for name, script in callbacks.items()
    ]
    return pack("<I", len(sections)) + b"".join(sections)


def pairs(*items: tuple[bytes, bytes]) -> bytes:
    """Proxy-Wasm's serialisation."""
    sizes = b"".join(pack("<2I", len(name), len(value)) for name, value in items)
    return pack("<I", len(items)) + sizes + b"".join(name + b"\0" + value + b"\0" for name, value in items)
