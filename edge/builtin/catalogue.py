"""Names of the filters in this package, and where their modules lie."""

from __future__ import annotations

from pathlib import Path
from typing import Final

NAMES: Final = ("api-key", "header-transform", "ab-split")
"""In the order a chain uses them."""


def path(name: str) -> Path:
    """The .wasm file of a built-in filter; KeyError for any other name."""
    if name not in NAMES:
        raise KeyError(name)
    return Path(__file__).resolve().parent / f"{name}.wasm"
