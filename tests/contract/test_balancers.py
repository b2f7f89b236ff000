"""What every balancer keeps to, and how evenly each of them chooses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random as Chance

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.upstream.balancer import Balancer, Host, LeastRequest, Random, RoundRobin, Weighted
from edge.upstream.maglev import Maglev

TABLE = 5003


def hosts(*weights: int) -> list[Host]:
    return [Host(slot, weight, f"10.0.0.{slot}:80") for slot, weight in enumerate(weights)]


MAKERS: dict[str, Callable[[list[Host]], Balancer]] = {
    "round robin": RoundRobin,
    "weighted": Weighted,
    "random": lambda given: Random(given, Chance(1).random),
    "least request": lambda given: LeastRequest(given, lambda slot: 0, Chance(1).random),
    "maglev": lambda given: Maglev(given, TABLE),
}
every = pytest.mark.parametrize("name", MAKERS)


@every
@pytest.mark.parametrize("tried", [0, 0b1, 0b10110])
def test_nobody_is_chosen_who_was_tried_or_is_none(name: str, tried: int) -> None:
    balancer = MAKERS[name](hosts(1, 2, 3, 4, 5))
    chosen = {balancer.pick(tried, key * 7919) for key in range(2000)}
    assert chosen == {slot for slot in range(5) if not tried >> slot & 1}


@every
def test_when_all_were_tried_nobody_is_left(name: str) -> None:
    balancer = MAKERS[name](hosts(1, 2, 3))
    assert balancer.pick(0b111, 5) == -1
    assert balancer.pick(0b1111, 5) == -1
    assert balancer.pick(0b011, 5) == 2


@every
def test_nobody_is_chosen_of_no_hosts(name: str) -> None:
    balancer = MAKERS[name]([])
    assert balancer.pick(0, 5) == -1
    assert balancer.pick(0b1, 5) == -1


@every
def test_slots_need_not_follow_each_other(name: str) -> None:
    balancer = MAKERS[name]([Host(3, 1, "a"), Host(64, 1, "b")])
    assert {balancer.pick(0, key * 7919) for key in range(200)} == {3, 64}
    assert balancer.pick(1 << 64, 1) == 3


@every
@given(tried=st.integers(0, 2**6 - 1), keys=st.lists(st.integers(0, 2**64 - 1), max_size=20))
@settings(deadline=None, max_examples=50)
def test_what_was_tried_never_comes_back(name: str, tried: int, keys: list[int]) -> None:
    balancer = MAKERS[name](hosts(1, 1, 9, 1, 1, 3))
    for key in keys:
        found = balancer.pick(tried, key)
        assert (found == -1) is (tried == 2**6 - 1)
        assert found == -1 or not tried >> found & 1


def test_round_robin_goes_round() -> None:
    balancer = RoundRobin(hosts(1, 1, 1))
    assert [balancer.pick(0, 0) for _ in range(5)] == [0, 1, 2, 0, 1]
    assert balancer.pick(0b100, 0) == 0
    assert balancer.pick(0, 0) == 1


@given(weights=st.lists(st.integers(1, 40), min_size=1, max_size=8))
@settings(deadline=None, max_examples=60)
def test_in_each_round_a_weighted_host_comes_exactly_as_often_as_its_weight(weights: list[int]) -> None:
    balancer = Weighted(hosts(*weights))
    for _ in range(3):
        round_of_all = Counter(balancer.pick(0, 0) for _ in range(sum(weights)))
        assert round_of_all == Counter(dict(enumerate(weights)))


def test_a_heavy_host_is_mixed_with_the_light_ones() -> None:
    balancer = Weighted(hosts(4, 1, 1))
    assert [balancer.pick(0, 0) for _ in range(12)] == [0, 0, 1, 2, 0, 0] * 2


def test_who_is_passed_over_keeps_its_turn() -> None:
    balancer = Weighted(hosts(1, 1))
    assert [balancer.pick(0b01, 0), balancer.pick(0b01, 0), balancer.pick(0, 0)] == [1, 1, 0]


@pytest.mark.parametrize("weights", [(1, 1, 1, 1), (1, 2, 3, 4)])
def test_random_keeps_to_the_weights(weights: tuple[int, ...]) -> None:
    balancer = Random(hosts(*weights), Chance(7).random)
    total = 40_000
    chosen = Counter(balancer.pick(0, 0) for _ in range(total))
    for slot, weight in enumerate(weights):
        assert abs(chosen[slot] - total * weight / sum(weights)) < 0.02 * total


def test_least_request_takes_the_less_busy_of_two() -> None:
    draws = iter([0.0, 0.9, 0.9, 0.0, 0.4, 0.9])
    balancer = LeastRequest(hosts(1, 1, 1), [3, 1, 2].__getitem__, lambda: next(draws))
    assert [balancer.pick(0, 0) for _ in range(3)] == [2, 2, 1]


def test_least_request_spreads_by_weight_while_all_are_equally_busy() -> None:
    active = [0, 0, 0]
    balancer = LeastRequest(hosts(1, 2, 1), active.__getitem__, Chance(3).random)
    chosen = Counter(balancer.pick(0, 0) for _ in range(40_000))
    assert abs(chosen[1] - 20_000) < 800


def test_least_request_keeps_a_slow_host_from_piling_up() -> None:
    """Host 0 never finishes; the others do at once."""
    active = [0, 0, 0, 0]
    balancer = LeastRequest(hosts(1, 1, 1, 1), active.__getitem__, Chance(5).random)
    for _ in range(1000):
        chosen = balancer.pick(0, 0)
        if chosen == 0:
            active[0] += 1
    assert active[0] == 1


def keys(count: int) -> list[int]:
    chance = Chance(11)
    return [chance.getrandbits(64) for _ in range(count)]


def test_maglev_gives_each_host_its_share_of_keys() -> None:
    balancer = Maglev(hosts(1, 1, 2), 65537)
    chosen = Counter(balancer.pick(0, key) for key in keys(40_000))
    for slot, share in enumerate((0.25, 0.25, 0.5)):
        assert abs(chosen[slot] / 40_000 - share) < 0.02


def test_maglev_does_not_depend_on_the_order_of_hosts() -> None:
    given_hosts = hosts(1, 1, 2, 1)
    one, other = Maglev(given_hosts, TABLE), Maglev(given_hosts[::-1], TABLE)
    assert all(one.pick(0, key) == other.pick(0, key) for key in keys(500))


@given(count=st.integers(2, 12), gone=st.integers(0, 11))
@settings(deadline=None, max_examples=25)
def test_few_keys_move_when_a_host_goes(count: int, gone: int) -> None:
    gone %= count
    before = Maglev(hosts(*[1] * count), TABLE)
    after = Maglev([host for host in hosts(*[1] * count) if host.slot != gone], TABLE)
    sample = keys(1000)
    stayed = [key for key in sample if before.pick(0, key) != gone]
    moved = sum(before.pick(0, key) != after.pick(0, key) for key in stayed)
    assert moved <= 0.12 * len(sample)


@given(count=st.integers(2, 12), ill=st.integers(0, 11))
@settings(deadline=None, max_examples=25)
def test_only_the_keys_of_a_host_that_is_out_move_and_they_spread(count: int, ill: int) -> None:
    ill %= count
    balancer = Maglev(hosts(*[1] * count), TABLE)
    sample = keys(1000)
    before = {key: balancer.pick(0, key) for key in sample}
    balancer.out = 1 << ill
    after = {key: balancer.pick(0, key) for key in sample}
    assert {key for key in sample if before[key] != after[key]} == {
        key for key in sample if before[key] == ill
    }
    assert ill not in after.values()
    refuge = Counter(after[key] for key in sample if before[key] == ill)
    assert len(refuge) == count - 1 or sum(refuge.values()) < 10 * count
    balancer.out = 0
    assert {key: balancer.pick(0, key) for key in sample} == before


def test_a_key_that_is_tried_elsewhere_finds_the_one_host_that_is_left() -> None:
    balancer = Maglev(hosts(*[1] * 60, 1), TABLE)
    tried = (1 << 60) - 1
    assert {balancer.pick(tried, key) for key in keys(300)} == {60}
