"""ACK frames, read and written. Spec: RFC 9000 §19.3."""

from __future__ import annotations

from edge.codec.h3.wire import integer, varint

Ranges = list[tuple[int, int]]
"""(lowest, largest) packet numbers, ascending, none touching the next."""


def read_ack(data: bytes, at: int, end: int) -> tuple[Ranges, int, int]:
    """(ranges, delay as it is written, where the frame ends); that end is 0 when it is wrong.

    `at` is after the type, which is that of an ACK without ECN counts.
    """
    largest, at = integer(data, at, end)
    delay, at = integer(data, at, end) if at else (0, 0)
    if at and at + 1 < end and not data[at] and data[at + 1] < 0x40 and data[at + 1] <= largest:
        # One short range, as nearly always.
        return [(largest - data[at + 1], largest)], delay, at + 2
    count, at = integer(data, at, end) if at else (0, 0)
    more, at = integer(data, at, end) if at else (0, 0)
    lowest = largest - more
    ranges = [(lowest, largest)]
    for _ in range(count):
        gap, at = integer(data, at, end) if at else (0, 0)
        more, at = integer(data, at, end) if at else (0, 0)
        if not at:
            break
        largest = lowest - gap - 2
        lowest = largest - more
        ranges.append((lowest, largest))
    if lowest < 0:
        at = 0
    elif count:
        ranges.reverse()
    return ranges, delay, at


def ack_frame(received: list[range], delay: int) -> bytes:
    """That all of `received`, ascending, has arrived, the last of it `delay` ago."""
    last = received[-1]
    lowest = last.start
    written = b"\x02%b%b%b%b" % (
        varint(last.stop - 1), varint(delay), varint(len(received) - 1), varint(last.stop - 1 - lowest)
    )  # fmt: skip
    for each in received[-2::-1]:
        written += varint(lowest - each.stop - 1) + varint(each.stop - 1 - each.start)
        lowest = each.start
    return written
