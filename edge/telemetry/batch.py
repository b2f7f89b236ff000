"""What the supervisor asks of a batch that came up from a worker before it uses it."""

from __future__ import annotations

from typing import Final

from edge.wire import Spans

_SPAN_ENTRY: Final = 0x12
_LONGEST_VARINT: Final = 5
_MORE: Final = 0x80
_SEVEN_BITS: Final = 0x7F


def is_sound(batch: Spans) -> bool:
    """Whether the payload is exactly `count` span entries and nothing else.

    A worker is trusted with nothing: other fields in the payload would end up in the request
    that carries our credentials.
    """
    payload = batch.payload
    size, at, found = len(payload), 0, 0
    try:
        while at < size:
            low, high = payload[at + 1], payload[at + 2]
            if payload[at] != _SPAN_ENTRY:
                return False
            if low < _MORE:
                at += 2 + low
            elif high < _MORE:
                at += 3 + (low & _SEVEN_BITS) + (high << 7)
            else:
                at = _after_long(payload, at + 1)
            found += 1
    except IndexError:
        return False
    return at == size and found == batch.count and batch.dropped >= 0


def _after_long(payload: bytes, at: int) -> int:
    """Where the entry ends whose length, of three bytes or more, stands at `at`."""
    length = shift = 0
    for _ in range(_LONGEST_VARINT):
        byte = payload[at]
        at += 1
        length |= (byte & _SEVEN_BITS) << shift
        shift += 7
        if byte < _MORE:
            return at + length
    raise IndexError("a length without end")
