"""How full a worker is."""

from __future__ import annotations

import errno

import pytest

from edge.exchange.admission import EASE, OVERLOADED, STRAINED
from edge.worker.pressure import TRIM_EVERY, Pressure, give_back, open_descriptors, resident_bytes

LIMIT = 1000


class Machine:
    """A worker with so much memory and so many descriptors in use; what it was told, in order."""

    def __init__(self, workers: int = 1) -> None:
        self.used = self.open = self.connections = 0
        self.told: list[int] = []
        self.kept = self.trims = 0
        self.pressure = Pressure(
            *(workers, lambda: self.connections, self.told.append),
            *(lambda: self.used + self.kept, lambda: self.open, self.trim),
        )
        self.pressure.allow(LIMIT)
        self.pressure.descriptor_limit = LIMIT

    def trim(self) -> None:
        self.kept = 0
        self.trims += 1

    def level(self, used: int = 0, descriptors: int = 0) -> int:
        self.used, self.open = used, descriptors
        self.connections = descriptors // 2
        self.pressure.look()
        return self.pressure.level


def test_memory_strains_and_overloads() -> None:
    machine = Machine()
    levels = [machine.level(used) for used in (910, 920, 949, 950, 999)]
    assert levels == [EASE, STRAINED, STRAINED, OVERLOADED, OVERLOADED]


def test_memory_that_only_the_allocator_keeps_fills_no_worker() -> None:
    machine = Machine()
    machine.kept = 900
    assert machine.level(100) == EASE
    assert (machine.kept, machine.told, machine.trims) == (0, [], 1)


def test_a_full_worker_is_eased_when_what_was_freed_is_given_back() -> None:
    machine = Machine()
    assert machine.level(960) == OVERLOADED
    machine.kept = 860
    levels = [machine.level(100) for _ in range(TRIM_EVERY)]
    assert levels == [OVERLOADED] * (TRIM_EVERY - 1) + [EASE]
    assert machine.trims == 2, "it takes time, so it is done now and then"


def test_the_allocator_gives_back() -> None:
    held = [bytes(100_000) for _ in range(1000)]
    # What was made last stays in use, so that the allocator cannot give back from the end.
    last = bytes(100_000)
    before = resident_bytes()
    del held
    give_back()
    assert resident_bytes() < before - 50_000_000
    assert last


def test_descriptors_do_too() -> None:
    machine = Machine()
    levels = [machine.level(descriptors=number) for number in (910, 920, 950)]
    assert levels == [EASE, STRAINED, OVERLOADED]


def test_it_eases_only_well_below_so_that_it_does_not_flap() -> None:
    machine = Machine()
    levels = [machine.level(used) for used in (960, 940, 919, 900, 899, 919)]
    assert levels == [OVERLOADED, OVERLOADED, OVERLOADED, OVERLOADED, EASE, EASE]
    assert machine.told == [OVERLOADED, EASE]


def test_few_connections_need_no_count_of_descriptors() -> None:
    machine = Machine()
    machine.open, machine.connections = 999, 10
    machine.pressure.look()
    assert machine.pressure.level == EASE


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_a_look_that_finds_no_descriptor_for_itself_says_overloaded(number: int) -> None:
    """Both figures are read from /proc, and opening that is what cannot be done then."""

    def refuse() -> int:
        raise OSError(number, "too many open files")

    for readers in ((refuse, None), (None, refuse)):
        told: list[int] = []
        pressure = Pressure(1, lambda: LIMIT, told.append, *readers)
        pressure.allow(LIMIT * LIMIT * LIMIT)
        pressure.descriptor_limit = LIMIT
        pressure.look()
        assert told == [OVERLOADED]


def test_any_other_fault_of_a_look_is_not_hidden() -> None:
    def refuse() -> int:
        raise OSError(errno.EIO, "no")

    pressure = Pressure(1, lambda: LIMIT, lambda level: None, descriptors=refuse)
    pressure.descriptor_limit = LIMIT
    with pytest.raises(OSError):
        pressure.look()


def test_without_a_limit_a_worker_has_its_part_of_the_machine() -> None:
    one, four = Machine(1), Machine(4)
    one.pressure.allow(0)
    four.pressure.allow(0)
    assert one.pressure._memory_limit // 4 == four.pressure._memory_limit > 1 << 20


def test_the_figures_are_those_of_this_process() -> None:
    assert resident_bytes() > 1 << 20
    assert open_descriptors() >= 3
