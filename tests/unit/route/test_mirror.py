"""Mirrors: copies that can do no harm, each with one outcome."""

from __future__ import annotations

from collections import Counter

import pytest

from edge import model
from edge.errors import ConnectFailed, EdgeError
from edge.head import RequestHead, ResponseHead
from edge.route import Rule, Site
from edge.route.copied import HELD_MAX_BYTES, PATIENCE_S
from edge.route.mirror import UNDER_WAY_MAX
from tests.unit.route.heads import FakeExchange, get


class FakeRequest:
    """An upstream request that takes notes."""

    address, reused, attempts, failures = "192.0.2.1:80", True, 2, ()

    def __init__(self, receiver: object = None, head: RequestHead | None = None) -> None:
        self.receiver = receiver
        self.head = head
        self.events: list[tuple[object, ...]] = []

    def __getattr__(self, name: str) -> object:
        return lambda *arguments: self.events.append((name, *arguments))


class FakeCluster:
    secure = False

    def __init__(self, name: str, refuse: EdgeError | None = None) -> None:
        self.name = name
        self.refuse = refuse
        self.requests: list[FakeRequest] = []
        self.timeouts: list[float] = []

    def dispatch(self, receiver, head: RequestHead, end: bool, timeout_s: float) -> FakeRequest:
        made = FakeRequest(receiver, head)
        self.requests.append(made)
        self.timeouts.append(timeout_s)
        if self.refuse is not None:
            receiver.upstream_failed(self.refuse)
        return made


class World:
    """A rule with mirrors, and requests through it."""

    def __init__(self, *clusters: FakeCluster, timeout_s: float = 60.0, **share: int) -> None:
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.main = FakeRequest()
        mirrors = [model.Mirror(cluster=each.name, **share) for each in clusters]
        rule = model.Rule(name="r", matches=[], mirrors=mirrors, backend_timeout_s=timeout_s)
        site = Site(0, {each.name: each for each in clusters}, self._count)
        made = Rule("route", rule, clusters[0], (), site).sender
        assert made is not None
        self.sender = made
        self.timeout_s = timeout_s
        self.exchange = FakeExchange()

    def _count(self, cluster: str, outcome: str) -> None:
        self.outcomes[cluster, outcome] += 1

    def send(self, head: RequestHead | None = None, end: bool = False):
        """What the exchange gets as its upstream."""
        made = head or get(b"/x", (b"a", b"b"), method=b"POST")
        return self.sender.dispatch(self, self.exchange, made, end, self.timeout_s)

    def dispatch(self, receiver, head: RequestHead, end: bool, timeout_s: float) -> FakeRequest:
        """As the cluster of the request itself."""
        assert (receiver, timeout_s) == (self.exchange, self.timeout_s)
        return self.main


def test_a_copy_has_a_head_of_its_own() -> None:
    cluster = FakeCluster("m")
    world, head = World(cluster), get(b"/x?q", (b"a", b"b"))
    head.encoded()
    assert world.send(head, end=True) is world.main
    copy = cluster.requests[0].head
    assert copy is not None and copy.encoded() == head.encoded()
    head.fields.append((b"c", b"d"))
    assert copy.fields == [(b"a", b"b")]
    assert cluster.timeouts == [60.0]


def test_body_and_trailers_go_both_ways_and_the_rest_to_the_main_one() -> None:
    one, two = FakeCluster("one"), FakeCluster("two")
    world = World(one, two)
    tee = world.send()
    tee.send_data(b"a", False)
    tee.send_trailers([(b"t", b"1")])
    tee.pause_response()
    tee.resume_response()
    copied = [("send_data", b"a", False), ("send_trailers", [(b"t", b"1")])]
    assert one.requests[0].events == two.requests[0].events == copied
    assert world.main.events == [*copied, ("pause_response",), ("resume_response",)]
    assert (tee.address, tee.reused, tee.attempts, tee.failures) == ("192.0.2.1:80", True, 2, ())


def test_answers_are_dropped_and_counted_once() -> None:
    cluster = FakeCluster("m")
    world = World(cluster)
    for say in (
        lambda it: it.response_whole(ResponseHead(200, []), b"x"),
        lambda it: (
            it.response_informational(ResponseHead(103, [])),
            it.response_head(ResponseHead(204, []), True),
        ),
        lambda it: (it.response_head(ResponseHead(200, []), False), it.response_data(b"x", True)),
        lambda it: (it.response_data(b"x", False), it.response_trailers([])),
    ):
        world.send(end=True)
        say(cluster.requests[-1].receiver)
        cluster.requests[-1].receiver.upstream_failed(ConnectFailed())
        cluster.requests[-1].receiver.expired()
    assert world.outcomes == {("m", "answered"): 4}
    assert all(request.events == [] for request in cluster.requests)


def test_a_mirror_that_fails_at_once_leaves_the_exchange_as_it_was() -> None:
    world = World(FakeCluster("m", ConnectFailed("no")))
    assert world.send() is world.main
    assert world.outcomes == {("m", "failed"): 1}


