"""Many matches of one path behind a fork: the same winner, few tries."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge import model
from edge.head import RequestHead
from edge.route import Candidate, RouteTable
from edge.route.fork import FORK_MIN, Fork, first, forked
from tests.unit.route.heads import get, named


def match(tenant: str = "", **more: object) -> model.Match:
    headers = [model.HeaderMatch(name=b"x-tenant", value=tenant.encode())] if tenant else []
    return model.Match(headers=[*headers, *more.pop("headers", [])], **more)


def by_rank(*matches: model.Match) -> list[Candidate]:
    made = [Candidate(each, named(str(order)), order) for order, each in enumerate(matches)]
    return sorted(made, key=Candidate.rank)


def chosen(candidates: list[Candidate], head: RequestHead) -> tuple[int | None, int | None]:
    """By trying each, and behind the fork."""
    plain = next((each for each in candidates if each.choose(head)), None)
    found = first(forked(candidates), head)
    return (plain.order if plain else None, found.order if found else None)


def test_few_stay_a_list() -> None:
    few = by_rank(*(match(f"t{number}") for number in range(FORK_MIN)))
    assert forked(few) == few
    plain = by_rank(*(match(method=b"GET") for _ in range(3 * FORK_MIN)))
    assert forked(plain) == plain


def test_many_are_told_apart_by_one_value() -> None:
    many = by_rank(*(match(f"t{number}") for number in range(100)), match())
    (fork,) = forked(many)
    assert isinstance(fork, Fork)
    for number in range(0, 100, 7):
        assert chosen(many, get(b"/", (b"x-tenant", b"t%d" % number))) == (number, number)
    assert chosen(many, get(b"/", (b"x-tenant", b"nobody"))) == (100, 100)
    assert chosen(many, get(b"/")) == (100, 100)


def test_rank_decides_between_those_with_a_value_and_the_rest() -> None:
    beta = [model.HeaderMatch(name=b"x-a", value=b"1"), model.HeaderMatch(name=b"x-b", value=b"1")]
    many = by_rank(*(match(f"t{number}") for number in range(20)), match(headers=beta), match(method=b"GET"))
    tenant = (b"x-tenant", b"t3")
    assert chosen(many, get(b"/", tenant, method=b"PUT")) == (3, 3)
    assert chosen(many, get(b"/", tenant, (b"x-a", b"1"), (b"x-b", b"1"), method=b"PUT")) == (20, 20)
    assert chosen(many, get(b"/", tenant)) == (21, 21)


def test_a_second_subject_makes_a_fork_of_the_rest_and_of_each_value() -> None:
    query = [[model.QueryMatch(name=b"v", value=b"%d" % number)] for number in range(30)]
    many = by_rank(
        *(match("one", query=each) for each in query),
        *(match(f"t{number}") for number in range(30)),
        *(match(query=each) for each in query),
    )
    for tenant, version in (("one", 7), ("t5", 7), ("t5", 99), ("none", 7), ("one", 99)):
        head = get(b"/?v=%d" % version, (b"x-tenant", tenant.encode()))
        plain, behind = chosen(many, head)
        assert plain == behind
    tries = 0

    def counted(holds: Callable[[RequestHead], bool]) -> Callable[[RequestHead], bool]:
        def count(head: RequestHead) -> bool:
            nonlocal tries
            tries += 1
            return holds(head)

        return count

    for candidate in many:
        for condition in candidate.conditions:
            condition.holds = counted(condition.holds)
    found = first(forked(many), get(b"/?v=7", (b"x-tenant", b"one")))
    assert found is not None and found.order == 7 and tries <= 4


def test_patterns_and_names_given_twice_are_no_subjects() -> None:
    pattern = [model.HeaderMatch(name=b"x-tenant", value=b"t[0-9]+", regex=True)]
    assert len(forked(by_rank(*(match(headers=pattern) for _ in range(30))))) == 30
    twice = [model.HeaderMatch(name=b"X-Tenant", value=b"other")]
    many = by_rank(*(match(f"t{number}", headers=twice) for number in range(30)))
    assert chosen(many, get(b"/", (b"x-tenant", b"t3"))) == (3, 3)
    assert chosen(many, get(b"/", (b"x-tenant", b"other"))) == (None, None)


@pytest.mark.parametrize("kind", ["exact", "prefix"])
def test_a_table_forks_where_many_have_one_path(kind: str) -> None:
    table = RouteTable()
    for number in range(50):
        made = match(f"t{number}", path=b"/a", path_kind=kind)
        table.add([], Candidate(made, named(str(number)), number))
    table.seal()
    found = table.match(get(b"/a", (b"x-tenant", b"t31")))
    assert found is not None and found.order == 31
    assert table.match(get(b"/a", (b"x-tenant", b"t77"))) is None
