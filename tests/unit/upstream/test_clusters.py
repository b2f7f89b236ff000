"""Sets of clusters across revisions, and endpoints that change."""

from __future__ import annotations

from edge import model
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


def test_a_replaced_cluster_goes_on_counting_what_it_rejects() -> None:
    bench = Bench()

    def build(port: int, previous: Clusters | None) -> Clusters:
        models = [cluster("shop", port)]
        return Clusters(models, bench.dialer, bench.deadlines, bench.time.clock, model.Limits(), previous)

    first = build(80, None)
    first["shop"].rejected["max_pending"] += 1
    assert build(81, first)["shop"].rejected == {"max_pending": 1}


def test_each_worker_has_its_part_of_the_limits_rounded_up() -> None:
    bench = Bench(max_connections=5)
    subject = Cluster(bench.model, bench.dialer, bench.deadlines, bench.time.clock, bench.limits, share=3)
    for _ in range(4):
        subject.dispatch(Recorder(), get(), True, 0.0)
    assert len(bench.dialer.dials) == 2


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