def test_a_slow_mirror_holds_a_little_and_goes_on() -> None:
    cluster = FakeCluster("m")
    tee = World(cluster).send()
    request = cluster.requests[0]
    request.receiver.pause_request()
    tee.send_data(b"a", False)
    tee.send_data(b"b", True)
    assert request.events == []
    request.receiver.resume_request()
    assert request.events == [("send_data", b"a", False), ("send_data", b"b", True)]


def test_a_mirror_that_stops_again_while_it_catches_up_waits_again() -> None:
    cluster = FakeCluster("m")
    tee = World(cluster).send()
    request = cluster.requests[0]
    request.receiver.pause_request()
    for data in (b"a", b"b", b"c"):
        tee.send_data(data, False)
    request.send_data = lambda *sent: (request.events.append(sent), request.receiver.pause_request())
    request.receiver.resume_request()
    assert request.events == [(b"a", False)]
    tee.send_trailers([(b"t", b"1")])
    for _ in range(3):
        request.receiver.resume_request()
    assert request.events == [(b"a", False), (b"b", False), (b"c", False), (b"", True)]


def test_a_mirror_too_slow_is_cut_and_the_main_one_gets_everything() -> None:
    cluster = FakeCluster("m")
    world = World(cluster)
    tee = world.send()
    cluster.requests[0].receiver.pause_request()
    for _ in range(3):
        tee.send_data(b"x" * (HELD_MAX_BYTES // 2), False)
    tee.send_data(b"", True)
    cluster.requests[0].receiver.resume_request()
    assert cluster.requests[0].events == [("cancel",)]
    assert len(world.main.events) == 4
    assert world.outcomes == {("m", "cut"): 1}


def test_a_request_that_ends_early_takes_its_copies_with_it() -> None:
    cluster = FakeCluster("m")
    world = World(cluster)
    tee = world.send()
    tee.send_data(b"half", False)
    tee.cancel()
    assert cluster.requests[0].events == [("send_data", b"half", False), ("cancel",)]
    assert world.main.events[-1] == ("cancel",)
    assert world.outcomes == {("m", "cut"): 1}


@pytest.mark.parametrize("trailers", [False, True])
def test_a_copy_that_is_whole_outlives_its_request(trailers: bool) -> None:
    cluster = FakeCluster("m")
    world = World(cluster)
    tee = world.send()
    if trailers:
        tee.send_trailers([])
    else:
        tee.send_data(b"all", True)
    tee.cancel()
    assert ("cancel",) not in cluster.requests[0].events
    cluster.requests[0].receiver.response_whole(ResponseHead(200, []), b"")
    assert world.outcomes == {("m", "answered"): 1}


def test_patience_begins_anew_with_every_byte_and_ends() -> None:
    cluster = FakeCluster("m")
    world = World(cluster)
    tee = world.send()
    for _ in range(3):
        world.exchange.advance(PATIENCE_S - 1)
        tee.send_data(b"x", False)
    assert ("cancel",) not in cluster.requests[0].events
    world.exchange.advance(PATIENCE_S + 1)
    assert cluster.requests[0].events[-1] == ("cancel",)
    assert world.outcomes == {("m", "cut"): 1}


def test_too_many_copies_are_not_begun() -> None:
    cluster = FakeCluster("m")
    world = World(cluster)
    for _ in range(UNDER_WAY_MAX + 3):
        world.send(end=True)
    assert len(cluster.requests) == UNDER_WAY_MAX
    assert world.outcomes == {("m", "skipped"): 3}
    cluster.requests[0].receiver.response_whole(ResponseHead(200, []), b"")
    world.send(end=True)
    assert len(cluster.requests) == UNDER_WAY_MAX + 1


def test_shares_of_nothing_and_of_all() -> None:
    none, whole = FakeCluster("none"), FakeCluster("all")
    for cluster, numerator in ((none, 0), (whole, 100)):
        world = World(cluster, numerator=numerator)
        for _ in range(50):
            world.send(end=True)
    assert (len(none.requests), len(whole.requests)) == (0, 50)


def test_upgrades_are_not_copied_and_no_timeout_becomes_patience() -> None:
    cluster = FakeCluster("m")
    world, head = World(cluster, timeout_s=0.0), get(b"/x")
    head.upgrade = b"websocket"
    world.send(head)
    assert cluster.requests == []
    world.send(end=True)
    assert cluster.timeouts == [PATIENCE_S]


def test_a_request_that_failed_at_once_is_not_copied() -> None:
    cluster = FakeCluster("m")
    world = World(cluster)
    world.exchange.finished = True
    assert world.send() is world.main
    assert cluster.requests == []


def test_tries_and_mirrors_go_together() -> None:
    tries = []

    class Retry:
        def dispatch(self, cluster, *request):
            tries.append((cluster, request))
            return main

    main, mirror, cluster = FakeRequest(), FakeCluster("m"), FakeCluster("c")
    rule = model.Rule(name="r", matches=[], mirrors=[model.Mirror(cluster="m")])
    sender = Rule("route", rule, cluster, (), Site(0, {"m": mirror}), Retry()).sender
    exchange, head = FakeExchange(), get(b"/")
    assert sender.dispatch(cluster, exchange, head, True, 1.0) is main
    assert tries == [(cluster, (exchange, head, True, 1.0))]
    assert (len(cluster.requests), len(mirror.requests)) == (0, 1)
