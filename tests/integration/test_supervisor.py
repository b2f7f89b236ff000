"""The supervisor and its worker as real processes: start, restart, silence, drain, refusal."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge import model, wire
from edge.control import keeper as keeper_module
from edge.control import process as process_module
from edge.control.config.quantity import HostPort
from edge.control.handover import Revision
from edge.control.keeper import CRASHES_LIMIT, Keeper, State
from edge.control.sockets import CannotBind, bind_all
from tests.integration.edge_process import EdgeProcess, Upstream, plain_config

LIVENESS_S = 30
WEB = 'name: web, address: "127.0.0.1:0"'


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as made:
        yield made


@pytest.fixture
def edge(tmp_path: Path, upstream: Upstream) -> Iterator[EdgeProcess]:
    with EdgeProcess(plain_config(upstream.port), tmp_path) as made:
        yield made


def until(condition: Callable[[], Any], what: str, seconds: float = LIVENESS_S) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen within {seconds} s")


def test_a_request_goes_through_and_its_trace_is_shown(edge: EdgeProcess) -> None:
    assert edge.get("/hello")[0] == 200
    until(lambda: edge.admin("/traces")[1]["traces"], "a trace")
    (trace,) = edge.admin("/traces")[1]["traces"]
    assert [span["kind"] for span in trace["spans"]] == ["server", "client"]
    assert trace["spans"][0]["attributes"]["url.path"] == "/hello"


def test_the_processes_have_given_up_what_they_do_not_need(edge: EdgeProcess) -> None:
    for pid in (edge.pid, edge.worker_pid()):
        status = Path(f"/proc/{pid}/status").read_text()
        assert "NoNewPrivs:\t1" in status


def test_a_worker_sees_only_the_allowed_part_of_the_environment(tmp_path: Path, upstream: Upstream) -> None:
    environment = {"EDGE_TEST_SECRET": "very-secret", "LANG": "C.UTF-8"}
    with EdgeProcess(plain_config(upstream.port), tmp_path, environment) as edge:
        raw = Path(f"/proc/{edge.worker_pid()}/environ").read_bytes()
        names = {entry.split(b"=")[0].decode() for entry in raw.split(b"\0") if entry}
        assert b"very-secret" not in raw
        assert names <= {*process_module.KEPT_VARIABLES, "PYTHONPATH"}
        assert "LANG" in names


def test_a_killed_worker_is_replaced_and_no_connection_is_refused_meanwhile(edge: EdgeProcess) -> None:
    first = edge.worker_pid()
    os.kill(first, signal.SIGKILL)
    waiting = socket.create_connection(("127.0.0.1", edge.port), timeout=LIVENESS_S)
    waiting.sendall(b"GET /after HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
    with waiting, waiting.makefile("rb") as answer:
        assert answer.readline().startswith(b"HTTP/1.1 200")
    second = until(lambda: edge.worker_pid() not in (0, first) and edge.worker_pid(), "a new worker")
    assert second != first
    assert edge.admin("/ready")[1]["workers"][0]["restarts"] == 1


def test_a_silent_worker_is_killed_and_replaced(edge: EdgeProcess) -> None:
    first = edge.worker_pid()
    os.kill(first, signal.SIGSTOP)
    began = time.monotonic()
    until(lambda: edge.worker_pid() not in (0, first), "a new worker")
    assert time.monotonic() - began > keeper_module.SILENCE_LIMIT_S - 2 * keeper_module.CHECK_PERIOD_S - 1
    until(lambda: edge.admin("/ready")[0] == 200, "readiness")
    assert edge.get("/again")[0] == 200


def test_sigterm_lets_a_request_under_way_finish_and_accepts_no_other(
    edge: EdgeProcess, upstream: Upstream
) -> None:
    upstream.hold.clear()
    connection = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=LIVENESS_S)
    connection.request("GET", "/slow")
    assert upstream.asked.wait(LIVENESS_S)
    os.kill(edge.pid, signal.SIGTERM)
    until(lambda: not edge.accepts(), "the end of accepting")
    upstream.hold.set()
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"hello\n")
    assert edge.wait() == 0


def test_a_second_signal_ends_at_once(edge: EdgeProcess, upstream: Upstream) -> None:
    upstream.hold.clear()
    connection = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=LIVENESS_S)
    connection.request("GET", "/slow")
    assert upstream.asked.wait(LIVENESS_S)
    os.kill(edge.pid, signal.SIGINT)
    until(lambda: "draining" in edge.said(), "the drain")
    os.kill(edge.pid, signal.SIGINT)
    began = time.monotonic()
    assert edge.wait() == 130
    assert time.monotonic() - began < 8
    upstream.hold.set()
    connection.close()


def test_no_worker_outlives_its_supervisor(edge: EdgeProcess) -> None:
    worker = edge.worker_pid()
    os.kill(edge.pid, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{worker}").exists(), "the end of the worker")


def test_a_port_that_is_taken_is_named_and_nothing_is_started(edge: EdgeProcess, tmp_path: Path) -> None:
    config = plain_config(1).replace(WEB, f'name: web, address: "127.0.0.1:{edge.port}"')
    path = tmp_path / "second.yaml"
    path.write_text(config)
    done = subprocess.run(
        [sys.executable, "-m", "edge", "run", "-c", str(path), "--state-dir", str(tmp_path / "other")],
        capture_output=True,
        text=True,
        timeout=LIVENESS_S,
        check=False,
    )
    assert done.returncode == 1
    assert f"listener web: cannot bind 127.0.0.1:{edge.port}: address already in use" in done.stderr


def test_binding_is_all_or_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(CannotBind, match="listener b"):
            bind_all([("a", HostPort("127.0.0.1", 0)), ("b", HostPort("127.0.0.1", port))])
        assert len(os.listdir("/proc/self/fd")) == before


def test_a_worker_that_never_lives_ends_the_supervisor_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process_module.sys, "executable", "/bin/false")
    monkeypatch.setattr(keeper_module, "BACKOFF_FIRST_S", 0.001)
    monkeypatch.setattr(keeper_module, "BACKOFF_MOST_S", 0.002)
    empty = Revision(model.Model(revision=1, listeners=[], routes=[], clusters=[]), [])

    async def main() -> tuple[str | None, int, State]:
        keeper = Keeper(0, empty, lambda message: None)
        keeper.start()
        async with asyncio.timeout(LIVENESS_S):
            return await keeper.ended, keeper.restarts, keeper.state

    reason, restarts, state = asyncio.run(main())
    assert reason is not None and f"died {CRASHES_LIMIT} times in a row" in reason
    assert restarts == CRASHES_LIMIT - 1
    assert state is State.ENDED


def test_a_worker_that_refuses_the_revision_ends_the_supervisor_with_the_reason() -> None:
    lacking = model.Rule(name="r", matches=[model.Match()], cluster="nowhere")
    broken = model.Model(
        revision=1,
        listeners=[model.Listener(name="w", host="127.0.0.1", port=1)],
        routes=[model.Route(name="r", listeners=["w"], hostnames=[], rules=[lacking])],
        clusters=[],
    )

    async def main() -> str | None:
        messages: list[wire.Up] = []
        revision = Revision(broken, [], bind_all([("w", HostPort("127.0.0.1", 0))]))
        keeper = Keeper(0, revision, messages.append)
        keeper.start()
        async with asyncio.timeout(LIVENESS_S):
            return await keeper.ended

    reason = asyncio.run(main())
    assert reason is not None and "refused the configuration" in reason


def test_json_of_admin_never_holds_a_secret(tmp_path: Path, upstream: Upstream) -> None:
    config = plain_config(upstream.port) + (
        "modules: {k: {builtin: api-key}}\n"
        "filterChains: {c: [{name: a, module: k, config: {keys: {very-secret: x}}, env: {A: very-secret}}]}\n"
    )
    with EdgeProcess(config, tmp_path) as edge:
        status, shown = edge.admin("/config")
    assert status == 200
    assert "very-secret" not in json.dumps(shown)
