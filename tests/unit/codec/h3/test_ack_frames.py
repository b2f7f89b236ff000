"""ACK frames are written and read as aioquic does."""

from __future__ import annotations

from random import Random

import pytest
from aioquic._buffer import Buffer, BufferReadError
from aioquic.quic.packet import pull_ack_frame, push_ack_frame
from aioquic.quic.rangeset import RangeSet

from edge.codec.h3.ack_frames import ack_frame, read_ack
from edge.codec.h3.wire import varint

_WORDS = (0, 1, 2, 3, 7, 63, 64, 300, 16_383, 16_384, (1 << 30) - 1, 1 << 30, (1 << 62) - 1)


def _ranges(random: Random) -> list[range]:
    at, made = random.choice(_WORDS[:-1]), []
    for _ in range(random.choice((1, 1, 2, 5, 64))):
        start = at + random.choice((1, 2, 60, 70, 20_000))
        at = start + random.choice((1, 2, 63, 64, 65, 20_000))
        made.append(range(start, at))
    return made


@pytest.mark.parametrize("seed", range(20))
def test_what_is_written_is_what_aioquic_writes(seed: int) -> None:
    random = Random(seed)
    for _ in range(20):
        ranges, delay = _ranges(random), random.choice(_WORDS)
        buffer = Buffer(2_000)
        push_ack_frame(buffer, RangeSet(ranges), delay, 2_000)
        frame = ack_frame(ranges, delay)
        assert frame == b"\x02" + buffer.data
        told = [(each.start, each.stop - 1) for each in ranges]
        assert read_ack(b"?" + frame + b"?", 2, len(frame) + 1) == (told, delay, len(frame) + 1)


@pytest.mark.parametrize("seed", range(20))
def test_what_is_read_is_what_aioquic_reads_or_nothing(seed: int) -> None:
    random = Random(seed)
    right = 0
    for _ in range(200):
        count = random.choice((0, 0, 1, 2, 3))
        words = [random.choice((1 << 40, 70_000, *_WORDS)), random.choice(_WORDS), count]
        words += [random.choice((*_WORDS[:8], random.choice(_WORDS))) for _ in range(1 + 2 * count)]
        data = b"".join(map(varint, words))
        end = random.choice((len(data), len(data), random.randrange(len(data) + 1)))
        buffer = Buffer(data=data[:end])
        ranges, delay, at = read_ack(data, 0, end)
        try:
            expected, expected_delay = pull_ack_frame(buffer)
        except (BufferReadError, ValueError):
            assert at == 0
            continue
        right += 1
        assert at == buffer.tell()
        assert delay == expected_delay
        assert ranges == [(each.start, each.stop - 1) for each in expected]
    assert right > 50
