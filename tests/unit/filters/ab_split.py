"""What ab-split must do, for any build of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.unit.filters.configure import configured, refuses

_SPLIT = {
    "cookie": "side",
    "header": "X-Side",
    "query": "side",
    "maxAge": 60,
    "variants": [
        {"name": "old", "weight": 3, "backend": "shop-v1"},
        {"name": "new", "weight": 1, "backend": "shop-v2"},
    ],
}
_BACKENDS = frozenset({b"shop-v1", b"shop-v2"})
_CHOSEN = b"edge\0backend"


def ab_split_keeps_a_client_where_its_cookie_says(module: Path) -> None:
    host = configured(module, _SPLIT, _BACKENDS)
    for cookie in (b"side=new", b"a=b; side=new", b"a=b; side=new; c=d", b"aside=old; side=new"):
        exchange = host.exchange([(b"cookie", cookie)])
        assert exchange.properties == {_CHOSEN: b"shop-v2"}, cookie
        assert exchange.request(b"x-variant") == exchange.response(b"x-variant") == [b"new"]
        assert exchange.response(b"set-cookie") == []


def ab_split_gives_a_new_client_a_cookie(module: Path) -> None:
    host = configured(module, _SPLIT, _BACKENDS)
    for fields in ([], [(b"cookie", b"side=gone")], [(b"cookie", b"side=")], [(b"cookie", b"aside=new")]):
        exchange = host.exchange(fields)
        (variant,) = exchange.response(b"x-variant")
        assert exchange.properties == {_CHOSEN: {b"old": b"shop-v1", b"new": b"shop-v2"}[variant]}
        expected = b"side=" + variant + b"; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"
        assert exchange.response(b"set-cookie") == [expected]


def ab_split_shares_by_weight(module: Path) -> None:
    host = configured(module, _SPLIT, _BACKENDS)
    counts = Counter(host.exchange([]).properties[_CHOSEN] for _ in range(2_000))
    # 3 to 1: 1,500 expected; six standard deviations are 116.
    assert 1_384 < counts[b"shop-v1"] < 1_616


def ab_split_lets_a_client_choose_by_header_and_query(module: Path) -> None:
    host = configured(module, _SPLIT, _BACKENDS)
    by_header = host.exchange([(b"x-side", b"new"), (b"cookie", b"side=old")])
    assert by_header.properties == {_CHOSEN: b"shop-v2"}
    assert by_header.response(b"set-cookie")[0].startswith(b"side=new;")
    by_query = host.exchange([(b"cookie", b"side=old")], path=b"/?x=1&side=new")
    assert by_query.properties == {_CHOSEN: b"shop-v2"}
    assert host.exchange([(b"x-side", b"shop-v2"), (b"cookie", b"side=old")]).properties == {
        _CHOSEN: b"shop-v1"
    }


def ab_split_overwrites_what_client_and_upstream_claim(module: Path) -> None:
    host = configured(module, _SPLIT, _BACKENDS)
    claim = (b"x-variant", b"new")
    exchange = host.exchange([claim, (b"cookie", b"side=old")], [claim])
    assert exchange.request(b"x-variant") == exchange.response(b"x-variant") == [b"old"]


def ab_split_says_nothing_of_a_backend_it_may_not_use(module: Path) -> None:
    host = configured(module, _SPLIT, frozenset())
    exchange = host.exchange([(b"cookie", b"side=new")])
    assert exchange.request(b"x-variant") == exchange.response(b"x-variant") == []
    assert "shop-v2" in host.logs[-1]


def ab_split_never_gives_weight_zero_to_chance(module: Path) -> None:
    variants = [{"name": "dark", "weight": 0}, {"name": "live", "weight": 1}, {"name": "off", "weight": 0}]
    host = configured(module, {"cookie": "c", "variants": variants})
    assert {host.exchange([]).response(b"x-variant")[0] for _ in range(300)} == {b"live"}
    assert host.exchange([(b"cookie", b"c=dark")]).response(b"x-variant") == [b"dark"]


def ab_split_does_not_grow(module: Path) -> None:
    host = configured(module, _SPLIT, _BACKENDS)
    before = host.memory_bytes()
    for _ in range(2_000):
        host.exchange([(b"cookie", b"c" * 1_000)])
    assert host.memory_bytes() == before


def ab_split_refuses_a_wrong_configuration(module: Path) -> None:
    one = b'{"name":"a","weight":1}'
    refuses(
        module,
        [
            (b"", "not the JSON"),
            (b"{}", "at least one"),
            (b"[]", "not the JSON"),
            (b'{"variants":[' + one + b"]", "not the JSON"),
            (b'{"variants":[' + one + b"]} x", "not the JSON"),
            (b'{"variants":[' + one + b"," + one + b"]}", "stands twice"),
            (b'{"variants":[{"name":"a;b","weight":1}]}', "variants: name"),
            (b'{"variants":[{"weight":1}]}', "variants: name"),
            (b'{"variants":[{"name":"a","weight":-1}]}', "not the JSON expected in variants"),
            (b'{"variants":[{"name":"a","weight":2000000}]}', "at most 1000000"),
            (b'{"variants":[{"name":"a","wight":1}]}', "unknown field"),
            (b'{"variants":[' + one + b'],"cookie":"a=b"}', "cookie"),
            (b'{"variants":[' + one + b'],"cooky":"a"}', "unknown field"),
            (
                b'{"variants":[' + b",".join(b'{"name":"v%d","weight":1}' % n for n in range(17)) + b"]}",
                "at most 16",
            ),
        ],
    )
