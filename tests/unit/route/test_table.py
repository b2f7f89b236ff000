"""The route table: precedence of hosts, paths, methods and headers."""

from __future__ import annotations

import pytest

from edge import model
from edge.errors import BadRequest
from edge.head import RequestHead, ResponseHead
from edge.route import Candidate, RouteTable, Rule
from edge.route.edit import HeaderEdit, TargetRewrite
from edge.route.table import KNOWN, KNOWN_BYTES, _Host


class FakeCluster:
    name = "c"
    secure = False

    def dispatch(self, receiver, head, end, timeout_s):
        raise AssertionError("routing never dispatches")


def rule(name: str, **kwargs) -> Rule:
    return Rule("r", model.Rule(name=name, matches=[], cluster="c", **kwargs), FakeCluster(), ())


def table(*rows: tuple[list[str], model.Match, str]) -> RouteTable:
    result = RouteTable()
    for order, (hosts, match, name) in enumerate(rows):
        result.add(hosts, Candidate(match, rule(name), order))
    result.seal()
    return result


def get(path: bytes, host: bytes = b"shop.example", method: bytes = b"GET", *fields) -> RequestHead:
    return RequestHead(method, b"https", host, path, list(fields))


def winner(routes: RouteTable, head: RequestHead) -> str | None:
    found = routes.match(head)
    return found.rule.name if found else None


def test_an_exact_path_wins_over_the_longest_prefix():
    routes = table(
        ([], model.Match(path=b"/a/b"), "prefix"), ([], model.Match(path=b"/a/b", path_kind="exact"), "exact")
    )
    assert winner(routes, get(b"/a/b")) == "exact"
    assert winner(routes, get(b"/a/b/c")) == "prefix"


def test_a_prefix_matches_whole_segments_only():
    routes = table(([], model.Match(path=b"/api"), "api"))
    assert winner(routes, get(b"/api")) == "api"
    assert winner(routes, get(b"/api/")) == "api"
    assert winner(routes, get(b"/api?x=1")) == "api"
    assert winner(routes, get(b"/api/x?y")) == "api"
    assert winner(routes, get(b"/apix")) is None


def test_a_prefix_with_a_last_slash_is_the_same_prefix():
    routes = table(([], model.Match(path=b"/api/"), "api"))
    assert winner(routes, get(b"/api")) == "api"
    assert winner(routes, get(b"/api/x")) == "api"


def test_the_longest_prefix_wins_whatever_the_order():
    routes = table(([], model.Match(path=b"/"), "root"), ([], model.Match(path=b"/a"), "a"))
    assert winner(routes, get(b"/a/b")) == "a"
    assert winner(routes, get(b"/b")) == "root"


def test_method_then_number_of_headers_then_order_decide_among_equal_paths():
    header = model.HeaderMatch(name=b"x-beta", value=b"1")
    routes = table(
        ([], model.Match(), "plain"),
        ([], model.Match(headers=[header]), "beta"),
        ([], model.Match(method=b"POST"), "post"),
        ([], model.Match(), "late"),
    )
    assert winner(routes, get(b"/x")) == "plain"
    assert winner(routes, get(b"/x", b"h", b"GET", (b"x-beta", b"1"))) == "beta"
    assert winner(routes, get(b"/x", b"h", b"POST", (b"x-beta", b"1"))) == "post"


def test_an_exact_host_wins_over_a_wildcard_and_a_wildcard_over_any():
    routes = table(
        ([], model.Match(), "any"),
        (["*.shop.example"], model.Match(), "wild"),
        (["*.eu.shop.example"], model.Match(), "eu"),
        (["www.shop.example"], model.Match(), "www"),
    )
    assert winner(routes, get(b"/", b"www.shop.example:8443")) == "www"
    assert winner(routes, get(b"/", b"a.b.shop.example")) == "wild"
    assert winner(routes, get(b"/", b"a.eu.shop.example")) == "eu"
    assert winner(routes, get(b"/", b"shop.example")) == "any"
    assert winner(routes, get(b"/", b"[::1]:80")) == "any"
    assert winner(routes, get(b"/", b"[::1]")) == "any"


