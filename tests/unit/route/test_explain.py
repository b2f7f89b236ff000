"""Why a request takes its rule, and why the others lost."""

from __future__ import annotations

import pytest

from edge import model
from edge.head import RequestHead
from edge.route.explain import bare_table, explain
from tests.unit.route.heads import get

V = [model.HeaderMatch(name=b"x-v", value=b"1")]
Q = [model.QueryMatch(name=b"q", value=b"1")]


def reasons(head: RequestHead, *rows: tuple[list[str], model.Match]) -> list[tuple[str, str]]:
    """(name, why it lost) by precedence."""
    routes = [
        model.Route(
            name=f"{index}",
            listeners=["web"],
            hostnames=hostnames,
            rules=[model.Rule(name=f"{index}", matches=[match])],
        )
        for index, (hostnames, match) in enumerate(rows)
    ]
    table = bare_table(model.Model(revision=1, listeners=[], routes=routes, clusters=[]), "web")
    verdicts = explain(table, head)
    assert [each.won for each in verdicts].count(True) == (table.match(head) is not None)
    return [(each.rule, each.because) for each in verdicts]


HEAD = get(b"/a/b?q=1", (b"x-v", b"1"), host=b"a.shop.example:8080")


@pytest.mark.parametrize(
    ("winner", "loser", "because"),
    [
        (
            (["a.shop.example"], model.Match()),
            (["*.shop.example"], model.Match()),
            "hostname: a.shop.example is more specific than *.shop.example",
        ),
        (
            (["*.shop.example"], model.Match()),
            ([], model.Match(path=b"/a/b", path_kind="exact")),
            "hostname: *.shop.example is more specific than any",
        ),
        (
            ([], model.Match(path=b"/a/b", path_kind="exact")),
            ([], model.Match(path=b"/a/b", path_kind="regex")),
            "path type: Exact goes before RegularExpression",
        ),
        (
            ([], model.Match(path=b"/.*", path_kind="regex")),
            ([], model.Match(path=b"/a/b")),
            "path type: RegularExpression goes before PathPrefix",
        ),
        (
            ([], model.Match(path=b"/a")),
            ([], model.Match(method=b"GET")),
            "path length: /a is longer than /",
        ),
        (
            ([], model.Match(method=b"GET")),
            ([], model.Match(headers=V)),
            "method: the winner asks for GET, this one for none",
        ),
        (
            ([], model.Match(headers=V)),
            ([], model.Match(query=Q)),
            "headers: the winner asks for 1, this one for 0",
        ),
        (
            ([], model.Match(query=Q)),
            ([], model.Match()),
            "query parameters: the winner asks for 1, this one for 0",
        ),
    ],
)
def test_the_first_criterion_that_differs_is_named(
    winner: tuple[list[str], model.Match], loser: tuple[list[str], model.Match], because: str
) -> None:
    assert reasons(HEAD, winner, loser) == [("0", ""), ("1", because)]
    assert reasons(HEAD, loser, winner) == [("1", ""), ("0", because)]


def test_of_equals_the_first_wins() -> None:
    assert reasons(HEAD, ([], model.Match()), ([], model.Match())) == [
        ("0", ""),
        ("1", "order: the winner stands before it"),
    ]


def test_what_does_not_fit_says_where() -> None:
    rows = [
        (["b.shop.example"], model.Match()),
        ([], model.Match(path=b"/a", path_kind="exact")),
        ([], model.Match(path=b"/a/b/c")),
        ([], model.Match(path=b"/[0-9]", path_kind="regex")),
        ([], model.Match(method=b"POST")),
        ([], model.Match(headers=[model.HeaderMatch(name=b"x-v", value=b"2")])),
        ([], model.Match(query=[model.QueryMatch(name=b"p", value=b"1")])),
    ]
    assert reasons(HEAD, *rows) == [
        ("0", "hostname: a.shop.example is not b.shop.example"),
        ("1", "path: /a/b is not Exact /a"),
        ("2", "path: /a/b is not PathPrefix /a/b/c"),
        ("3", "path: /a/b is not RegularExpression /[0-9]"),
        ("4", "method: GET is not POST"),
        ("5", "header x-v: it is missing or another one"),
        ("6", "query parameter p: it is missing or another one"),
    ]


def test_a_match_under_several_hostnames_is_judged_by_the_best() -> None:
    hostnames = ["other.test", "*.shop.example", "a.shop.example"]
    routes = [
        model.Route(
            name="r",
            listeners=["web"],
            hostnames=hostnames,
            rules=[model.Rule(name="r", matches=[model.Match()])],
        )
    ]
    (verdict,) = explain(
        bare_table(model.Model(revision=1, listeners=[], routes=routes, clusters=[]), "web"), HEAD
    )
    assert (verdict.hostname, verdict.won, verdict.fits) == ("a.shop.example", True, True)


def test_a_match_that_fails_by_its_path_does_not_blame_another_hostname_of_its_route() -> None:
    """A user saw `hostname: x.shop.example is not shop.example` of a route that serves both."""
    route = model.Route(
        name="r",
        listeners=["web"],
        hostnames=["shop.example", "*.shop.example"],
        rules=[model.Rule(name="r", matches=[model.Match(path=b"/c")])],
    )
    made = model.Model(revision=1, listeners=[], routes=[route], clusters=[])
    (verdict,) = explain(bare_table(made, "web"), get(b"/d", host=b"x.shop.example"))
    assert (verdict.hostname, verdict.because) == ("*.shop.example", "path: /d is not PathPrefix /c")


def test_routes_of_other_listeners_are_not_judged() -> None:
    routes = [
        model.Route(
            name="r", listeners=["web"], hostnames=[], rules=[model.Rule(name="r", matches=[model.Match()])]
        )
    ]
    made = model.Model(revision=1, listeners=[], routes=routes, clusters=[])
    assert explain(bare_table(made, "other"), HEAD) == []


def test_a_listener_serves_what_it_has_in_common_with_a_route() -> None:
    routes = [
        model.Route(
            name=f"{number}",
            listeners=["web"],
            hostnames=hostnames,
            rules=[model.Rule(name=f"{number}", matches=[model.Match()])],
        )
        for number, hostnames in enumerate([[], ["*.example"], ["other.test"]])
    ]
    listener = model.Listener(name="web", host="127.0.0.1", port=80, hostnames=["*.shop.example"])
    table = bare_table(model.Model(revision=1, listeners=[listener], routes=routes, clusters=[]), "web")
    assert [each[:4] for each in explain(table, HEAD)] == [
        ("0", "0", 0, "*.shop.example"),
        ("1", "1", 0, "*.shop.example"),
    ]
    assert table.match(get(b"/", host=b"x.example")) is None
