"""What a trap was, in one line."""

from __future__ import annotations

from typing import Final

from edge.abi.proxy_wasm.layout import TRAPS
from edge.wasm.trap import Trap

_FRAMES: Final = 5

_WORDS: Final = {
    "host_calls_budget": "the budget of host calls is used up",
    "bytes_copied_budget": "the budget of bytes copied is used up",
    "shared_queue_not_supported": "proxy_register_shared_queue is not supported",
    "host_call_in_allocator": "the guest's allocator made a host call",
    "map_broken": "a header map could not be read",
}


def describe(trap: Trap, number: int, detail: int) -> str:
    """`number` and `detail` are what the inner host left when it ended the call itself."""
    name = TRAPS.get(number)
    if name is None:
        cause = f"{trap.code}: {trap.message}"
    elif name == "exit":
        cause = f"exit: the guest left with code {detail}"
    else:
        cause = f"{name}: {_WORDS[name]}"
    frames = " < ".join(trap.backtrace()[:_FRAMES])
    return f"{cause} ({frames})" if frames else cause
