"""A worker that is killed, and an end under load: what clients notice of it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.raw_client import RawClient, request
from tests.integration.running_edge import (
    END_S,
    Configuration,
    EdgeProcess,
    configuration,
    rule,
    running_edge,
    through,
    within,
)
from tests.integration.scripted_upstream import Conversation, Upstream, reply, scripted
from tests.integration.steady_clients import SteadyClient, answered, steady_clients
from tests.tools import free_port

GRACE_S = 5
RESTART_S = 20.0
"""Twenty times what is promised: the machine may be busy."""
KEY = b"x-api-key: k"


@pytest.fixture
def released() -> threading.Event:
    """Until it is set, /slow gets no answer."""
    return threading.Event()


@pytest.fixture
def upstream(released: threading.Event) -> Iterator[Upstream]:
    async def script(it: Conversation) -> None:
        while True:
            head = await it.request()
            upstream.requests.append(head)
            await it.pause()
            while head.target == b"/slow" and not released.is_set():
                await it.pause()
            await it.send(reply(b"hello"))

    with scripted(script) as upstream:
        yield upstream


def _config(upstream: int) -> Configuration:
    """With a filter and a collector that is not there."""
    key = {"name": "who", "module": "key", "config": {"keys": {"k": "alice"}}}
    return configuration(
        {"up": [upstream]},
        [rule("up", filters=[through("guard")])],
        modules={"key": {"builtin": "api-key"}},
        filterChains={"guard": [key]},
        telemetry={
            "tracing": {
                "otlp": {"endpoint": f"http://127.0.0.1:{free_port()}"},
                "sampler": {"ratio": 1.0},
            }
        },
    )


def test_a_killed_worker_costs_only_what_was_in_flight(
    tmp_path: Path, edge_state: Path, upstream: Upstream
) -> None:
    async def load(edge: EdgeProcess) -> tuple[list[SteadyClient], float]:
        clients, stop = steady_clients(edge.web, KEY), asyncio.Event()
        running = [asyncio.create_task(client.run(stop)) for client in clients]
        await answered(clients, 5)
        first = edge.worker_pid
        began = time.monotonic()
        os.kill(first, signal.SIGKILL)
        await answered(clients, 5)
        took_s = time.monotonic() - began
        stop.set()
        await asyncio.gather(*running)
        assert edge.worker_pid not in (0, first)
        return clients, took_s

    with running_edge(tmp_path / "edge", _config(upstream.port), edge_state, restarts=1) as edge:
        clients, took_s = asyncio.run(load(edge))
        assert took_s < RESTART_S
        assert not any(client.refused for client in clients)
        assert max(len(client.failures) + client.closed_idle for client in clients) <= 1
        assert "signal 9" in edge.errors


def test_an_end_under_load_fails_no_request(
    tmp_path: Path, edge_state: Path, upstream: Upstream, released: threading.Event
) -> None:
    async def load(edge: EdgeProcess) -> tuple[list[SteadyClient], bytes]:
        clients, stop = steady_clients(edge.web, KEY), asyncio.Event()
        running = [asyncio.create_task(client.run(stop)) for client in clients]
        await answered(clients, 5)
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.web)
        writer.write(request(b"/slow", KEY))
        while not any(each.target == b"/slow" for each in upstream.requests):
            await asyncio.sleep(0.01)
        edge.process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(asyncio.gather(*running), 60)
        released.set()
        slow = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
        writer.close()
        return clients, slow

    with running_edge(
        tmp_path / "edge", _config(upstream.port), edge_state, "--grace", f"{GRACE_S}s"
    ) as edge:
        clients, slow = asyncio.run(load(edge))
        edge.code = edge.process.wait(END_S)
        assert all(client.refused for client in clients)
        assert [failure for client in clients for failure in client.failures] == []
        assert slow.startswith(b"HTTP/1.1 200")


def test_a_request_longer_than_the_grace_is_cut_and_the_end_comes(
    tmp_path: Path, edge_state: Path, upstream: Upstream
) -> None:
    with (
        running_edge(tmp_path / "edge", _config(upstream.port), edge_state, "--grace", "300ms") as edge,
        RawClient(edge.web) as client,
    ):
        client.send(request(b"/slow", KEY))
        for _ in within(30, "upstream has the request"):
            if upstream.requests:
                break
        began = time.monotonic()
        assert edge.end() == 0
        # The grace, the second until a worker is killed, and the last attempt at a dead collector.
        assert time.monotonic() - began < 10, "the default grace"
        assert client.rest() == b""


@pytest.mark.parametrize("workers", ["-1", "129"])
def test_a_number_of_workers_out_of_range_is_refused(tmp_path: Path, edge_state: Path, workers: str) -> None:
    edge = EdgeProcess(tmp_path / "edge", _config(1), edge_state, "--workers", workers)
    assert edge.process.wait(30) == 2
    assert f"--workers {workers}: from 1 to 128" in edge.errors


@pytest.mark.parametrize("place", ["listener", "admin"])
def test_a_port_in_use_is_named(tmp_path: Path, edge_state: Path, place: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        config = _config(1)
        holder = config["admin"] if place == "admin" else config["listeners"][0]
        holder["address"] = address
        edge = EdgeProcess(tmp_path / "edge", config, edge_state)
        assert edge.process.wait(30) == 1
    assert f"cannot bind {address}: address already in use" in edge.errors
    assert "Traceback" not in edge.errors


def test_a_wrong_configuration_is_exit_code_3_and_serves_nothing(tmp_path: Path, edge_state: Path) -> None:
    config = _config(1)
    config["routes"][0]["rules"][0]["backendRefs"][0]["name"] = "upp"
    edge = EdgeProcess(tmp_path / "edge", config, edge_state)
    assert edge.process.wait(30) == 3
    assert "did you mean up?" in edge.errors
