"""Endpoints that fail, over real sockets: facts of hardening §4, one test for each row and more.

F1 to F9 are here; those of processes, reloads, DNS and the collector stand beside their parts.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.integration.authority import Authority
from tests.integration.dying_origin import dying_origin
from tests.integration.h3_client import H3Client
from tests.integration.protocol_site import STREAMS, Site, every_protocol, fields
from tests.integration.raw_client import RawClient, Truncated, request
from tests.integration.running_edge import EdgeProcess, configuration, rule, running_edge, within
from tests.integration.scripted_upstream import Conversation, Upstream, reply, scripted
from tests.integration.steady_load import SteadyLoad
from tests.tools import free_port

TIMEOUT_S = 0.5
LIVENESS_S = 30.0
TRIED_AGAIN = {"attempts": 3, "codes": [502, 503], "backoff": "10ms"}
INTERNAL_ERROR = {"h2c": 0x2, "h2": 0x2, "h3": 0x102}


def failing(config: dict[str, Any], **cluster: Any) -> dict[str, Any]:
    """The same, its first cluster with these fields."""
    config["clusters"][0].update(cluster)
    return config


def _until_under_way(edge: EdgeProcess, number: int) -> None:
    for _ in within(LIVENESS_S, f"{number} requests under way"):
        if edge.metric("http_server_active_requests") == number:
            return


# -- F1: an endpoint refuses, dies, freezes, resets ------------------------------------------------


@pytest.mark.parametrize("how", ["killed", "frozen", "resetting"])
def test_f1_an_endpoint_dies_under_load_and_no_get_fails_and_no_post_is_carried_out_twice(
    how: str, tmp_path: Path, edge_state: Path
) -> None:
    passive = {"consecutiveLocalOriginFailures": 3, "baseEjectionTime": "120s"}
    with dying_origin(tmp_path / "dies") as dies, dying_origin(tmp_path / "lives") as lives:
        config = failing(
            configuration(
                {"up": [dies.port, lives.port]},
                [rule("up", retry=TRIED_AGAIN, timeouts={"backendRequest": "2s"})],
            ),
            healthCheck={"passive": passive},
            circuitBreaker={"retryBudget": {"percent": 20, "minPerSecond": 10}},
        )
        with running_edge(tmp_path / "edge", config, edge_state) as edge:
            with SteadyLoad(edge.web, getters=6, posters=2) as load:
                _wait(load, 200)
                assert dies.posts() and lives.posts()
                dies.fail(how)
                before = len(lives.posts())
                for _ in within(LIVENESS_S, "the endpoint is left alone"):
                    if edge.metric("edge_cluster_endpoints", 'state="ejected"') == 1:
                        break
                _wait(load, 200)
                for _ in within(LIVENESS_S, "posts go on"):
                    if len(lives.posts()) > before:
                        break
            assert load.failed == []
            _until_under_way(edge, 0)
        carried_out = Counter(dies.posts() + lives.posts())
        assert carried_out and max(carried_out.values()) == 1


def _wait(load: SteadyLoad, more: int) -> None:
    target = load.gets + more
    for _ in within(2 * LIVENESS_S, f"{more} more answers"):
        if load.gets >= target:
            return


def test_f1_nobody_is_there(tmp_path: Path, edge_state: Path) -> None:
    config = configuration({"up": [free_port(), free_port()]}, [rule("up")])
    with running_edge(tmp_path / "edge", config, edge_state) as edge, RawClient(edge.web) as client:
        assert client.exchange(request()).status == 502


def test_f1_an_endpoint_that_refuses_costs_no_request_and_a_post_is_sent_once(
    tmp_path: Path, edge_state: Path
) -> None:
    with dying_origin(tmp_path / "posts") as lives:
        config = configuration({"up": [free_port(), lives.port]}, [rule("up")])
        with running_edge(tmp_path / "edge", config, edge_state) as edge:
            with SteadyLoad(edge.web, getters=2, posters=1) as load:
                _wait(load, 100)
            assert load.failed == []
        assert Counter(lives.posts()) == Counter(set(lives.posts()))
        assert len(lives.posts()) >= load.posts > 0


# -- one edge for the rest ---------------------------------------------------------------------------


Events = dict[str, threading.Event]


@dataclass
class World:
    site: Site
    upstream: Upstream
    asked: Events = field(default_factory=dict)
    """By target: edge has asked the upstream for it."""
    closed: Events = field(default_factory=dict)
    """By target: edge has closed the connection on which it asked for it."""

    @property
    def edge(self) -> EdgeProcess:
        return self.site.edge


def _head(length: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\n{length}\r\n\r\n".encode()


PARTS = {
    "length": _head("content-length: 100") + b"x" * 60,
    "chunks": _head("transfer-encoding: chunked") + b"3c\r\n" + b"x" * 60 + b"\r\n",
    "chunk": _head("transfer-encoding: chunked") + b"3c\r\n" + b"x" * 30,
    "nothing": _head("content-length: 100"),
}
SLOW_BYTES = 40


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, edge_state: Path, authority: Authority
) -> Iterator[World]:
    asked: Events = {}
    closed: Events = {}

    async def script(it: Conversation) -> None:
        while True:
            target = (await it.request()).target.decode()
            asked.setdefault(target, threading.Event()).set()
            _, kind, *rest = target.split("/")
            if kind == "hang":
                await it.until_closed()
                closed.setdefault(target, threading.Event()).set()
                return
            elif kind == "dies":
                await it.send(PARTS[rest[1]])
                await it.pause()
                it.writer.transport.abort() if rest[0] == "reset" else it.writer.close()
                return
            elif kind == "slow":
                await it.send(_head(f"content-length: {SLOW_BYTES}"))
                for _ in range(SLOW_BYTES):
                    await it.send(b"x")
                    await it.pause()
            elif kind == "endless":
                await it.send(_head("content-length: 1000000000") + b"start")
                await it.until_closed()
                closed.setdefault(target, threading.Event()).set()
                return
            else:  # stale: the connection ends when it was used twice
                await it.send(reply(target.encode()))
                if it.number % 2:
                    await it.head()
                return

    with scripted(script) as upstream:
        rules = [
            rule("up", "/hang", timeouts={"backendRequest": f"{TIMEOUT_S * 1000:.0f}ms"}),
            rule("up", "/hang/long", timeouts={"backendRequest": "0s"}),
            rule("up"),
        ]
        config = every_protocol(configuration({"up": [upstream.port]}, rules), authority)
        with running_edge(tmp_path_factory.mktemp("failures"), config, edge_state) as edge:
            yield World(Site(edge, authority), upstream, asked, closed)
            _until_under_way(edge, 0)


def _wait_for(events: Events, target: str) -> None:
    assert events.setdefault(target, threading.Event()).wait(LIVENESS_S)


@pytest.mark.parametrize("protocol", ["h1", "h1s", *STREAMS])
def test_f2_an_endpoint_that_hangs_is_given_up_at_the_timeout(world: World, protocol: str) -> None:
    target = f"/hang/{protocol}"
    began = time.monotonic()
    reply_head = world.site.ask(protocol, target)
    took_s = time.monotonic() - began
    assert reply_head.status == 504
    assert TIMEOUT_S * 0.9 <= took_s < LIVENESS_S
    _wait_for(world.closed, target)


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("protocol", STREAMS)
def test_f3_f4_a_response_that_is_cut_never_looks_whole_on_a_stream(
    world: World, protocol: str, part: str, end: str
) -> None:
    scheme = "http" if protocol == "h2c" else "https"
    with world.site.connect(protocol) as client:
        stream = client.request(fields(f"/dies/{end}/{part}", scheme=scheme))
        client.wait(lambda: client.ended(stream) or client.reset_code(stream) is not None)
        assert not client.ended(stream)
        assert client.reset_code(stream) == INTERNAL_ERROR[protocol]


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("protocol", ["h1", "h1s"])
def test_f3_f4_a_response_that_is_cut_never_looks_whole_on_http_1(
    world: World, protocol: str, part: str, end: str
) -> None:
    with world.site.h1(protocol) as client:
        client.send(request(f"/dies/{end}/{part}".encode()))
        with pytest.raises((Truncated, OSError)):
            client.response()


SLOW = 100
GROWTH_BYTES = 5 << 20


def _slow_round(world: World, into: list[int]) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(RawClient(world.edge.web)) for _ in range(SLOW)]
        for client in clients:
            client.send(request(b"/slow"))
        for client in clients:
            into.append(len(client.response().body))


def test_f5_slow_endpoints_are_waited_for_and_cost_no_memory(world: World) -> None:
    sizes: list[int] = []
    _slow_round(world, sizes)
    before = world.edge.resident_bytes()
    _slow_round(world, sizes)
    assert sizes == [SLOW_BYTES] * 2 * SLOW
    assert world.edge.resident_bytes() - before < GROWTH_BYTES


def test_f7_connections_that_the_endpoint_closed_cost_no_get(world: World) -> None:
    with RawClient(world.edge.web) as client:
        for number in range(200):
            target = b"/stale/%d" % number
            response = client.exchange(request(target))
            assert (response.status, response.body) == (200, target)


@pytest.mark.parametrize("kind", ["hang/long", "endless"])
@pytest.mark.parametrize("protocol", ["h1", "h1s", *STREAMS])
def test_f9_a_client_that_leaves_takes_its_request_along(world: World, protocol: str, kind: str) -> None:
    target = f"/{kind}/{protocol}"
    if protocol in STREAMS:
        scheme = "http" if protocol == "h2c" else "https"
        with world.site.connect(protocol) as client:
            stream = client.request(fields(target, scheme=scheme))
            if isinstance(client, H3Client):
                client.flush()
            _wait_for(world.asked, target)
            if kind == "endless":
                client.wait(lambda: bool(client.heads(stream)))
    else:
        with world.site.h1(protocol) as client_1:
            client_1.send(request(target.encode()))
            _wait_for(world.asked, target)
            if protocol == "h1":
                client_1.reset()  # FIN could be the end of a request only
    _wait_for(world.closed, target)


# -- F8: an endpoint that flaps ------------------------------------------------------------------------


def _flapping(numbers: Counter[bytes]) -> Any:
    """503 for every other request; counts how often each target was asked for."""
    total = iter(range(1_000_000))

    async def script(it: Conversation) -> None:
        while True:
            asked = await it.request()
            numbers[asked.target] += 1
            status = b"503 Service Unavailable" if next(total) % 2 else b"200 OK"
            await it.send(reply(asked.target, status=status))

    return script


def test_f8_tries_again_are_no_more_than_a_fifth_and_three_for_each_request(
    tmp_path: Path, edge_state: Path
) -> None:
    asked: Counter[bytes] = Counter()
    with scripted(_flapping(asked)) as upstream:
        config = failing(
            configuration({"up": [upstream.port]}, [rule("up", retry=TRIED_AGAIN)]),
            circuitBreaker={"retryBudget": {"percent": 20, "minPerSecond": 0}},
        )
        with running_edge(tmp_path / "edge", config, edge_state) as edge:
            with SteadyLoad(edge.web, getters=8) as load:
                _wait(load, 600)
            requests = load.gets
            again = asked.total() - requests
            assert 0 < again <= 0.2 * requests
            assert max(asked.values()) <= 4
            for _ in within(LIVENESS_S, "refused retries are counted"):
                if edge.metric("edge_cluster_rejected_total", 'reason="retry_budget"') > 0:
                    break


def test_f8_an_endpoint_that_only_fails_is_left_alone(tmp_path: Path, edge_state: Path) -> None:
    asked: Counter[bytes] = Counter()

    async def bad(it: Conversation) -> None:
        while True:
            asked[(await it.request()).target] += 1
            await it.send(reply(b"no", status=b"500 Internal Server Error"))

    async def good(it: Conversation) -> None:
        while True:
            await it.send(reply((await it.request()).target))

    with scripted(bad) as first, scripted(good) as second:
        config = failing(
            configuration({"up": [first.port, second.port]}, [rule("up")]),
            healthCheck={"passive": {"consecutive5XxErrors": 5, "baseEjectionTime": "120s"}},
        )
        with running_edge(tmp_path / "edge", config, edge_state) as edge:
            with SteadyLoad(edge.web, getters=4) as load:
                _wait(load, 300)
            assert 5 <= len(load.failed) <= 5 + 4
            assert len(load.failed) == asked.total()
            for _ in within(LIVENESS_S, "the metric tells"):
                if edge.metric("edge_cluster_endpoints", 'state="ejected"') == 1:
                    break


# -- limits of a cluster -----------------------------------------------------------------------------


def test_over_its_limits_a_cluster_answers_503_with_retry_after(tmp_path: Path, edge_state: Path) -> None:
    released = threading.Event()

    async def script(it: Conversation) -> None:
        while True:
            asked = await it.request()
            while not released.is_set():
                await it.pause()
            await it.send(reply(asked.target))

    with scripted(script) as upstream:
        config = failing(
            configuration({"up": [upstream.port]}, [rule("up")]), circuitBreaker={"maxParallelRequests": 2}
        )
        config["telemetry"] = {"accessLog": {"path": "access.log"}}
        with running_edge(tmp_path / "edge", config, edge_state) as edge, ExitStack() as stack:
            clients = [stack.enter_context(RawClient(edge.web)) for _ in range(3)]
            for number, client in enumerate(clients[:2]):
                client.send(request(b"/%d" % number))
            for _ in within(LIVENESS_S, "both are under way"):
                if upstream.connections == 2:
                    break
            refused = clients[2].exchange(request(b"/2"))
            assert (refused.status, refused.values(b"retry-after")) == (503, [b"1"])
            released.set()
            for number, client in enumerate(clients[:2]):
                assert client.response().body == b"/%d" % number
            assert clients[2].exchange(request(b"/3")).status == 200
            for _ in within(LIVENESS_S, "it is counted and logged"):
                counted = edge.metric("edge_cluster_rejected_total", 'reason="max_requests"')
                flags = [line["flags"] for line in edge.access_log() if line["status"] == 503]
                if (counted, flags) == (1, ["UO"]):
                    break
