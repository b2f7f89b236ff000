"""Names: TTL, refresh, and addresses that outlive a DNS that fails."""

from __future__ import annotations

import pytest

from edge.control.discovery.names import RETRY_MOST_S, SPREAD, Name


def name(refresh_s: float = 300.0, chance: float = 0.0) -> Name:
    return Name(refresh_s, lambda: chance)


def test_the_next_look_up_comes_when_the_ttl_ends() -> None:
    it = name()
    assert it.found(["10.0.0.1"], 30.0, now=100.0)
    assert it.next_at == 130.0


@pytest.mark.parametrize(("ttl_s", "wait_s"), [(0.0, 1.0), (0.2, 1.0), (5.0, 5.0), (86400.0, 10.0)])
def test_the_wait_lies_between_one_second_and_the_refresh(ttl_s: float, wait_s: float) -> None:
    it = name(refresh_s=10.0)
    it.found(["10.0.0.1"], ttl_s, now=0.0)
    assert it.next_at == wait_s


def test_look_ups_are_spread_by_coming_early() -> None:
    it = name(chance=0.5)
    it.found(["10.0.0.1"], 100.0, now=0.0)
    assert it.next_at == pytest.approx(100.0 * (1 - SPREAD / 2))


def test_the_order_of_addresses_is_no_change() -> None:
    it = name()
    assert it.found(["10.0.0.1", "10.0.0.2"], 1.0, now=0.0)
    assert not it.found(["10.0.0.2", "10.0.0.1", "10.0.0.1"], 1.0, now=1.0)
    assert it.found(["10.0.0.2"], 1.0, now=2.0)


def test_a_failure_keeps_the_addresses_and_is_news_once() -> None:
    it = name()
    it.found(["10.0.0.1"], 1.0, now=0.0)
    assert it.failed("no name server answered", now=1.0)
    assert it.addresses == ["10.0.0.1"]
    assert it.stale
    assert not it.failed("no name server answered", now=2.0)
    assert it.failed("NXDOMAIN", now=4.0)


def test_failures_wait_longer_and_longer_up_to_a_bound() -> None:
    it = name()
    waits = []
    for _ in range(40):
        it.failed("down", now=0.0)
        waits.append(it.next_at)
    assert waits[:4] == [1.0, 2.0, 4.0, 8.0]
    assert waits[-1] == RETRY_MOST_S


def test_a_short_refresh_bounds_the_wait_after_a_failure_too() -> None:
    it = name(refresh_s=3.0)
    for _ in range(10):
        it.failed("down", now=0.0)
    assert it.next_at == 3.0


def test_a_success_ends_the_row_of_failures() -> None:
    it = name()
    for _ in range(5):
        it.failed("down", now=0.0)
    it.found(["10.0.0.1"], 1.0, now=0.0)
    assert (it.failures, it.error, it.stale) == (0, "", False)
    it.failed("down", now=0.0)
    assert it.next_at == 1.0


def test_a_name_never_found_is_not_stale() -> None:
    it = name()
    it.failed("NXDOMAIN", now=0.0)
    assert it.addresses is None
    assert not it.stale
