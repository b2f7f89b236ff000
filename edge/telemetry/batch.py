"""What the supervisor asks of a batch that came up from a worker before it uses it."""

from __future__ import annotations

from typing import Final

from edge.wire import Spans

_SPAN_ENTRY: Final = 0x12
_LONGEST_VARINT: Final = 5


def is_sound(batch: Spans) -> bool:
    """Whether the payload is exactly `count` span entries and nothing else.

    A worker is trusted with nothing: other fields in the payload would end up in the request
    that carries our credentials.
    """
    payload = batch.payload
    size, at, found = len(payload), 0, 0
    while at < size:
        if payload[at] != _SPAN_ENTRY:
            return False
        at += 1
        length = shift = 0
        for _ in range(_LONGEST_VARINT):
            if at >= size:
                return False
            byte = payload[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        else:
            return False
        at += length
        found += 1
    return at == size and found == batch.count and batch.dropped >= 0
