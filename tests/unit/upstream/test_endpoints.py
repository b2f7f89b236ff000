"""Endpoints that come, go and fall ill while requests are under way."""

from __future__ import annotations

import pytest

from edge import model
from tests.unit.upstream.fakes import OK, OK_CALLS, Bench, get


def endpoint(last: int, healthy: bool = True, weight: int = 1) -> model.Endpoint:
    return model.Endpoint(host=f"10.0.0.{last}", port=80, healthy=healthy, weight=weight)


def hosts(bench: Bench, requests: int) -> list[str]:
    """Where new requests go."""
    sent = [bench.send(get())[0] for _ in range(requests)]
    return [request.address.removesuffix(":80") for request in sent]


def test_requests_go_to_new_endpoints_and_not_to_removed_ones() -> None:
    bench = Bench(endpoints=2)
    assert hosts(bench, 2) == ["10.0.0.1", "10.0.0.2"]
    assert bench.cluster.update([endpoint(2), endpoint(3)], 1)
    assert sorted(hosts(bench, 4)) == ["10.0.0.2", "10.0.0.2", "10.0.0.3", "10.0.0.3"]


def test_an_older_or_equal_generation_changes_nothing() -> None:
    bench = Bench(endpoints=1)
    assert bench.cluster.update([endpoint(2)], 5)
    assert not bench.cluster.update([endpoint(3)], 5)
    assert not bench.cluster.update([endpoint(3)], 4)
    assert hosts(bench, 2) == ["10.0.0.2", "10.0.0.2"]


def test_connections_of_endpoints_that_remain_are_kept() -> None:
    bench = Bench(endpoints=1)
    _, transport = bench.warm()
    bench.cluster.update([endpoint(1, weight=7), endpoint(2)], 1)
    for _ in range(2):
        bench.send(get())
    assert b"GET /" in transport.take()


def test_idle_connections_of_removed_endpoints_close_and_busy_ones_finish() -> None:
    bench = Bench(endpoints=1)
    _, idle = bench.warm()
    bench.send(get())
    _, exchange = bench.send(get())
    busy = bench.connect()
    bench.dialer.dials[0].protocol.data_received(OK)
    bench.cluster.update([], 1)
    assert idle.aborted
    assert not busy.aborted
    bench.dialer.dials[1].protocol.data_received(OK)
    assert exchange.calls == OK_CALLS
    assert busy.aborted
    assert bench.open == 0


def test_an_endpoint_that_comes_back_while_it_drains_takes_requests_again() -> None:
    bench = Bench(endpoints=1)
    bench.send(get())
    transport = bench.connect()
    bench.cluster.update([], 1)
    bench.cluster.update([endpoint(1)], 2)
    bench.dialer.dials[0].protocol.data_received(OK)
    assert not transport.aborted
    bench.send(get())
    assert transport.take().count(b"GET") == 2


def test_a_drained_place_is_used_again() -> None:
    bench = Bench(endpoints=3)
    for generation in range(1, 50):
        bench.cluster.update([endpoint(generation + 10), endpoint(generation + 11)], generation)
    assert len(bench.cluster.pools) == 3


def test_who_gets_a_drained_place_does_not_answer_for_the_one_before() -> None:
    bench = Bench(endpoints=1, outliers=model.Outliers(consecutive_5xx=2))
    for _ in range(2):
        bench.send(get())
    for index in range(2):
        bench.connect(index)
    bench.cluster.update([endpoint(2)], 1)
    for dial in bench.dialer.dials[:2]:
        dial.protocol.data_received(OK.replace(b"200 OK", b"500 Oh"))
    bench.cluster.update([endpoint(2), endpoint(3)], 2)
    assert bench.cluster.endpoints.states() == {"healthy": 2, "unhealthy": 0, "ejected": 0}


def test_unhealthy_endpoints_get_no_requests_until_they_are_well() -> None:
    bench = Bench(endpoints=2)
    bench.cluster.update([endpoint(1, healthy=False), endpoint(2)], 1)
    assert set(hosts(bench, 4)) == {"10.0.0.2"}
    assert bench.cluster.endpoints.states() == {"healthy": 1, "unhealthy": 1, "ejected": 0}
    bench.cluster.update([endpoint(1), endpoint(2)], 2)
    assert set(hosts(bench, 4)) == {"10.0.0.1", "10.0.0.2"}


def test_below_the_panic_threshold_all_endpoints_are_used() -> None:
    bench = Bench(endpoints=3)
    bench.cluster.update([endpoint(1, healthy=False), endpoint(2, healthy=False), endpoint(3)], 1)
    assert bench.cluster.endpoints.panic
    assert set(hosts(bench, 6)) == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}


@pytest.mark.parametrize("empty", [[], [endpoint(1, healthy=False)], [endpoint(1, weight=0)]])
def test_without_panic_a_cluster_that_has_nobody_is_a_503(empty: list[model.Endpoint]) -> None:
    bench = Bench(endpoints=1, panic_percent=0)
    bench.cluster.update(empty, 1)
    _, exchange = bench.send(get())
    assert exchange.calls == [("failed", "NoEndpoint", 503)]
    assert bench.cluster.rejected == {"no_endpoint": 1}


def test_a_request_that_waits_goes_to_an_endpoint_that_was_added() -> None:
    bench = Bench(endpoints=1, max_connections=1)
    bench.send(get())
    _, waits = bench.send(get(b"/2"))
    bench.cluster.update([endpoint(2)], 1)
    bench.connect(0)
    bench.dialer.dials[0].protocol.data_received(OK)
    assert bench.dialer.dials[1].host == "10.0.0.2"
    assert bench.connect(1).take().startswith(b"GET /2 ")
    bench.dialer.dials[1].protocol.data_received(OK)
    assert waits.calls == OK_CALLS


def test_a_cluster_that_is_closed_is_not_updated_and_serves_who_still_holds_it() -> None:
    bench = Bench(endpoints=1)
    bench.cluster.close()
    assert not bench.cluster.update([], 1)
    _, exchange = bench.send(get())
    transport = bench.connect()
    bench.dialer.dials[0].protocol.data_received(OK)
    assert exchange.calls == OK_CALLS
    assert transport.aborted