def test_a_host_without_a_matching_rule_leaves_the_request_to_less_specific_hosts():
    routes = table(([], model.Match(), "any"), (["a.example"], model.Match(path=b"/only"), "only"))
    assert winner(routes, get(b"/only", b"a.example")) == "only"
    assert winner(routes, get(b"/other", b"a.example")) == "any"


def test_the_asterisk_of_options_matches_only_the_root_prefix():
    head = get(b"*", method=b"OPTIONS")
    assert winner(table(([], model.Match(path=b"/api"), "api")), head) is None
    routes = table(([], model.Match(path=b"/api"), "api"), ([], model.Match(), "root"))
    assert winner(routes, head) == "root"


def test_no_rule_gives_none():
    assert winner(table((["a.example"], model.Match(), "a")), get(b"/", b"b.example")) is None


def test_header_edit_removes_then_sets_then_adds():
    edit = HeaderEdit(model.HeaderModifier(set=[(b"A", b"1")], add=[(b"b", b"2")], remove=[b"C"]))
    head = ResponseHead(200, [(b"a", b"0"), (b"c", b"9"), (b"a", b"8"), (b"b", b"1")])
    head.encoded()
    edit.apply(head)
    assert head.fields == [(b"a", b"1"), (b"b", b"1"), (b"b", b"2")]
    assert head.encoded()[1] == 4


def test_setting_host_changes_the_authority():
    head = get(b"/")
    HeaderEdit(model.HeaderModifier(set=[(b"Host", b"other.example")])).apply(head)
    assert head.authority == b"other.example"
    assert head.fields == []


def test_adding_host_never_makes_a_second_one():
    head = get(b"/")
    HeaderEdit(model.HeaderModifier(add=[(b"Host", b"Other.example:80")], remove=[b"host"])).apply(head)
    assert (head.authority, head.fields) == (b"other.example:80", [])


@pytest.mark.parametrize("where", ["set", "add"])
def test_a_host_no_request_can_have_is_refused_when_the_revision_is_built(where):
    with pytest.raises(BadRequest):
        HeaderEdit(model.HeaderModifier(**{where: [(b"host", b"a b")]}))


@pytest.mark.parametrize(
    ("prefix", "replacement", "path", "expected"),
    [
        (b"/foo", b"/xyz", b"/foo/bar", b"/xyz/bar"),
        (b"/foo", b"/xyz", b"/foo", b"/xyz"),
        (b"/foo", b"/", b"/foo/bar?q=1", b"/bar?q=1"),
        (b"/foo", b"/", b"/foo", b"/"),
        (b"/foo/", b"/xyz/", b"/foo/bar", b"/xyz/bar"),
        (b"/", b"/v2", b"/x", b"/v2/x"),
        (b"/", b"/v2", b"/", b"/v2"),
        (b"/foo", b"/xyz", b"/foo/", b"/xyz/"),
        (b"/foo", b"", b"/foo/", b"/"),
        (b"/foo", b"/", b"/foo/", b"/"),
        (b"/foo", b"/xyz", b"/set/by/a/filter", b"/set/by/a/filter"),
        (b"/foo", b"/xyz", b"/food", b"/food"),
        (b"/", b"/xyz", b"*", b"*"),
    ],
)
def test_replace_prefix_match(prefix, replacement, path, expected):
    head = get(path)
    TargetRewrite(model.Rewrite(prefix=replacement)).apply(head, prefix)
    assert head.path == expected


def test_replace_full_path_keeps_the_query_and_hostname_rewrites():
    head = get(b"/a/b?q=1")
    TargetRewrite(model.Rewrite(full=b"/new", hostname=b"up.example")).apply(head, b"/")
    assert (head.path, head.authority) == (b"/new?q=1", b"up.example")


def test_a_rewrite_that_leaves_dots_is_refused():
    head = get(b"/x/..a")
    head.path = b"/x/../admin"
    with pytest.raises(BadRequest):
        TargetRewrite(model.Rewrite(prefix=b"/y")).apply(head, b"/x")


