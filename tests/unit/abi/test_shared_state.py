"""Values and queues of one vm id, as several processes see them."""

from __future__ import annotations

import os
import random
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from edge.abi import shared_state
from edge.abi.shared_memory import SharedLog, make_area
from edge.abi.shared_state import ENTRIES_LIMIT, QUEUES_LIMIT, QUOTA_BYTES, SharedState

WORKERS = 3


@pytest.fixture
def states() -> Iterator[list[SharedState]]:
    """As many processes have them."""
    descriptor = make_area("test")
    yield [SharedState(SharedLog(descriptor)) for _ in range(WORKERS)]
    os.close(descriptor)


def test_a_value_is_seen_by_all_with_its_number(states: list[SharedState]) -> None:
    one, other, third = states
    assert one.set(b"k", b"v", 0) is True
    assert other.get(b"k") == third.get(b"k") == (b"v", 1)
    assert third.get(b"none") is None


def test_of_two_who_swap_one_wins(states: list[SharedState]) -> None:
    one, other, third = states
    assert one.set(b"k", b"0", 0) is True
    number = other.get(b"k")
    assert number == third.get(b"k") == (b"0", 1)
    assert other.set(b"k", b"other", 1) is True
    assert third.set(b"k", b"third", 1) is False
    assert [each.get(b"k") for each in states] == [(b"other", 2)] * WORKERS
    assert third.set(b"k", b"third", 2) is True
    assert one.get(b"k") == (b"third", 3)


def test_a_key_that_is_not_there_is_set_whatever_the_number(states: list[SharedState]) -> None:
    assert states[0].set(b"k", b"v", 77) is True
    assert states[1].get(b"k") == (b"v", 1)


def test_a_number_never_comes_back_with_a_value(states: list[SharedState]) -> None:
    one, other, _ = states
    one.set(b"k", b"v", 0)
    held = other.get(b"k")
    assert held is not None
    one.set(b"k", b"w", 0)
    one.set(b"k", b"v", 0)
    assert other.set(b"k", b"mine", held[1]) is False


def test_what_is_kept_is_bounded_by_bytes_and_by_number(states: list[SharedState]) -> None:
    one, other, _ = states
    assert one.set(b"big", bytes(QUOTA_BYTES - 3), 0) is True
    assert other.set(b"k", b"", 0) is None
    assert other.set(b"big", b"", 0) is True
    for number in range(ENTRIES_LIMIT - 1):
        assert one.set(b"%d" % number, b"", 0) is True
    assert one.set(b"one more", b"", 0) is None
    assert one.set(b"big", b"again", 0) is True


def test_queues_are_the_same_for_all_and_each_item_goes_to_one(states: list[SharedState]) -> None:
    one, other, third = states
    assert one.queue(b"q") is None
    assert one.register(b"q", 0) == other.register(b"q", 1) == 0
    assert third.register(b"p", 2) == 1 and third.queue(b"q") == 0
    assert third.put(0, b"first") == {0, 1}
    assert one.put(0, b"second") == {0, 1}
    assert [each.waiting(0) for each in states] == [2] * WORKERS
    assert [other.take(0), third.take(0), one.take(0)] == [b"first", b"second", None]
    assert other.put(1, b"") == {2} and one.take(1) == b""


def test_what_there_is_not_is_told_apart_from_what_is_empty(states: list[SharedState]) -> None:
    one, other, _ = states
    assert one.put(0, b"x") is None
    with pytest.raises(LookupError):
        other.take(0)
    one.register(b"q", 0)
    assert other.take(0) is None


def test_queues_are_bounded(states: list[SharedState]) -> None:
    one, other, _ = states
    for number in range(QUEUES_LIMIT):
        assert one.register(b"%d" % number, 0) == number
    assert other.register(b"one more", 0) is None
    assert other.register(b"0", 1) == 0
    assert one.put(0, bytes(QUOTA_BYTES)) is None
    assert one.put(0, bytes(QUOTA_BYTES - 2000)) == {0, 1}
    assert other.put(1, bytes(2000)) is None
    assert other.take(0) is not None and other.put(1, bytes(2000)) == {0}


