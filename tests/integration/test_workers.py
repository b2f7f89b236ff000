"""Several workers: who gets which connection, and what clients notice when one of them dies or hangs."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final

import pytest

from edge.control.keeper import CHECK_PERIOD_S, SILENCE_LIMIT_S
from tests.integration.raw_client import RawClient, request
from tests.integration.running_edge import (
    Configuration,
    EdgeProcess,
    configuration,
    rule,
    running_edge,
    through,
    within,
)
from tests.integration.scripted_upstream import Conversation, Upstream, reply, scripted
from tests.integration.steady_clients import CLIENTS, SteadyClient, answered, steady_clients

TWO: Final = ("--workers", "2")
CONNECTIONS: Final = 1000
WAIT_S: Final = 60.0
PATIENT: Final = {"headTimeout": "300s"}
"""For connections on which nothing is sent."""


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    async def script(it: Conversation) -> None:
        while True:
            await it.request()
            await it.pause()
            await it.send(reply(b"hello"))

    with scripted(script) as upstream:
        yield upstream


def _config(upstream: Upstream, **more: Any) -> Configuration:
    return configuration({"up": [upstream.port]}, [rule("up")], **more)


def _workers(edge: EdgeProcess) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = edge.state()["workers"]
    return found


def _back(edge: EdgeProcess, number: int, before: int) -> None:
    """Until worker `number` serves as another process than `before`."""
    for _ in within(WAIT_S, f"worker {number} is back"):
        worker = _workers(edge)[number]
        if worker["pid"] not in (0, before) and worker["state"] == "serving":
            return


def _connections(edge: EdgeProcess, expected: int) -> list[int]:
    """Of each worker, when all are counted."""
    for _ in within(WAIT_S, f"{expected} connections are counted"):
        found = [worker["connections"] for worker in _workers(edge)]
        if sum(found) == expected:
            return found
    raise AssertionError


def test_each_worker_gets_its_share_of_connections(
    tmp_path: Path, edge_state: Path, upstream: Upstream
) -> None:
    with (
        running_edge(tmp_path / "edge", _config(upstream, limits=PATIENT), edge_state, *TWO) as edge,
        ExitStack() as stack,
    ):
        for _ in range(CONNECTIONS):
            stack.enter_context(socket.create_connection(("127.0.0.1", edge.web), WAIT_S))
        shares = _connections(edge, CONNECTIONS)
        assert all(0.35 <= share / CONNECTIONS <= 0.65 for share in shares), shares


def test_a_killed_worker_takes_only_its_own_exchanges_with_it(
    tmp_path: Path, edge_state: Path, upstream: Upstream
) -> None:
    async def load(edge: EdgeProcess) -> None:
        stop = asyncio.Event()
        clients = steady_clients(edge.web)
        kept, changing = clients[:CLIENTS], clients[CLIENTS:]
        running = [asyncio.create_task(client.run(stop)) for client in kept]
        await answered(kept, 3)
        shares = await asyncio.to_thread(_connections, edge, CLIENTS)
        running += [asyncio.create_task(client.run(stop)) for client in changing]
        await answered(clients, 5)
        first = _workers(edge)[1]["pid"]
        os.kill(first, signal.SIGKILL)
        await asyncio.to_thread(_back, edge, 1, first)
        await answered(clients, 5)
        stop.set()
        await asyncio.gather(*running)
        assert not any(client.refused for client in clients)
        lost = [len(client.failures) + client.closed_idle for client in clients]
        assert sum(lost[:CLIENTS]) == shares[1] and max(lost) <= 1, (shares, lost)

    with running_edge(tmp_path / "edge", _config(upstream), edge_state, *TWO, restarts=1) as edge:
        asyncio.run(load(edge))
        assert "worker 1 ended with signal 9" in edge.errors


def test_a_hung_worker_is_replaced_while_the_other_goes_on_and_nobody_is_refused(
    tmp_path: Path, edge_state: Path, upstream: Upstream
) -> None:
    async def load(edge: EdgeProcess) -> float:
        stop = asyncio.Event()
        kept = [SteadyClient(edge.web, keep=True) for _ in range(CLIENTS)]
        running = [asyncio.create_task(client.run(stop)) for client in kept]
        await answered(kept, 3)
        shares = await asyncio.to_thread(_connections, edge, CLIENTS)
        first = _workers(edge)[1]["pid"]
        os.kill(first, signal.SIGSTOP)
        began = time.monotonic()
        others = [SteadyClient(edge.web, keep=False) for _ in range(CLIENTS)]
        running += [asyncio.create_task(client.run(stop)) for client in others]
        await asyncio.to_thread(_back, edge, 1, first)
        took_s = time.monotonic() - began
        await answered([*kept, *others], 3)
        stop.set()
        await asyncio.gather(*running)
        assert not any(client.refused or client.failures for client in others)
        lost = [len(client.failures) + client.closed_idle for client in kept]
        assert sum(lost) == shares[1] and max(lost) <= 1, (shares, lost)
        return took_s

    with running_edge(tmp_path / "edge", _config(upstream), edge_state, *TWO, restarts=1) as edge:
        took_s = asyncio.run(load(edge))
        assert took_s > SILENCE_LIMIT_S - 2 * CHECK_PERIOD_S - 1
        assert re.search(r"worker 1 \(pid \d+\) is silent; it is killed", edge.errors)


def _pids(edge: EdgeProcess) -> list[int]:
    """Of workers there are now; none when admin is gone, or goes while it answers."""
    try:
        return [worker["pid"] for worker in _workers(edge) if worker["pid"]]
    except (OSError, HTTPException, ValueError):
        return []


def test_workers_that_die_again_and_again_end_the_supervisor_with_the_reason(
    tmp_path: Path, edge_state: Path, upstream: Upstream
) -> None:
    with running_edge(tmp_path / "edge", _config(upstream), edge_state, *TWO) as edge:
        for _ in within(WAIT_S, "the supervisor gives up"):
            if edge.process.poll() is not None:
                break
            for pid in _pids(edge):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        assert edge.process.wait(WAIT_S) == 1
        edge.code = 0  # it has been judged
        assert re.search(r"worker \d died 10 times in a row, last with signal 9", edge.errors)


def test_compiled_code_is_one_memory_for_all_workers(
    tmp_path: Path, edge_state: Path, upstream: Upstream
) -> None:
    config = configuration(
        {"up": [upstream.port]},
        [rule("up", filters=[through("guard")])],
        modules={"key": {"builtin": "api-key"}},
        filterChains={"guard": [{"name": "who", "module": "key", "config": {"keys": {"k": "alice"}}}]},
    )
    with running_edge(tmp_path / "edge", config, edge_state, *TWO) as edge:
        mapped = [_sealed_code(worker["pid"]) for worker in _workers(edge)]
        assert mapped[0] == mapped[1] and len(mapped[0]) >= 3
        for worker in _workers(edge):
            assert "NoNewPrivs:\t1" in Path(f"/proc/{worker['pid']}/status").read_text()
        with RawClient(edge.web) as client:
            client.send(request(b"/", b"x-api-key: k"))
            assert client.response().status == 200


def _sealed_code(pid: int) -> set[str]:
    """Inodes of memfds that a process has mapped to run: guest, bridge, inner host."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {line.split()[4] for line in lines if "/memfd:" in line and "x" in line.split()[1]}
