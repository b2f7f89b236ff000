"""The compiled route table against a naive matcher, and against its own explanations."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import model
from edge.head import RequestHead
from edge.route import RouteTable, fork
from edge.route.explain import bare_table, explain
from edge.route.fork import FORK_MIN
from tests.property.naive_routes import Place, winner

CASES = 100_000

HOSTNAMES = [
    "shop.example",
    "a.shop.example",
    "*.shop.example",
    "*.a.shop.example",
    "*.example",
    "other.test",
]
PATHS = [b"/", b"/a", b"/a/", b"/a/b", b"/a/b/", b"/ab", b"/a/b/c", b"/A"]
PATTERNS = [b"/.*", b"/a/[a-z]", b"/(a|ab)", b"/a/b", b"/[^/]+/?", b"(/a)+"]
NAMES = [b"x-beta", b"X-Beta", b"accept", b"host", b"content-length"]
VALUES = [b"1", b"2", b"a b", b"shop.example", b"3"]
PARAMETERS = [b"v", b"V", b"a b", b"x+y", b"\xc3\xa9"]

REQUEST_HOSTS = [
    *(b"shop.example", b"shop.example:8080", b"a.shop.example", b"b.a.shop.example", b"x.example"),
    *(b"example", b"other.test", b"[::1]:80", b"ashop.example"),
]
REQUEST_PATHS = [*PATHS, b"/a/b/c/d/e/f", b"/aa", b"/a/a", b"/a/b;c"]
QUERIES = [
    *(
        b"",
        b"?",
        b"?v=1",
        b"?v=2&v=1",
        b"?v=1&V=1&a+b=2",
        b"?v=1&V=1&a+b=2&x%2By=1",
        b"?V=1&v=2",
        b"?%76=1",
        b"?v=%31&x",
        b"?a+b=1",
        b"?a%20b=a+b&v",
    ),
    *(b"?x%2By=1", b"?v", b"?v==1", b"?=v&v=1", b"?%C3%a9=2", b"?vv=1&v=a%20b", b"?x?v=1", b"?a=?&v=1"),
]
FIELDS = [
    *([], [(b"x-beta", b"1")], [(b"x-beta", b"2"), (b"x-beta", b"1")], [(b"accept", b"a b")]),
    *([(b"x-beta", b"1"), (b"accept", b"3")], [(b"accept", b"11")]),
]

_VALUE_PATTERNS = [b".*", b"[0-9]+", b"a.b", b"(1|2)", b"shop\\.example(:[0-9]+)?"]


class Pool(NamedTuple):
    """What the matches of one model draw from: little, so that they often differ in one criterion only."""

    paths: list[bytes]
    patterns: list[bytes]
    names: list[bytes]
    parameters: list[bytes]
    loose: bool
    """Headers and parameters match whatever their values are."""


def _up_to(values: list[bytes], size: int) -> st.SearchStrategy[list[bytes]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=size)


pools = st.builds(
    Pool, _up_to(PATHS, 3), _up_to(PATTERNS, 2), _up_to(NAMES, 3), _up_to(PARAMETERS, 3), st.booleans()
)


@st.composite
def conditions(draw: st.DrawFn, names: list[bytes], loose: bool) -> list[tuple[bytes, bytes, bool]]:
    made = []
    for name in draw(st.just([]) | _up_to(names, 2)):
        regex = loose or draw(st.booleans())
        values = [b".*"] if loose else _VALUE_PATTERNS if regex else VALUES
        made.append((name, draw(st.sampled_from(values)), regex))
    return made


@st.composite
def matches(draw: st.DrawFn, pool: Pool) -> model.Match:
    kind = draw(st.sampled_from(("exact", "prefix", "prefix", "regex")))
    headers = draw(conditions(pool.names, pool.loose))
    query = draw(conditions(pool.parameters, pool.loose))
    return model.Match(
        path=draw(st.sampled_from(pool.patterns if kind == "regex" else pool.paths)),
        path_kind=kind,
        headers=[model.HeaderMatch(name=name, value=value, regex=regex) for name, value, regex in headers],
        query=[model.QueryMatch(name=name, value=value, regex=regex) for name, value, regex in query],
        method=draw(st.sampled_from((None, None, b"GET", b"POST"))),
    )


@st.composite
def models(draw: st.DrawFn) -> model.Model:
    pool = draw(pools)
    routes = []
    for number in range(draw(st.integers(1, 4))):
        rules = [
            model.Rule(name=f"rule-{index}", matches=draw(st.lists(matches(pool), min_size=1, max_size=3)))
            for index in range(draw(st.integers(1, 3)))
        ]
        hostnames = draw(st.lists(st.sampled_from(HOSTNAMES), max_size=2, unique=True))
        routes.append(
            model.Route(name=f"route-{number}", listeners=["web"], hostnames=hostnames, rules=rules)
        )
    return model.Model(revision=1, listeners=[], routes=routes, clusters=[])


def _some(values: list, size: int) -> st.SearchStrategy[list]:
    return st.lists(st.sampled_from(values), min_size=size, max_size=size)


def compiled(table: RouteTable, head: RequestHead) -> Place | None:
    found = table.match(head)
    return (found.rule.route, found.rule.name, found.index) if found else None


@pytest.fixture(params=[1, FORK_MIN])
def fork_min(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Two matches of a path that differ in a value are a fork already, or as many as ever."""
    monkeypatch.setattr(fork, "FORK_MIN", request.param)
    return int(request.param)


def test_table_and_explanation_agree_with_a_naive_matcher_over_100_000_requests(
    fork_min: int,
) -> None:
    ran = taken = 0

    @settings(max_examples=1000 if fork_min == 1 else 200, deadline=None, derandomize=True, database=None)
    @given(models(), _some(REQUEST_HOSTS, 3), _some(REQUEST_PATHS, 6), _some(QUERIES, 3), _some(FIELDS, 2))
    def judge(
        made: model.Model, hosts: list[bytes], paths: list[bytes], queries: list[bytes], fields: list
    ) -> None:
        nonlocal ran, taken
        table = bare_table(made, "web")
        for number, (host, path, query, own) in enumerate(product(hosts, paths, queries, fields)):
            method = (b"GET", b"POST", b"PUT")[number % 3]
            length = (None, 3, 11)[number % 5 % 3]
            head = RequestHead(method, b"http", host, path + query, own, length)
            expected = winner(made.routes, head)
            assert compiled(table, head) == expected
            if number % 27 == 0:
                verdicts = explain(table, head)
                won = [each[:3] for each in verdicts if each.won]
                assert won == ([expected] if expected else [])
                places = [each[:3] for each in verdicts]
                assert (
                    len(set(places))
                    == len(places)
                    == sum(len(rule.matches) for route in made.routes for rule in route.rules)
                )
                assert all(each.won or each.because for each in verdicts)
            ran += 1
            taken += expected is not None

    judge()
    assert ran >= (CASES if fork_min == 1 else CASES // 5)
    assert ran // 8 < taken < ran * 7 // 8
