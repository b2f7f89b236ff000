"""`edge diff` compares what configurations mean."""

from __future__ import annotations

from typing import Any

from edge.cli.diff import Change, compare, normal

BASE: dict[str, Any] = {
    "version": 1,
    "listeners": [{"name": "web", "address": "127.0.0.1:0"}],
    "routes": [
        {"name": "all", "parentRefs": [{"name": "web"}], "rules": [{"backendRefs": [{"name": "shop"}]}]}
    ],
    "clusters": [
        {"name": "shop", "discovery": {"type": "Static", "endpoints": [{"address": "127.0.0.1:9001"}]}}
    ],
}


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    return list(compare(normal(before, {}), normal(after, {})))


def test_a_default_written_out_is_no_change() -> None:
    after = BASE | {"limits": {"maxConnections": 10_000}, "admin": {"address": "127.0.0.1:9901"}}
    assert changes(BASE, after) == []


def test_durations_are_compared_by_what_they_mean() -> None:
    before = BASE | {"limits": {"headTimeout": "60s"}}
    after = BASE | {"limits": {"headTimeout": "1m"}}
    assert changes(before, after) == []


def test_a_changed_field_is_named_by_names() -> None:
    after = BASE | {"listeners": [{"name": "web", "address": "127.0.0.1:0", "protocols": ["h1", "h2c"]}]}
    assert changes(BASE, after) == [Change("changed", "listeners[web].protocols", ["h1"], ["h1", "h2c"])]


def test_what_is_new_or_gone_is_one_change() -> None:
    other = {"name": "other", "address": "127.0.0.1:0"}
    after = BASE | {"listeners": [BASE["listeners"][0], other]}
    (added,) = changes(BASE, after)
    assert (added.kind, added.path) == ("added", "listeners[other]")
    (removed,) = changes(after, BASE)
    assert (removed.kind, removed.path) == ("removed", "listeners[other]")


def test_the_order_of_named_things_is_a_change_of_its_own() -> None:
    other = {"name": "other", "address": "127.0.0.1:0"}
    first = BASE | {"listeners": [BASE["listeners"][0], other]}
    second = BASE | {"listeners": [other, BASE["listeners"][0]]}
    assert changes(first, second) == [
        Change("changed", "listeners (order)", ["web", "other"], ["other", "web"])
    ]


def test_other_bytes_behind_the_same_path_are_a_change() -> None:
    config = BASE | {"modules": {"m": {"url": "file:///m.wasm"}}}
    before, after = normal(config, {"m": "sha256:aa"}), normal(config, {"m": "sha256:bb"})
    assert list(compare(before, after)) == [Change("changed", "modules.m.digest", "sha256:aa", "sha256:bb")]


def _rules(*paths: str) -> dict[str, Any]:
    rules = [{"matches": [{"path": {"value": path}}], "backendRefs": [{"name": "shop"}]} for path in paths]
    return BASE | {"routes": [{"name": "all", "parentRefs": [{"name": "web"}], "rules": rules}]}


def test_things_without_a_name_are_told_by_their_place() -> None:
    """A user saw the whole list of rules twice in one line, for one path."""
    assert changes(_rules("/a", "/b", "/c"), _rules("/a", "/x", "/c")) == [
        Change("changed", "routes[all].rules[1].matches[0].path.value", "/b", "/x")
    ]
    (added,) = changes(_rules("/a", "/c"), _rules("/a", "/b", "/c"))
    assert (added.kind, added.path) == ("added", "routes[all].rules[1]")
    (removed,) = changes(_rules("/a", "/b", "/c"), _rules("/b", "/c"))
    assert (removed.kind, removed.path) == ("removed", "routes[all].rules[0]")
    assert removed.before["matches"][0]["path"]["value"] == "/a"


def test_what_is_changed_and_what_is_new_at_one_place_are_told_apart() -> None:
    found = changes(_rules("/a", "/b"), _rules("/x", "/y", "/z"))
    assert [(change.kind, change.path) for change in found] == [
        ("changed", "routes[all].rules[0].matches[0].path.value"),
        ("changed", "routes[all].rules[1].matches[0].path.value"),
        ("added", "routes[all].rules[2]"),
    ]
