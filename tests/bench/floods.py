"""What another client feels of each flood, and what the flood costs edge: `--rows floods`.

The bystander's requests leave at a fixed rate on connections it has; its 99th percentile while a
hostile client does its worst is compared with the one just before.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, Final

from tests.bench.flooder import ATTACKS
from tests.bench.group import Group
from tests.bench.peers import PEERS, TOP, Server
from tests.bench.rows import H3
from tests.bench.world import World

GOAL_P99: Final = 2.0
GOAL_COST: Final = 20.0
_RATE: Final = 200.0
_CONNECTIONS: Final = 4
_POLL_S: Final = 0.1
_LEAD_S: Final = 1.0
"""About as long the hostile client takes to begin."""
_LINGER_S: Final = 60.0


class _Peak(threading.Thread):
    """The most memory that the group has while it lives."""

    def __init__(self, group: Group) -> None:
        super().__init__(daemon=True)
        self._group = group
        self._over = threading.Event()
        self.first = self.most = group.memory_bytes()

    def run(self) -> None:
        while not self._over.wait(_POLL_S):
            self.most = max(self.most, self._group.memory_bytes())

    def end(self) -> float:
        """MiB more than at the start."""
        self._over.set()
        self.join()
        return (self.most - self.first) / 2**20


def measure(names: list[str], folder: Path, seconds: float, runs: int) -> Iterator[dict[str, Any]]:
    """Flood by flood against one edge; `names` empty = all."""
    world = World(folder)
    try:
        server = PEERS["edge"].serve(world, H3, world.unused("floods"))
        try:
            _bystander(world, server.port, seconds)
            for name in names or ATTACKS:
                yield _one(name, world, server, seconds, runs)
        finally:
            server.group.end()
    finally:
        world.end()


def lines(data: dict[str, Any]) -> list[str]:
    """One flood as text."""
    cost = f"CPU {data['cpu_ratio']:.1f} × the client's" if data["cpu_ratio"] is not None else "CPU –"
    verdict = "met" if data["met"] else "MISSED"
    felt = f"p99 {data['quiet_ms']:6.2f} → {data['flooded_ms']:7.2f} ms, ratio {data['p99_ratio']:5.2f}"
    memory = f"+{data['mib']:.1f} MiB (client {data['client_mib']:.0f})"
    sent = f"{data['rounds']} rounds, {data['bytes'] / 2**20:.1f} MiB sent"
    return [f"{data['name']:<20} {felt}; {cost}; {memory}; {sent}; {verdict}"]


def _one(name: str, world: World, server: Server, seconds: float, runs: int) -> dict[str, Any]:
    turns = [_turn(name, world, server, seconds) for _ in range(runs)]
    quiet, flooded = (median(turn[key] for turn in turns) for key in ("quiet_ms", "flooded_ms"))
    theirs = sum(turn["client_cpu_s"] for turn in turns)
    cost = sum(turn["cpu_s"] for turn in turns) / theirs if theirs else None
    errors = sum(turn["errors"] for turn in turns)
    return {
        "name": name,
        "quiet_ms": quiet,
        "flooded_ms": flooded,
        "p99_ratio": flooded / quiet,
        "cpu_ratio": cost,
        "mib": max(turn["mib"] for turn in turns),
        "client_mib": max(turn["client_mib"] for turn in turns),
        "rounds": sum(turn["rounds"] for turn in turns),
        "bytes": sum(turn["bytes"] for turn in turns),
        "errors": errors,
        "turns": turns,
        "met": flooded / quiet <= GOAL_P99 and (cost or 0.0) < GOAL_COST and not errors,
    }


def _turn(name: str, world: World, server: Server, seconds: float) -> dict[str, Any]:
    """Once quiet, once flooded."""
    group, port = server.group, server.port
    before = group.cpu_s()
    quiet = _bystander(world, port, seconds)
    idle = group.cpu_s() - before
    peak = _Peak(group)
    peak.start()
    before = group.cpu_s()
    command = [sys.executable, "-m", "tests.bench.flooder", name, port, seconds + _LEAD_S]
    with _pinned(world, command) as hostile:
        flooded = _bystander(world, port, seconds)
        told = json.loads(hostile.communicate(timeout=seconds + _LINGER_S)[0])
    return {
        "quiet_ms": quiet["p99_ms"],
        "flooded_ms": flooded["p99_ms"],
        "cpu_s": max(0.0, group.cpu_s() - before - idle),
        "client_cpu_s": told["cpu_s"],
        "mib": peak.end(),
        "client_mib": told["mib"],
        "rounds": told["rounds"],
        "bytes": told["bytes"],
        "errors": quiet["errors"] + flooded["errors"],
    }


def _bystander(world: World, port: int, seconds: float) -> Any:
    arguments = [port, "/", _RATE, seconds, _CONNECTIONS, "tls"]
    with _pinned(world, [sys.executable, "-m", "tests.bench.paced", *arguments]) as client:
        return json.loads(client.communicate(timeout=seconds + _LINGER_S)[0])


def _pinned(world: World, command: list[Any]) -> subprocess.Popen[str]:
    words = ["taskset", "-c", str(world.load_core), *map(str, command)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=TOP)
