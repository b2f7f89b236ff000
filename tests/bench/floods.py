"""What another client feels of each flood, and what the flood costs edge: `--rows floods`.

The bystander's requests leave at a fixed rate on connections it has. Its 99th percentile while a
hostile client does its worst is compared with the same beside a client that only burns the time of
the same core, just before and just after: so what the two share a core for cancels out, and what is
left is edge's. Edge has a core; where that is allowed, its upstream and the bystander are scheduled before
all else, and both clients after them. A turn whose two quiet figures differ by more than `STEADY` says
something about the machine only, and is done again.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
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
"""CPU and memory, of what the client spent: its seconds; what it grew by and sent."""
FLOOR_MIB: Final = 2.0
"""What a process may grow by whoever asks, counted for the client: Python takes memory from the kernel by
arenas of 1 MiB, and the C library keeps about as much of what was given back."""
_FIRST: Final = -20
"""Edge's niceness: before what else runs on its core, and no realtime process, which the kernel would stop
for 50 ms of each second that is full."""
_RATE: Final = 200.0
_CONNECTIONS: Final = 4
_POLL_S: Final = 0.1
STEADY: Final = 1.5
_TRIES: Final = 4
"""For each turn that is asked for, the first included."""
_LEAD_S: Final = 2.0
"""Longer than the bystander takes to begin."""
_LINGER_S: Final = 60.0


class _Peak(threading.Thread):
    """The most memory that the group has while it lives."""

    def __init__(self, group: Group) -> None:
        super().__init__(daemon=True)
        self._group = group
        self._over = threading.Event()
        self.first = self.most = self._resident_bytes()

    def run(self) -> None:
        while not self._over.wait(_POLL_S):
            self.most = max(self.most, self._resident_bytes())

    def _resident_bytes(self) -> int:
        """What is resident, pages of several processes more than once: to sum up shares halts edge for ms."""
        statm = (Path(f"/proc/{pid}/statm").read_text() for pid in self._group.members())
        return sum(int(line.split()[1]) for line in statm) * resource.getpagesize()

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
            with suppress(PermissionError):
                for pid in world.members():
                    os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(1))
                for pid in server.group.members():
                    os.setpriority(os.PRIO_PROCESS, pid, _FIRST)
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
    verdict = "met" if data["met"] else f"MISSED: {', '.join(data['missed'])}"
    felt = f"p99 {data['quiet_ms']:6.2f} → {data['flooded_ms']:7.2f} ms, ratio {data['p99_ratio']:5.2f}"
    steady = f"({data['steady']} of {len(data['turns'])} turns steady)"
    memory = f"memory {data['memory_ratio']:.1f} × (+{data['mib']:.1f} MiB, client +{data['client_mib']:.1f})"
    sent = f"{data['rounds']} rounds, {data['bytes'] / 2**20:.1f} MiB sent"
    return [f"{data['name']:<20} {felt} {steady}; {cost}; {memory}; {sent}; {verdict}"]


def is_met(data: dict[str, Any]) -> bool:
    """Every goal, shown by as many steady turns as were asked for."""
    return bool(data["met"])


def _one(name: str, world: World, server: Server, seconds: float, runs: int) -> dict[str, Any]:
    turns: list[dict[str, Any]] = []
    while len(turns) < runs * _TRIES and sum(turn["steady"] for turn in turns) < runs:
        turns.append(_turn(name, world, server, seconds))
    return judged(name, turns, runs)


def judged(name: str, turns: list[dict[str, Any]], runs: int) -> dict[str, Any]:
    """What the turns of one flood say together; `missed`: the goals not reached, or not shown."""
    counted = [turn for turn in turns if turn["steady"]] or turns
    theirs = sum(turn["client_cpu_s"] for turn in turns)
    data: dict[str, Any] = {
        "name": name,
        "quiet_ms": median(turn["quiet_ms"] for turn in counted),
        "flooded_ms": median(turn["flooded_ms"] for turn in counted),
        "p99_ratio": median(turn["flooded_ms"] / turn["quiet_ms"] for turn in counted),
        "steady": sum(turn["steady"] for turn in turns),
        "cpu_ratio": sum(turn["cpu_s"] for turn in turns) / theirs if theirs else None,
        "memory_ratio": max(turn["mib"] / _memory_spent_mib(turn) for turn in turns),
        "mib": max(turn["mib"] for turn in turns),
        "client_mib": max(turn["client_mib"] for turn in turns),
        "rounds": sum(turn["rounds"] for turn in turns),
        "bytes": sum(turn["bytes"] for turn in turns),
        "errors": sum(turn["errors"] for turn in turns),
        "turns": turns,
    }
    reached = {
        "p99": data["p99_ratio"] <= GOAL_P99,
        "CPU": data["cpu_ratio"] is not None and data["cpu_ratio"] < GOAL_COST,
        "memory": data["memory_ratio"] < GOAL_COST,
        "errors": not data["errors"],
        "not steady": data["steady"] >= runs,
    }
    missed = [goal for goal, is_reached in reached.items() if not is_reached]
    return {**data, "missed": missed, "met": not missed}


def _memory_spent_mib(turn: dict[str, Any]) -> float:
    return float(turn["client_mib"] + turn["bytes"] / 2**20 + FLOOR_MIB)


def _turn(name: str, world: World, server: Server, seconds: float) -> dict[str, Any]:
    """Quiet, flooded, quiet."""
    quiet, _, idle, _ = _watched("harmless", name, world, server, seconds)
    flooded, told, spent, mib = _watched("hostile", name, world, server, seconds)
    again, _, _, _ = _watched("harmless", name, world, server, seconds)
    both = sorted((quiet["p99_ms"], again["p99_ms"]))
    return {
        "quiet_ms": sum(both) / 2,
        "steady": both[1] <= both[0] * STEADY,
        "flooded_ms": flooded["p99_ms"],
        "cpu_s": max(0.0, spent - idle),
        "client_cpu_s": told["cpu_s"],
        "mib": mib,
        "client_mib": told["mib"],
        "rounds": told["rounds"],
        "bytes": told["bytes"],
        "errors": quiet["errors"] + flooded["errors"] + again["errors"],
    }


def _watched(
    kind: str, name: str, world: World, server: Server, seconds: float
) -> tuple[Any, Any, float, float]:
    """As `_beside`, with edge's seconds of CPU and the MiB it had more; to look costs the same each time."""
    peak = _Peak(server.group)
    peak.start()
    before = server.group.cpu_s()
    felt, told = _beside(kind, name, world, server.port, seconds)
    return felt, told, server.group.cpu_s() - before, peak.end()


def _beside(kind: str, name: str, world: World, port: int, seconds: float) -> tuple[Any, Any]:
    """What the bystander felt beside a flood's `hostile` or `harmless` client, and what that one said."""
    command = [sys.executable, "-m", "tests.bench.flooder", kind, name, port, seconds + _LEAD_S]
    with _pinned(world, command) as client:
        assert client.stdout is not None
        client.stdout.readline()  # it has begun
        felt = _bystander(world, port, seconds)
        return felt, json.loads(client.communicate(timeout=seconds + _LINGER_S)[0])


def _bystander(world: World, port: int, seconds: float) -> Any:
    arguments = [port, "/", _RATE, seconds, _CONNECTIONS, "tls"]
    with _pinned(world, [sys.executable, "-m", "tests.bench.paced", *arguments]) as client:
        return json.loads(client.communicate(timeout=seconds + _LINGER_S)[0])


def _pinned(world: World, command: list[Any]) -> subprocess.Popen[str]:
    words = ["taskset", "-c", str(world.load_core), *map(str, command)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=TOP)
