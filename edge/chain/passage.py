"""What a filter did that only let a head pass: as little as can be kept while requests are served."""

from __future__ import annotations

from collections.abc import Iterable

from edge.chain.filter import Direction, FilterRecord

Shape = tuple[str, int, Direction, int, int, tuple[bytes, ...]]
"""Name and position, direction, `spent` (see `FilterRecord`), bytes of memory, names of fields it edited.

Much the same for all requests of a chain, so what is made of it can be kept.
"""

Passage = tuple[Shape, int, int]
"""One call of a filter that continued and asked nothing of the world, from when to when in ns.

All of the time was the guest's own.
"""


def recorded(kept: Iterable[FilterRecord | Passage]) -> list[FilterRecord]:
    """The same as records alone."""
    return [_record(*each) if isinstance(each, tuple) else each for each in kept]


def _record(shape: Shape, start_ns: int, end_ns: int) -> FilterRecord:
    name, position, direction, spent, memory_bytes, edits = shape
    record = FilterRecord(
        name, position, direction, start_ns, end_ns, end_ns - start_ns, 1, spent, memory_bytes
    )
    record.edits = edited(edits)
    return record


def edited(names: Iterable[bytes]) -> list[str]:
    """Names of fields as records have them."""
    return [name.decode("ascii", "replace") for name in names]