def test_a_log_that_is_full_is_rewritten_and_nobody_notices(states: list[SharedState]) -> None:
    one, other, third = states
    one.register(b"q", 4)
    one.put(0, b"waits")
    for turn in range(60):
        assert states[turn % 2].set(b"k%d" % (turn % 7), bytes([turn]) * 100_000, 0) is True
    assert one.log.commit >> 32 >= 2
    found = [third.get(b"k%d" % number) for number in range(7)]
    assert found == [other.get(b"k%d" % number) for number in range(7)]
    assert {pair[0][0] for pair in found if pair} == set(range(53, 60))
    assert third.put(0, b"too") == {4}
    assert [third.take(0), other.take(0), one.take(0)] == [b"waits", b"too", None]
    late = SharedState(SharedLog(os.open(f"/proc/self/fd/{one.log._file}", os.O_RDWR)))
    assert late.get(b"k1") == one.get(b"k1")
    assert late.set(b"k1", b"x", 0) is True
    now = one.get(b"k1")
    assert now is not None and now[1] > max(pair[1] for pair in found if pair)


def test_damage_empties_it_for_all_and_is_counted(states: list[SharedState]) -> None:
    one, other, third = states
    one.set(b"k", b"v", 0)
    assert other.get(b"k") is not None
    one.log._memory[4096 + 8] ^= 0xFF
    one.set(b"l", b"w", 0)
    assert third.get(b"k") is None
    assert [each.log.emptied for each in states] == [0, 0, 1]
    assert [each.get(b"l") for each in states] == [None] * WORKERS
    assert third.set(b"l", b"new", 0) is True
    assert [each.get(b"l") for each in states] == [(b"new", 1)] * WORKERS


@pytest.mark.parametrize(
    "payload", [b"", b"\x02\0\x05\0\0\0\0\0", b"\x04\0\x05\0\0\0\0\0", b"\x09\0\0\0\0\0\0\0"]
)
def test_records_that_make_no_sense_are_damage(states: list[SharedState], payload: bytes) -> None:
    one, other, _ = states
    assert one.log.acquire()
    one.log.append([payload])
    one.log.release()
    assert other.get(b"k") is None
    assert other.log.emptied == 1
    assert other.set(b"k", b"v", 0) is True and one.get(b"k") == (b"v", 1)


def test_without_the_lock_values_are_read_and_writers_are_told_to_try_again(
    states: list[SharedState],
) -> None:
    one, other, _ = states
    one.set(b"k", b"v", 0)
    one.register(b"q", 0)
    one.put(0, b"x")
    assert one.log.acquire()
    assert other.get(b"k") == (b"v", 1)
    assert other.set(b"k", b"w", 0) is False
    assert other.put(0, b"y") is None
    assert other.take(0) is None and other.waiting(0) == 1
    assert other.register(b"q", 1) is None
    one.log.release()
    assert other.set(b"k", b"w", 0) is True and other.take(0) == b"x"


def test_many_operations_of_many_processes_agree_with_one_dict(
    states: list[SharedState], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_state, "QUOTA_BYTES", 30_000)
    random_ = random.Random(7)
    values: dict[bytes, bytes] = {}
    queue: deque[bytes] = deque()
    states[0].register(b"q", 0)
    for turn in range(6000):
        state = random_.choice(states)
        key, data = b"k%d" % random_.randrange(9), random_.randbytes(random_.randrange(3000))
        match random_.randrange(4):
            case 0:
                if state.set(key, data, 0):
                    values[key] = data
            case 1:
                found = state.get(key)
                assert (found[0] if found else None) == values.get(key), turn
            case 2:
                if state.put(0, data) is not None:
                    queue.append(data)
            case _:
                assert state.take(0) == (queue.popleft() if queue else None), turn
    assert states[0].log.commit >> 32 >= 1


def test_threads_of_one_process_share_it(states: list[SharedState]) -> None:
    one, other, _ = states

    def count(state: SharedState) -> None:
        for _ in range(50):
            done: bool | None = False
            while not done:
                found = state.get(b"n")
                value, number = found or (b"0", 0)
                done = state.set(b"n", b"%d" % (int(value) + 1), number)

    one.set(b"n", b"0", 0)
    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(count, state) for state in (one, one, other, other)]:
            done.result(60)
    final = one.get(b"n")
    assert final is not None and final[0] == b"200"
