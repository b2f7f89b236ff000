"""How much of a work that can have any length the tests do: in every run, and in the long one.

A test that takes its length from here is longer by itself under `python -m tests --long`.
"""

from __future__ import annotations

import os
from typing import Final

LONG: Final = bool(os.environ.get("EDGE_TEST_LONG"))
"""Whether this is the long run."""

AMOUNTS: Final[dict[str, tuple[int, int]]] = {
    "fuzz: conversations a protocol": (20_000, 200_000),
    "fuzz against a running edge: conversations a protocol": (1_000, 10_000),
    "storm: operations": (3_000, 30_000),
    "storm of upstream HTTP/2: seeds": (4, 40),
    "examples of each property, times": (1, 10),
    "soak: seconds": (180, 1800),
}


def amount(name: str) -> int:
    """The one of this run. KeyError for a work that is not listed."""
    every_run, long_run = AMOUNTS[name]
    return long_run if LONG else every_run
