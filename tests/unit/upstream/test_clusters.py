"""Sets of clusters across revisions, and balancers."""

from __future__ import annotations

from edge import model
from edge.upstream.balancer import Balancer, RoundRobin
from edge.upstream.cluster import Cluster
from edge.upstream.clusters import Clusters
from edge.upstream.pool import shown_address
from tests.unit.upstream.fakes import Bench, Recorder, get


def cluster(name: str, port: int = 80) -> model.Cluster:
    return model.Cluster(name=name, endpoints=[model.Endpoint(host="10.0.0.1", port=port)])


def test_equal_clusters_survive_a_reload_and_the_others_are_closed() -> None:
    bench = Bench()

    def build(models: list[model.Cluster], previous: Clusters | None, limits: model.Limits) -> Clusters:
        return Clusters(models, bench.dialer, bench.deadlines, bench.time.clock, limits, previous)

    first = build([cluster("same"), cluster("changed"), cluster("gone")], None, model.Limits())
    second = build([cluster("same"), cluster("changed", 81)], first, model.Limits())
    assert second["same"] is first["same"]
    assert second["changed"] is not first["changed"]
    first.retire(second)
    closed = {name: c.pools[0].closing for name, c in first.items()}
    assert closed == {"same": False, "changed": True, "gone": True}
    third = build([cluster("same")], second, model.Limits(head_bytes=1000))
    assert third["same"] is not second["same"]
    second.retire(None)
    assert second["same"].pools[0].closing


def test_round_robin_passes_over_what_was_tried_and_says_when_all_were() -> None:
    balancer = RoundRobin(3)
    assert [balancer.pick(0) for _ in range(4)] == [0, 1, 2, 0]
    assert balancer.pick(0b010) == 2
    assert balancer.pick(0b101) == 1
    assert balancer.pick(0b111) == -1
    assert RoundRobin(0).pick(0) == -1


class LastFirst:
    """A balancer that starts from the end."""

    def __init__(self, count: int) -> None:
        self._count = count

    def pick(self, tried: int) -> int:
        return next((i for i in reversed(range(self._count)) if not tried >> i & 1), -1)


def test_any_balancer_decides_where_attempts_go() -> None:
    bench = Bench(endpoints=3)
    balancer: Balancer = LastFirst(3)
    subject = Cluster(bench.model, bench.dialer, bench.deadlines, bench.time.clock, bench.limits, balancer)
    subject.dispatch(Recorder(), get(), True, 0.0)
    bench.dialer.dials[0].failed("refused")
    assert [dial.host for dial in bench.dialer.dials] == ["10.0.0.3", "10.0.0.2"]


def test_addresses_are_shown_as_ip_and_port() -> None:
    assert shown_address("::1", 80) == "[::1]:80"
    named = model.Cluster(name="n", endpoints=[model.Endpoint(host="shop.internal", port=80)])
    bench = Bench()
    subject = Cluster(named, bench.dialer, bench.deadlines, bench.time.clock, bench.limits)
    request = subject.dispatch(Recorder(), get(), True, 0.0)
    assert request.address == ""
    bench.dialer.dials[0].host = "10.9.9.9"
    bench.connect()
    assert request.address == "10.9.9.9:80"
