"""Python's side of the contract with the inner host: the same numbers as `inner/*.h`.

A test reads the headers and compares every name.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final


class Status(IntEnum):
    """What a host call answers. Spec: Proxy-Wasm `proxy_status_t`; SDKs tolerate no others."""

    OK = 0
    NOT_FOUND = 1
    BAD_ARGUMENT = 2
    INVALID_MEMORY = 6
    EMPTY = 7
    CAS_MISMATCH = 8
    INTERNAL_FAILURE = 10


class Control(IntEnum):
    """Words (u32) of the control block; those marked u64 take two."""

    CALLS = 0
    BYTES = 1
    NOW = 2
    CONTEXT = 4
    GUEST = 5
    LOG_LEVEL = 6
    RECORDING = 7
    TRAP = 8
    TRAP_DETAIL = 9
    OPS = 10
    OPS_BYTES = 11
    LOG_BYTES = 12
    RECORDS = 13
    COUNT = 14
    WRITABLE = 15
    RESULT = 16
    GUESTS = 18
    MARK_OPS = 19
    MARK_BYTES = 20
    STOP = 21
    METRICS = 22
    LOGS_DROPPED = 23
    LATE_EDITS = 24
    MIXED = 25
    A0 = 26
    OWN = 32
    TOLD_NOW = 96
    TOLD_CONTEXT = 98
    TOLD_FIRST = 99
    TOLD_LENGTH = 100
    TOLD_COUNT = 101
    TOLD_END = 102
    TOLD_FRESH = 103
    CAME_WORD = 104
    CAME_OPS_BYTES = 106
    CAME_GUEST = 107
    LEFT = 108
    WORDS = 124


class Own(IntEnum):
    """Words (u32) of each guest, from `Control.OWN` on."""

    ABI = 0
    ARGC = 1
    ARGV_BYTES = 2
    ENVC = 3
    ENV_BYTES = 4
    WORDS = 8


class Area(IntEnum):
    """What `address` of the inner host is asked for; the arena of map n is MAPS + n."""

    CONTROL = 0
    OPS_WORDS = 1
    OPS_BYTES = 2
    LOGS = 3
    WINDOW = 4
    ARGUMENTS = 5
    RECORDS = 6
    METRICS = 7
    STRINGS = 8
    MAPS = 16


class World(IntEnum):
    """What the inner host asks of Python."""

    LOAD = 1
    FLUSH = 2
    CONTEXT = 3
    PROPERTY = 4
    SET_PROPERTY = 5
    BUFFER = 6
    BUFFER_SIZE = 7
    SET_BUFFER = 8
    PULL = 9
    PUSH = 10
    SHARED_GET = 11
    SHARED_SET = 12
    HTTP_CALL = 13
    TICK = 14
    STREAM = 15
    REPLY = 16
    DONE = 17
    METRIC = 18
    METRIC_VALUE = 19
    METRICS = 20
    RANDOM = 21
    QUEUE_REGISTER = 22
    QUEUE_RESOLVE = 23
    QUEUE_PUT = 24
    QUEUE_TAKE = 25


class Op(IntEnum):
    """One edit of a map, in the upper four bits of its word; then four bits of map, then the index."""

    ADD = 0
    SET = 1
    DELETE = 2
    SPECIAL = 3
    INSERT = 4


class Map(IntEnum):
    """Spec: Proxy-Wasm `proxy_map_type_t`."""

    REQUEST = 0
    REQUEST_TRAILERS = 1
    RESPONSE = 2
    RESPONSE_TRAILERS = 3
    CALL_HEADERS = 6
    CALL_TRAILERS = 7


class Buffer(IntEnum):
    """Spec: Proxy-Wasm `proxy_buffer_type_t`; the others are never there."""

    REQUEST_BODY = 0
    RESPONSE_BODY = 1
    CALL_BODY = 4
    VM_CONFIGURATION = 6
    PLUGIN_CONFIGURATION = 7


class Root(IntEnum):
    """Which callback `root_call` drives."""

    CREATE = 0
    VM_START = 1
    VALIDATE = 2
    CONFIGURE = 3
    TICK = 4
    DONE = 5
    DELETE = 6
    QUEUE = 7


class Flag(IntFlag):
    """Beside the guest's answer (the low 8 bits) in a driver's word; the last two of group drivers only."""

    OPS = 1 << 8
    LOGS = 1 << 9
    METRICS = 1 << 10
    NOTES = 1 << 11
    MIXED = 1 << 12
    STOPPED = 1 << 13


GUEST_SHIFT: Final = 16
"""Where the word of a group driver has the guest that came last."""
ONE_STEP: Final = 1 << 31
"""Beside the first guest of a group driver: go no further than that."""


RETURNED: Final = 1 << 62
"""A driver's word when the guest answered 0 and left nothing to read. Smaller: it trapped."""
NONE: Final = 0xFFFFFFFF
WORD: Final = 0xFFFFFFFF

WINDOW_BYTES: Final = 65_536
MAP_LIMIT_BYTES: Final = 122_880
MAP_LIMIT_FIELDS: Final = 1024
RECORD_LIMIT: Final = 1024
STRINGS_BYTES: Final = 16_384
GUESTS_LIMIT: Final = 8
"""In one Store."""
SERIES_LIMIT: Final = 128

TRAPS: Final = {
    1: "host_calls_budget",
    2: "bytes_copied_budget",
    3: "exit",
    5: "host_call_in_allocator",
    6: "map_broken",
}
"""Trap codes of the inner host's own, by their number."""

FUNCTIONS: Final = (
    *("", "log", "get_log_level", "get_current_time_nanoseconds", "set_tick_period_milliseconds"),
    *("get_buffer_bytes", "set_buffer_bytes", "get_buffer_status", "get_header_map_size"),
    *("get_header_map_pairs", "set_header_map_pairs", "get_header_map_value", "add_header_map_value"),
    *("replace_header_map_value", "remove_header_map_value", "get_property", "set_property"),
    *("continue_stream", "close_stream", "send_local_response", "http_call", "grpc", "get_status"),
    *("set_shared_data", "get_shared_data", "shared_queue", "define_metric", "metric"),
    *("call_foreign_function", "set_effective_context", "done", "get_configuration", "clear_route_cache"),
    "wasi",
)
"""Names in the call record, by their number."""