def test_patterns_are_tried_longest_first_whether_their_first_segment_is_known_or_not():
    def pattern(path: bytes) -> model.Match:
        return model.Match(path=path, path_kind="regex")

    routes = table(
        ([], pattern(b"/a/.*"), "a"),
        ([], pattern(b"/[a-z]/xyz"), "any"),
        ([], pattern(b"/a/xyz/(1|2)"), "long"),
        ([], pattern(b"/b/[x-z]+"), "b"),
        ([], model.Match(path=b"/a"), "prefix"),
    )
    assert winner(routes, get(b"/a/xyz/1")) == "long"
    assert winner(routes, get(b"/a/xyz")) == "any"
    assert winner(routes, get(b"/a/xy")) == "a"
    assert winner(routes, get(b"/b/xyz")) == "any"
    assert winner(routes, get(b"/b/xy?q")) == "b"
    assert winner(routes, get(b"/c/xyz")) == "any"
    assert winner(routes, get(b"/a")) == "prefix"
    assert winner(routes, get(b"/c")) is None


def test_a_path_of_thousands_of_segments_costs_no_more_look_ups_than_the_longest_prefix_has():
    class Counting(dict):
        looked_up = 0

        def get(self, key, default=None):
            self.looked_up += 1
            return super().get(key, default)

    routes = table(([], model.Match(path=b"/a/b/c"), "abc"), ([], model.Match(path=b"/x"), "x"))
    prefixes = routes._any.prefix = Counting(routes._any.prefix)
    assert winner(routes, get(b"/a" * 8000)) is None
    assert prefixes.looked_up <= 4
    assert winner(routes, get(b"/a/b/c" + b"/d" * 8000)) == "abc"


def test_what_host_and_path_decide_is_decided_once(monkeypatch: pytest.MonkeyPatch):
    routes = table((["a.example"], model.Match(path=b"/x"), "a"), ([], model.Match(path=b"/x"), "any"))
    tried: list[bytes] = []
    match = _Host.match
    monkeypatch.setattr(_Host, "match", lambda host, head: tried.append(head.path) or match(host, head))
    for _ in range(3):
        assert winner(routes, get(b"/x/1", b"a.example")) == "a"
        assert winner(routes, get(b"/x/1", b"b.example")) == "any"
    assert tried == [b"/x/1"] * 2


@pytest.mark.parametrize(
    "match",
    [
        model.Match(path=b"/x/1", path_kind="exact"),
        model.Match(path=b"/x"),
        model.Match(path=b"/x/[0-9]", path_kind="regex"),
        model.Match(path=b"/[a-z]/[0-9]", path_kind="regex"),
    ],
)
@pytest.mark.parametrize("host", ["a.example", "*.example", ""])
def test_any_kind_of_path_is_remembered_and_what_a_method_decides_is_not(match: model.Match, host: str):
    hosts = [host] if host else []
    routes = table((hosts, match, "x"), (["c.test"], model.Match(path=b"/y", method=b"GET"), "y"))
    for _ in range(2):
        assert winner(routes, get(b"/x/1", b"a.example")) == "x"
        assert winner(routes, get(b"/y", b"c.test")) == "y"
        assert winner(routes, get(b"/y", b"c.test", b"PUT")) is None
        assert winner(routes, get(b"/z", b"b.test")) is None
    assert list(routes._known) == [(b"a.example", b"/x/1")]


def test_where_a_header_decides_each_request_is_looked_at():
    by_field = model.Match(path=b"/x", headers=[model.HeaderMatch(b"v", b"2")])
    routes = table((["a.example"], by_field, "two"), ([], model.Match(path=b"/x"), "any"))
    for _ in range(2):
        assert winner(routes, get(b"/x", b"a.example", b"GET", (b"v", b"2"))) == "two"
        assert winner(routes, get(b"/x", b"a.example")) == "any"


def test_what_is_remembered_of_strangers_is_bounded():
    routes = table(([], model.Match(path=b"/x"), "x"), ([], model.Match(path=b"/y"), "y"))
    for number in range(3 * KNOWN):
        assert winner(routes, get(b"/x/%d" % number)) == "x"
        assert winner(routes, get(b"/x/%d/" % number + b"l" * KNOWN_BYTES)) == "x"
        assert len(routes._known) <= KNOWN
    assert max(len(host) + len(path) for host, path in routes._known) < KNOWN_BYTES
    assert winner(routes, get(b"/x", b"h" * KNOWN_BYTES)) == "x"
    assert max(len(host) + len(path) for host, path in routes._known) < KNOWN_BYTES
    assert winner(routes, get(b"/x/1")) == "x"
    for _ in routes.taking_apart():
        pass
    assert routes.match(get(b"/x/1")) is None
