"""Shared data, queues and metrics of filters over several workers, and what a worker's death does to them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.conformance.proxy_wasm.build import compiled
from tests.integration.raw_client import RawClient
from tests.integration.running_edge import EdgeProcess, configuration, rule, running_edge, through, within

CONNECTIONS: Final = 16
WAIT_S: Final = 30.0


@contextmanager
def _edge(folder: Path, state: Path, workers: int, restarts: int = 0) -> Iterator[EdgeProcess]:
    (folder / "edge").mkdir()
    (folder / "edge" / "sharing.wasm").write_bytes(compiled("sharing"))
    config = configuration(
        {"up": [1]},
        [rule("up", filters=[through("sharing")])],
        modules={"sharing": {"url": "sharing.wasm"}},
        filterChains={"sharing": [{"name": "sharing", "module": "sharing", "vmId": "counters"}]},
    )
    with running_edge(folder / "edge", config, state, "--workers", str(workers), restarts=restarts) as edge:
        yield edge


async def _many(port: int, path: str, each: int) -> list[int]:
    """Statuses of `each` requests on every one of CONNECTIONS connections at the same time."""
    request = f"GET {path} HTTP/1.1\r\nhost: a\r\n\r\n".encode()

    async def talk() -> list[int]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        statuses = []
        for _ in range(each):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            statuses.append(int(head.split()[1]))
        writer.close()
        return statuses

    async with asyncio.timeout(WAIT_S):
        answers = await asyncio.gather(*(talk() for _ in range(CONNECTIONS)))
    return [status for statuses in answers for status in statuses]


def _counts(edge: EdgeProcess) -> tuple[int, int]:
    """`n`, and how many items were taken."""
    with RawClient(edge.web) as client:
        client.send(b"GET /get HTTP/1.1\r\nhost: a\r\n\r\n")
        first, second = client.response().body.split()
    return int(first), int(second)


@pytest.mark.parametrize("workers", [2, 3])
def test_counters_by_compare_and_swap_lose_nothing(tmp_path: Path, edge_state: Path, workers: int) -> None:
    with _edge(tmp_path, edge_state, workers) as edge:
        statuses = asyncio.run(_many(edge.web, "/add", 20))
        assert statuses == [200] * CONNECTIONS * 20
        assert {_counts(edge)[0] for _ in range(10)} == {CONNECTIONS * 20}
        for _ in within(WAIT_S, "the metric of all workers is the sum"):
            if edge.metric("edge_filter_guest_counter_total", "adds") == CONNECTIONS * 20:
                break


def test_every_item_of_a_queue_is_taken_once(tmp_path: Path, edge_state: Path) -> None:
    with _edge(tmp_path, edge_state, 2) as edge:
        statuses = asyncio.run(_many(edge.web, "/put", 10))
        assert statuses == [200] * CONNECTIONS * 10
        for _ in within(WAIT_S, "every item is taken"):
            if _counts(edge)[1] == CONNECTIONS * 10:
                break
        assert {_counts(edge)[1] for _ in range(10)} == {CONNECTIONS * 10}


def test_what_is_shared_outlives_a_worker(tmp_path: Path, edge_state: Path) -> None:
    with _edge(tmp_path, edge_state, 2, restarts=1) as edge:
        assert asyncio.run(_many(edge.web, "/add", 5)) == [200] * CONNECTIONS * 5
        first = edge.state()["workers"][1]["pid"]
        os.kill(first, signal.SIGKILL)
        for _ in within(WAIT_S, "the worker is back"):
            worker = edge.state()["workers"][1]
            if worker["pid"] not in (0, first) and worker["state"] == "serving":
                break
        assert asyncio.run(_many(edge.web, "/put", 5)) == [200] * CONNECTIONS * 5
        for _ in within(WAIT_S, "every item is taken"):
            if _counts(edge)[1] == CONNECTIONS * 5:
                break
        assert {_counts(edge) for _ in range(10)} == {(CONNECTIONS * 5, CONNECTIONS * 5)}


def test_what_is_shared_outlives_a_reload_that_replaces_the_filter(tmp_path: Path, edge_state: Path) -> None:
    with _edge(tmp_path, edge_state, 2) as edge:
        assert asyncio.run(_many(edge.web, "/add", 5)) == [200] * CONNECTIONS * 5
        file = tmp_path / "edge" / "edge.yaml"
        config = json.loads(file.read_text())
        config["filterChains"]["sharing"][0]["config"] = "another"
        file.write_text(json.dumps(config))
        edge.process.send_signal(signal.SIGHUP)
        for _ in within(WAIT_S, "both workers serve the new revision"):
            if [worker["revision"] for worker in edge.state()["workers"]] == [2, 2]:
                break
        assert asyncio.run(_many(edge.web, "/put", 5)) == [200] * CONNECTIONS * 5
        for _ in within(WAIT_S, "every item is taken"):
            if _counts(edge)[1] == CONNECTIONS * 5:
                break
        assert {_counts(edge) for _ in range(10)} == {(CONNECTIONS * 5, CONNECTIONS * 5)}
