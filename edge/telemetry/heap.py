"""The C heap of a process through which batches of spans go.

A batch takes some 150 KB several times over for a moment. glibc hands such memory back to the system as
soon as it is free, and takes it again, page fault by page fault, for the next batch.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Final

SPARE_BYTES: Final = 2 << 20
"""What may stay at the top of the heap."""
APART_BYTES: Final = 1 << 20
"""Blocks so large still come from the system and go back at once."""
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3


@cache
def keep_spare() -> bool:
    """Let the heap keep SPARE_BYTES, from now on; False where there is no glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_TRIM_THRESHOLD, SPARE_BYTES)) and bool(mallopt(_MMAP_THRESHOLD, APART_BYTES))
