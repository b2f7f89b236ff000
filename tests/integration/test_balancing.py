"""How requests are shared among endpoints, from the file to real sockets, over two workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.raw_client import RawClient, Response, request
from tests.integration.running_edge import EdgeProcess, configuration, rule, running_edge
from tests.integration.scripted_upstream import Conversation, Upstream, reply, scripted

ENDPOINTS = 4


@contextmanager
def numbered() -> Iterator[list[Upstream]]:
    """Upstreams that answer with their number."""
    with ExitStack() as stack:
        upstreams = []
        for number in range(ENDPOINTS):
            upstreams.append(stack.enter_context(scripted(_says(b"%d" % number))))
        yield upstreams


def _says(word: bytes) -> Any:
    async def script(it: Conversation) -> None:
        while True:
            await it.request()
            await it.send(reply(word))

    return script


@contextmanager
def balanced(folder: Path, state: Path, workers: int = 2, **cluster: Any) -> Iterator[EdgeProcess]:
    with numbered() as upstreams:
        config = configuration({"up": [each.port for each in upstreams]}, [rule("up")])
        weights = cluster.pop("weights", [1] * ENDPOINTS)
        for endpoint, weight in zip(config["clusters"][0]["discovery"]["endpoints"], weights, strict=True):
            endpoint["weight"] = weight
        config["clusters"][0].update(cluster)
        with running_edge(folder / "edge", config, state, "--workers", str(workers)) as edge:
            yield edge


def ask(edge: EdgeProcess, *fields: bytes, target: bytes = b"/") -> Response:
    """On a connection of its own, so that any worker may get it."""
    with RawClient(edge.web) as client:
        return client.exchange(request(target, *fields))


def test_weights(tmp_path: Path, edge_state: Path) -> None:
    with balanced(tmp_path, edge_state, workers=1, weights=[5, 1, 1, 3]) as edge:
        with RawClient(edge.web) as client:
            chosen = Counter(client.exchange(request()).body for _ in range(100))
        assert chosen == {b"0": 50, b"1": 10, b"2": 10, b"3": 30}


def test_all_workers_hash_alike(tmp_path: Path, edge_state: Path) -> None:
    hashing = {"type": "Header", "header": {"name": "X-Tenant"}, "tableSize": 5003}
    balancer = {"type": "ConsistentHash", "consistentHash": hashing}
    with balanced(tmp_path, edge_state, loadBalancer=balancer) as edge:
        chosen = {}
        for tenant in range(12):
            fields = b"x-tenant: %d" % tenant
            (chosen[tenant],) = {ask(edge, fields).body for _ in range(8)}
        assert len(set(chosen.values())) > 1
        assert len(edge.state()["workers"]) == 2


def test_a_client_keeps_to_its_endpoint_by_a_cookie_that_edge_set(tmp_path: Path, edge_state: Path) -> None:
    cookie = {"name": "stick", "ttl": "1h"}
    hashing = {"type": "Cookie", "cookie": cookie, "tableSize": 5003}
    balancer = {"type": "ConsistentHash", "consistentHash": hashing}
    with balanced(tmp_path, edge_state, loadBalancer=balancer) as edge:
        homes = set()
        for _ in range(12):
            first = ask(edge)
            (set_cookie,) = first.values(b"set-cookie")
            pair, _, attributes = set_cookie.partition(b"; ")
            assert attributes == b"Max-Age=3600; Path=/; HttpOnly; SameSite=Lax"
            for _ in range(4):
                again = ask(edge, b"cookie: theme=dark; " + pair)
                assert again.body == first.body
                assert again.values(b"set-cookie") == []
            homes.add(first.body)
        assert len(homes) > 1


@pytest.mark.parametrize("kind", ["LeastRequest", "Random"])
def test_every_endpoint_gets_its_part_by_chance(kind: str, tmp_path: Path, edge_state: Path) -> None:
    with balanced(tmp_path, edge_state, loadBalancer={"type": kind}) as edge:
        with RawClient(edge.web) as client:
            chosen = Counter(client.exchange(request()).body for _ in range(200))
        assert len(chosen) == ENDPOINTS
        assert min(chosen.values()) >= 10


def test_connections_are_limited_for_all_workers_together(tmp_path: Path, edge_state: Path) -> None:
    """Two workers have one connection each of `maxConnections: 2`, and one place to wait."""

    async def silent(it: Conversation) -> None:
        await it.until_closed()

    with scripted(silent) as upstream:
        config = configuration({"up": [upstream.port]}, [rule("up", timeouts={"backendRequest": "0s"})])
        config["clusters"][0]["circuitBreaker"] = {"maxConnections": 2, "maxPendingRequests": 2}
        workers = ("--workers", "2")
        with running_edge(tmp_path / "edge", config, edge_state, *workers) as edge, ExitStack() as stack:
            refused = 0
            while refused < 4:
                client = stack.enter_context(RawClient(edge.web))
                stack.callback(client.reset)
                client.socket.settimeout(0.25)
                client.send(request())
                try:
                    answer = client.response()
                except TimeoutError:
                    continue
                assert answer.status == 503
                assert answer.values(b"retry-after") == [b"1"]
                refused += 1
            assert upstream.connections <= 2
