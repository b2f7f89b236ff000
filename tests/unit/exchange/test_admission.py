"""Who may connect."""

from __future__ import annotations

import pytest

from edge.exchange.admission import EASE, OVERLOADED, STRAINED, Admission, network
from edge.model import Limits


def refusal(admission: Admission, host: str, limits: Limits) -> str:
    error = admission.refusal(host, limits)
    assert error is None or error.status == 0
    return error.detail if error is not None else ""


def test_so_many_connections_in_all() -> None:
    admission, limits = Admission(), Limits(max_connections=2, max_connections_per_address=0)
    for host in ("192.0.2.1", "192.0.2.2"):
        assert refusal(admission, host, limits) == ""
        admission.enter(host)
    assert refusal(admission, "192.0.2.3", limits) == "too many connections"
    admission.leave("192.0.2.1")
    assert refusal(admission, "192.0.2.3", limits) == ""


def test_so_many_of_one_address_while_others_come_in() -> None:
    admission, limits = Admission(), Limits(max_connections=100, max_connections_per_address=2)
    admission.enter("192.0.2.1")
    admission.enter("192.0.2.1")
    assert refusal(admission, "192.0.2.1", limits) == "too many connections of one address"
    assert refusal(admission, "192.0.2.2", limits) == ""
    admission.leave("192.0.2.1")
    assert refusal(admission, "192.0.2.1", limits) == ""


def test_by_default_one_address_cannot_take_every_place() -> None:
    limits = Limits()
    assert 0 < limits.max_connections_per_address < limits.max_connections


def test_each_worker_has_its_part_rounded_up() -> None:
    admission, limits = Admission(workers=3), Limits(max_connections=4, max_connections_per_address=0)
    admission.enter("192.0.2.1")
    assert refusal(admission, "192.0.2.1", limits) == ""
    admission.enter("192.0.2.1")
    assert refusal(admission, "192.0.2.1", limits) == "too many connections"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
def test_what_counts_as_one_address(one: str, other: str, same: bool) -> None:
    assert (network(one) == network(other)) is same


def test_when_everybody_is_gone_nothing_is_kept() -> None:
    admission = Admission()
    for host in ("192.0.2.1", "2001:db8::1", "192.0.2.1"):
        admission.enter(host)
    for host in ("192.0.2.1", "2001:db8::2", "192.0.2.1"):
        admission.leave(host)
    assert (admission.total, admission._by_address) == (0, {})


def test_only_an_overloaded_worker_turns_everybody_away() -> None:
    admission, limits = Admission(), Limits()
    for level, said in ((EASE, ""), (STRAINED, ""), (OVERLOADED, "overloaded"), (EASE, "")):
        admission.level = level
        assert refusal(admission, "192.0.2.1", limits) == said
