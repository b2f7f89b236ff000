"""Carries a row out: servers started, alternating runs, figures."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from tests.bench import alone
from tests.bench.drive import drive
from tests.bench.group import Group, NotStarted
from tests.bench.peers import Peer, Server
from tests.bench.rows import Figure, Row
from tests.bench.world import World

_WARM_S = 1.5


class Plan:
    """How much is done: seconds of a run, number of runs, requests of the memory row."""

    def __init__(self, seconds: float, runs: int, memory_requests: int) -> None:
        self.seconds = seconds
        self.runs = runs
        self.memory_requests = memory_requests


class Measured:
    """The figures of one peer in one row. `errors` must be 0."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.values: list[float] = []
        self.errors = 0
        self.requests = 0
        self.rates: list[float] = []
        self.notes: dict[str, float] = {}
        self.failure = ""

    @property
    def figure(self) -> float | None:
        return median(self.values) if self.values and not self.failure else None


def measure(row: Row, peers: Sequence[Peer], world: World, plan: Plan) -> list[Measured]:
    """All peers of a row: started together, loaded in turn, ended."""
    results = {peer.name: Measured(peer.name) for peer in peers}
    if row.alone:
        for peer in peers:
            _alone(row, peer, world, plan, results[peer.name])
        return list(results.values())
    servers: dict[str, list[Server]] = {}
    try:
        for peer in peers:
            _start(row, peer, world, results[peer.name], servers.setdefault(peer.name, []))
        ready = [result for result in results.values() if not result.failure]
        _METHODS[row.figure](row, ready, servers, world, plan)
    finally:
        for started in servers.values():
            for server in started:
                server.group.end()
    return list(results.values())


def _alone(row: Row, peer: Peer, world: World, plan: Plan, result: Measured) -> None:
    folder = world.unused(f"{row.name}-{peer.name}")
    carry_out = alone.reloads if row.figure is Figure.RELOAD else alone.starts
    try:
        for figure, notes in carry_out(row.setting, peer, world, folder, plan.runs):
            result.values.append(figure)
            for name, value in notes.items():
                result.notes[name] = max(value, result.notes.get(name, 0.0))
    except NotStarted as error:
        result.failure = str(error)


def _start(row: Row, peer: Peer, world: World, result: Measured, started: list[Server]) -> None:
    settings = [row.setting] if row.base is None else [row.base, row.setting]
    for index, setting in enumerate(settings):
        folder = world.unused(f"{row.name}-{peer.name}-{index}")
        try:
            server = peer.serve(world, setting, folder)
            started.append(server)
            result.errors += drive(row.load, server.port, _WARM_S, world.load_core, folder).errors
        except (NotStarted, subprocess.SubprocessError) as error:
            result.failure = str(error)
            return


def _cpu_us(row: Row, server: Server, world: World, plan: Plan, result: Measured) -> float:
    before = server.group.cpu_s()
    done = drive(row.load, server.port, plan.seconds, world.load_core, world.folder)
    spent = server.group.cpu_s() - before
    result.errors += done.errors
    result.requests += done.requests
    result.rates.append(done.requests / done.seconds)
    return spent / max(1, done.requests) * 1e6


def _cpu(
    row: Row, results: list[Measured], servers: dict[str, list[Server]], world: World, plan: Plan
) -> None:
    for turn in range(plan.runs):
        for result in _in_turn(results, turn):
            result.values.append(_cpu_us(row, servers[result.peer][0], world, plan, result))


def _in_turn(results: list[Measured], turn: int) -> list[Measured]:
    """Who comes first changes with every turn."""
    return results[::-1] if turn % 2 else results


def _added(
    row: Row, results: list[Measured], servers: dict[str, list[Server]], world: World, plan: Plan
) -> None:
    """Three filters are added, so that their cost stands out of the noise; a third is one's."""
    assert row.base is not None
    more = len(row.setting.filters) - len(row.base.filters) or 1
    for turn in range(plan.runs):
        for result in _in_turn(results, turn):
            base, full = (_cpu_us(row, server, world, plan, result) for server in servers[result.peer])
            result.values.append((full - base) / more)


def _memory(
    row: Row, results: list[Measured], servers: dict[str, list[Server]], world: World, plan: Plan
) -> None:
    """Also noted: after a tenth of the requests, to see whether it is flat."""
    for result in results:
        group = servers[result.peer][0].group
        while result.requests < plan.memory_requests:
            _cpu_us(row, servers[result.peer][0], world, plan, result)
            result.notes.setdefault("mib_first", _mib(row, group))
        result.values.append(_mib(row, group))


def _mib(row: Row, group: Group) -> float:
    worker = row.figure is Figure.WORKER_MEMORY
    return (group.busiest_memory_bytes() if worker else group.memory_bytes()) / 2**20


def _latency(
    row: Row, results: list[Measured], servers: dict[str, list[Server]], world: World, plan: Plan
) -> None:
    """Half of what the first peer (Envoy) reaches in a closed loop, in an open loop for all."""
    first = servers[results[0].peer][0]
    peak = drive(row.load, first.port, plan.seconds, world.load_core, world.folder)
    rate = peak.requests / peak.seconds / 2
    for turn in range(plan.runs):
        for result in _in_turn(results, turn):
            port = servers[result.peer][0].port
            arguments = [port, row.load.path, round(rate, 1), plan.seconds, row.load.connections]
            command = ["taskset", "-c", str(world.load_core), sys.executable, "-m", "tests.bench.paced"]
            done = subprocess.run(
                [*command, *map(str, arguments)],
                capture_output=True,
                text=True,
                timeout=plan.seconds + 60,
                check=True,
                cwd=Path(__file__).parents[2],
            )
            line = json.loads(done.stdout)
            result.errors += line["errors"]
            result.requests += line["requests"]
            result.rates.append(rate)
            result.values.append(line["p99_ms"])
            result.notes["p50_ms"] = line["p50_ms"]


_METHODS: dict[Figure, Callable[[Row, list[Measured], dict[str, list[Server]], World, Plan], None]] = {
    Figure.CPU: _cpu,
    Figure.ADDED: _added,
    Figure.MEMORY: _memory,
    Figure.WORKER_MEMORY: _memory,
    Figure.LATENCY: _latency,
}
