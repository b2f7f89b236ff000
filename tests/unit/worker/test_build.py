"""Route tables of a model: what is filed where, in slices."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from edge import model
from edge.route import RouteTable
from edge.telemetry.metrics import Registry
from edge.upstream import Clusters
from edge.worker.build import tables
from edge.worker.outcomes import RuleReport
from edge.worker.reporting import Reports
from edge.worker.slices import Slices
from tests.unit.route.heads import FakeExchange, get


class FakeClusters(dict[str, object]):
    """Clusters that only have names."""

    def retrying(self, policy: model.Retry | None) -> model.Retry | None:
        return policy


class Ticks:
    """A clock that moves with every look at it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


LISTENERS = [
    model.Listener(name="web", host="127.0.0.1", port=8080),
    model.Listener(name="inner", host="127.0.0.1", port=8443, hostnames=["*.inner.example"]),
]


def built(
    *routes: model.Route, registry: Registry | None = None, listeners: list[model.Listener] = LISTENERS
) -> tuple[dict[str, RouteTable], Slices]:
    made = model.Model(revision=1, listeners=listeners, routes=list(routes), clusters=[])
    clusters = cast(Clusters, FakeClusters({name: object() for name in ("one", "two")}))
    slices = Slices(Ticks())
    reports = Reports(registry or Registry(), None, 0.0)
    return asyncio.run(tables(made, clusters, {}, reports, slices)), slices


def route(
    name: str, *rules: model.Rule, on: list[str] | None = None, hosts: list[str] | None = None
) -> model.Route:
    return model.Route(name=name, listeners=on or ["web", "inner"], hostnames=hosts or [], rules=list(rules))


def rule(name: str = "r", **more: object) -> model.Rule:
    return model.Rule(name=name, **{"matches": [model.Match()], **more})


def test_a_route_is_filed_where_its_listener_serves_its_hostnames() -> None:
    made, _ = built(
        route("first", rule(cluster="one"), hosts=["a.inner.example", "shop.example"]),
        route("second", rule(cluster="one"), hosts=["shop.example"]),
        route("third", rule(cluster="one")),
    )
    inner = [(hostname, each.rule.route) for hostname, each in made["inner"].filed]
    assert inner == [("a.inner.example", "first"), ("*.inner.example", "third")]
    found = made["web"].match(get(b"/", host=b"shop.example"))
    assert found is not None and found.rule.route == "first"


def test_redirects_name_the_port_clients_see() -> None:
    outside = model.Listener(name="outside", host="127.0.0.1", port=8080, advertised_port=80)
    redirect = model.Redirect(hostname=b"other.example")
    made, _ = built(
        route("r", rule(redirect=redirect), on=["web", "outside"]), listeners=[*LISTENERS, outside]
    )
    found = {}
    for name in ("web", "outside"):
        head = get(b"/x")
        head.scheme = b"http"
        candidate = made[name].match(head)
        assert candidate is not None and candidate.rule.outbound is not None
        reply = candidate.rule.outbound(FakeExchange(), head)
        assert reply is not None
        found[name] = dict(reply.fields)[b"location"]
    assert found == {"web": b"http://other.example:8080/x", "outside": b"http://other.example/x"}


@pytest.mark.parametrize(
    "lacking",
    [
        rule(cluster="three"),
        rule(backends=[model.Backend(cluster="one"), model.Backend(cluster="three")]),
        rule(cluster="one", mirrors=[model.Mirror(cluster="three")]),
        rule(cluster="one", chain="none"),
    ],
)
def test_a_name_the_model_lacks_is_an_error(lacking: model.Rule) -> None:
    with pytest.raises(ValueError, match="rule 'r' of route 'x' names what the model lacks"):
        built(route("x", lacking))


def test_tables_are_built_in_slices_however_rules_are_spread() -> None:
    many = [rule(f"r{number}", cluster="one") for number in range(200)]
    _, of_rules = built(route("x", *many))
    _, of_routes = built(*(route(each.name, each) for each in many))
    _, of_hosts = built(route("x", many[0], hosts=[f"h{number}.example" for number in range(200)]))
    assert min(of_rules.turns, of_routes.turns, of_hosts.turns) >= 50


def test_mirrored_requests_are_counted_by_cluster_and_outcome() -> None:
    registry = Registry()
    reports = Reports(registry, None, 0.0)
    for outcome in ("answered", "answered", "cut"):
        reports.mirrored("one", outcome)
    counted = {dict(labels)["edge.mirror.outcome"]: values for _, labels, values in registry.samples()}
    assert counted == {"answered": [2.0], "cut": [1.0]}


def test_every_candidate_has_its_report() -> None:
    made, _ = built(
        route("x", rule(cluster="one", matches=[model.Match(path=b"/a"), model.Match(path=b"/b")]))
    )
    reports = [each.report for _, each in made["web"].filed]
    assert isinstance(reports[0], RuleReport) and reports[0] is reports[1]
    assert [each.index for _, each in made["web"].filed] == [0, 1]
