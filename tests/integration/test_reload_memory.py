"""Many reloads with many modules: memory, descriptors and instances stay where they are.

EDGE_TEST_LONG in the environment = 200 reloads.
"""

from __future__ import annotations

import os
from pathlib import Path

from edge import builtin
from tests.integration.raw_client import RawClient, request
from tests.integration.reloading import Reloading, stamping
from tests.integration.revision_load import OriginThread
from tests.integration.running_edge import (
    Configuration,
    EdgeProcess,
    configuration,
    rule,
    running_edge,
    through,
    within,
)

MODULES = 20
RELOADS = 200 if "EDGE_TEST_LONG" in os.environ else 80
WINDOW = 15
"""Reloads that are judged together, by the least of what they show. What is on its way at the time (a
second revision that still drains, a descriptor not closed yet) comes and goes; what is lost never goes."""
WARM = 10
"""Reloads until every pool of memory has its size."""
LEAK_BYTES = 40 << 10
"""A reload. About 11 KiB are seen; a revision of these filters holds megabytes."""
_HELD = ("RssAnon", "RssShmem", "VmSwap")
"""Pages of files come and go as the machine likes."""
WAIT_S = 60.0


def _modules(folder: Path) -> dict[str, dict[str, str]]:
    """Copies of a filter that differ in a custom section, so that each is a module of its own."""
    wasm = builtin.path("header-transform").read_bytes()
    made = {}
    for number in range(MODULES):
        name = f"module-{number}"
        section = bytes([len(name)]) + name.encode()
        (folder / f"{name}.wasm").write_bytes(wasm + bytes([0, len(section)]) + section)
        made[name] = {"url": f"{name}.wasm"}
    return made


def _configuration(folder: Path, origin: int, number: int) -> Configuration:
    """Every filter of revision `number` has another configuration, so none can keep its instance."""
    chain = [
        {
            "name": name,
            "module": name,
            "vmId": name,
            "config": {"response": {"set": {f"x-{name}": str(number)}}},
        }
        for name in _modules(folder)
    ]
    return configuration(
        {"up": [origin]},
        [rule("up", filters=[*stamping(number), through("all")])],
        modules=_modules(folder),
        filterChains={"all": chain},
    )


class _Measured:
    """Of the supervisor and its worker."""

    def __init__(self, pids: tuple[int, int]) -> None:
        self.pids = pids

    def held(self) -> list[int]:
        return [_held_bytes(pid) for pid in self.pids]

    def descriptors(self) -> list[int]:
        return [len(os.listdir(f"/proc/{pid}/fd")) for pid in self.pids]


def _held_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(_HELD))


def _settle(edge: EdgeProcess) -> None:
    for _ in within(WAIT_S, "instances of old revisions are gone"):
        # One that serves and one that is started, of each filter.
        if edge.metric("edge_filter_instances") == 2 * MODULES:
            return


def _check_flat(who: str, what: str, shown: list[int], growth: int) -> None:
    early, late = min(shown[WARM : WARM + WINDOW]), min(shown[-WINDOW:])
    assert late - early <= growth, f"{who}: {what} from {early} to {late}: {shown}"


def test_reloads_with_twenty_modules_leave_memory_flat(tmp_path: Path, edge_state: Path) -> None:
    folder = tmp_path / "edge"
    folder.mkdir()
    with (
        OriginThread() as origin,
        running_edge(folder, _configuration(folder, origin.port, 1), edge_state) as edge,
    ):
        reloading = Reloading(edge)
        measured = _Measured((edge.process.pid, edge.worker_pid))
        held: list[list[int]] = []
        descriptors: list[list[int]] = []
        with RawClient(edge.web) as client:
            for number in range(2, RELOADS + 2):
                reloading.apply(_configuration(folder, origin.port, number))
                answer = client.exchange(request())
                assert answer.values(b"x-answered") == [str(number).encode()]
                assert answer.values(b"x-module-19") == [str(number).encode()]
                if number in (WARM + WINDOW, RELOADS + 1):
                    _settle(edge)
                held.append(measured.held())
                descriptors.append(measured.descriptors())
        for which, who in enumerate(("supervisor", "worker")):
            limit = LEAK_BYTES * (RELOADS - WARM - WINDOW)
            _check_flat(who, "bytes", [each[which] for each in held], limit)
            _check_flat(who, "descriptors", [each[which] for each in descriptors], 0)
