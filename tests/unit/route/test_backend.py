"""Several backends of one rule."""

from __future__ import annotations

from collections import Counter

import pytest

from edge import model
from edge.errors import NoBackend
from edge.head import ResponseHead
from edge.route import Rule
from tests.unit.route.heads import FakeExchange, get


def made(*backends: model.Backend, **more: object) -> Rule:
    return Rule("route", model.Rule(name="r", matches=[], backends=list(backends), **more), None, ())


def chosen(rule: Rule, requests: int) -> Counter[str]:
    taken: Counter[str] = Counter()
    for _ in range(requests):
        exchange = FakeExchange()
        assert rule.outbound is not None
        assert rule.outbound(exchange, get(b"/")) is None
        taken[exchange.backend] += 1
    return taken


@pytest.mark.parametrize("weights", [(1, 1), (9, 1), (70, 30), (1, 2, 3), (0, 5), (999, 1)])
def test_shares_are_exact_to_a_few_requests_however_few_there_are(weights: tuple[int, ...]) -> None:
    backends = [model.Backend(cluster=f"c{i}", weight=weight) for i, weight in enumerate(weights)]
    for requests in (10, 100, 500, 5000):
        taken = chosen(made(*backends), requests)
        for index, weight in enumerate(weights):
            assert abs(taken[f"c{index}"] - requests * weight / sum(weights)) <= 3


def test_every_pattern_of_requests_is_shared_alike() -> None:
    rule = made(model.Backend(cluster="a"), model.Backend(cluster="b"))
    assert rule.outbound is not None
    for stride in (2, 3, 4, 8):
        taken: Counter[str] = Counter()
        for number in range(400 * stride):
            exchange = FakeExchange()
            rule.outbound(exchange, get(b"/"))
            if number % stride == 0:
                taken[exchange.backend] += 1
        assert abs(taken["a"] - 200) <= 8


@pytest.mark.parametrize("backends", [[], [model.Backend(cluster="a", weight=0)]])
def test_without_a_weight_there_is_no_backend(backends: list[model.Backend]) -> None:
    rule = made(*backends)
    assert rule.outbound is not None
    with pytest.raises(NoBackend) as raised:
        rule.outbound(FakeExchange(), get(b"/"))
    assert raised.value.status == 500


def test_a_filters_choice_stands_and_brings_that_backends_modifiers() -> None:
    edit = model.HeaderModifier(set=[(b"x-to", b"b")])
    rule = made(
        model.Backend(cluster="a"),
        model.Backend(cluster="b", weight=0, request_headers=edit, response_headers=edit),
    )
    assert rule.outbound is not None and rule.inbound is not None
    exchange, head, answer = FakeExchange(backend="b"), get(b"/"), ResponseHead(200, [])
    rule.outbound(exchange, head)
    rule.inbound(exchange, answer)
    assert (exchange.backend, head.fields, answer.fields) == ("b", [(b"x-to", b"b")], [(b"x-to", b"b")])


def test_a_filter_may_choose_a_cluster_the_rule_does_not_name() -> None:
    edit = model.HeaderModifier(set=[(b"x-to", b"a")])
    rule = made(model.Backend(cluster="a", request_headers=edit, response_headers=edit))
    assert rule.outbound is not None and rule.inbound is not None
    exchange, head, answer = FakeExchange(backend="other"), get(b"/"), ResponseHead(200, [])
    rule.outbound(exchange, head)
    rule.inbound(exchange, answer)
    assert (exchange.backend, head.fields, answer.fields) == ("other", [], [])


def test_one_cluster_may_stand_twice_with_modifiers_of_its_own() -> None:
    backends = [
        model.Backend(
            cluster="a",
            request_headers=model.HeaderModifier(set=[(b"x-arm", name)]),
            response_headers=model.HeaderModifier(add=[(b"x-arm", name)]),
        )
        for name in (b"1", b"2")
    ]
    rule = made(*backends, response_headers=model.HeaderModifier(add=[(b"x-arm", b"rule")]))
    assert rule.outbound is not None and rule.inbound is not None
    seen = set()
    for _ in range(4):
        exchange, head, answer = FakeExchange(), get(b"/"), ResponseHead(200, [])
        rule.outbound(exchange, head)
        rule.inbound(exchange, answer)
        arm = head.get(b"x-arm")
        assert answer.fields == [(b"x-arm", arm), (b"x-arm", b"rule")]
        seen.add(arm)
    assert seen == {b"1", b"2"}


def test_a_rule_that_asks_for_nothing_has_no_steps() -> None:
    plain = Rule("route", model.Rule(name="r", matches=[], cluster="c"), object(), ())  # type: ignore[arg-type]
    assert plain.entry is plain.outbound is plain.inbound is plain.sender is None


def test_steps_are_taken_in_turn() -> None:
    rule = made(
        model.Backend(cluster="a", request_headers=model.HeaderModifier(set=[(b"x-v", b"backend")])),
        request_headers=model.HeaderModifier(set=[(b"x-v", b"rule")], add=[(b"x-w", b"rule")]),
        rewrite=model.Rewrite(prefix=b"/new"),
        request_timeout_s=3.0,
    )
    exchange, head = FakeExchange(model.Match(path=b"/old")), get(b"/old/x")
    assert rule.entry is not None and rule.outbound is not None
    assert rule.entry(exchange, head) is None
    assert rule.outbound(exchange, head) is None
    assert exchange.seconds == 3.0
    assert (head.path, head.fields) == (b"/new/x", [(b"x-v", b"backend"), (b"x-w", b"rule")])
