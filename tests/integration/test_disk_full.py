"""F17: no room left for logs or modules. Requests go on, what is lost is counted, and it is said why."""

from __future__ import annotations

import json
import re
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.edge_process import Upstream
from tests.integration.raw_client import RawClient, request
from tests.integration.reloading import Reloading
from tests.integration.running_edge import (
    Configuration,
    EdgeProcess,
    configuration,
    rule,
    running_edge,
    through,
    within,
)
from tests.integration.small_disk import SmallDisk, can_mount, small_disk

WAIT_S = 60.0
ROUNDS = 20
NO_SPACE = "no space left on device"
TOO_LARGE = "file too large"
_SAID = re.compile(r"access log /[^\"\n]*")


@pytest.fixture(scope="module")
def upstream() -> Iterator[int]:
    with Upstream() as made:
        yield made.port


def logging_to(target: Path | str, upstream: int, filtered: bool = False) -> Configuration:
    filters = [through("chain")] if filtered else []
    more: dict[str, Any] = {}
    if filtered:
        more["modules"] = {"headers": {"builtin": "header-transform"}}
        more["filterChains"] = {
            "chain": [
                {
                    "name": "stamp",
                    "module": "headers",
                    "config": {"response": {"set": {"x-filtered": "yes"}}},
                }
            ]
        }
    return configuration(
        {"up": [upstream]},
        [rule("up", filters=filters)],
        telemetry={"accessLog": {"path": str(target)}},
        **more,
    )


def ask(edge: EdgeProcess, times: int) -> list[bytes]:
    """As many requests, each answered as ever; values of `x-filtered`."""
    seen = []
    with RawClient(edge.web) as client:
        for _ in range(times):
            response = client.exchange(request())
            assert (response.status, response.body) == (200, b"hello\n")
            seen += response.values(b"x-filtered")
    return seen


def lost(edge: EdgeProcess) -> float:
    return edge.metric("edge_log_dropped_total", 'log="access"')


def until_lost(edge: EdgeProcess, lines: int) -> None:
    for _ in within(WAIT_S, f"{lines} lines are counted as lost"):
        if lost(edge) == lines:
            return


def complaints(edge: EdgeProcess) -> list[str]:
    """What edge's own log says of the access log."""
    return _SAID.findall(edge.errors)


def until_complaints(edge: EdgeProcess, number: int) -> list[str]:
    for _ in within(WAIT_S, f"{number} lines about the access log"):
        if len(complaints(edge)) >= number:
            break
    return complaints(edge)


def whole_lines(path: Path) -> int:
    """How many there are; each of them is one line and valid, whatever was cut off between them."""
    found = 0
    for line in path.read_bytes().splitlines():
        try:
            json.loads(line)
        except ValueError:
            continue  # what fitted of a line when the disk was full
        found += 1
    return found


def test_f17_an_access_log_that_takes_nothing_costs_no_request_and_is_said(
    upstream: int, tmp_path: Path, edge_state: Path
) -> None:
    with running_edge(tmp_path / "edge", logging_to("/dev/full", upstream), edge_state) as edge:
        for _ in range(3):
            ask(edge, ROUNDS)
        until_lost(edge, 3 * ROUNDS)
        said, *_ = until_complaints(edge, 1)
        assert said.startswith("access log /dev/full: ") and said.endswith(f"lines lost so far: {NO_SPACE}")
        line = json.loads(next(line for line in edge.errors.splitlines() if said in line))
        assert (line["process"], line["logger"]) == ("worker-0", "edge.worker"), (
            "a worker's line, bounded in rate"
        )


def test_f17_an_access_log_goes_on_where_it_was_cut_when_there_is_room_again(
    upstream: int, tmp_path: Path, edge_state: Path
) -> None:
    """With a limit of the kernel in place of a disk, so that it runs on every machine."""
    log = tmp_path / "edge" / "access.log"
    with running_edge(tmp_path / "edge", logging_to(log, upstream), edge_state) as edge:
        ask(edge, ROUNDS)
        for _ in within(WAIT_S, "the first lines are there"):
            if log.exists() and whole_lines(log) == ROUNDS:
                break
        worker = edge.worker_pid
        _, hard = resource.prlimit(worker, resource.RLIMIT_FSIZE)
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (log.stat().st_size + 50, hard))
        ask(edge, ROUNDS)
        until_lost(edge, ROUNDS)
        assert complaints_end(edge, TOO_LARGE)
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (hard, hard))
        ask(edge, ROUNDS)
        assert until_complaints(edge, 2)[1] == f"access log {log} takes lines again; {ROUNDS} were lost"
        for _ in within(WAIT_S, "every line since is there"):
            if whole_lines(log) == 2 * ROUNDS:
                break


def complaints_end(edge: EdgeProcess, how: str) -> bool:
    return until_complaints(edge, 1)[0].endswith(how)


def disk_tests(full: SmallDisk, edge: EdgeProcess, upstream: int) -> None:
    """From a disk with room over a full one to one with room again."""
    log = full.inside / "access.log"
    reloading = Reloading(edge)
    plain, filtered = logging_to(log, upstream), logging_to(log, upstream, filtered=True)
    ask(edge, ROUNDS)
    for _ in within(WAIT_S, "the first lines are there"):
        if whole_lines(full.outside / "access.log") == ROUNDS:
            break
    full.fill()
    assert ask(edge, ROUNDS) == []
    for _ in within(WAIT_S, "a full disk is said"):
        if lost(edge) > 0 and complaints(edge):
            break
    assert complaints(edge)[0].endswith(NO_SPACE)
    # The first filter ever needs a key in STATE_DIR, and there is no room for one.
    reloading.push(json.dumps(filtered))
    assert reloading.attempts == {"failed": 1}
    assert f"reload: modules cannot be kept in {full.inside}/state: " in edge.errors
    assert NO_SPACE in edge.errors.partition("modules cannot be kept in")[2].partition("\n")[0]
    assert ask(edge, ROUNDS) == []
    full.free()
    reloading.apply(filtered)
    assert ask(edge, ROUNDS) == [b"yes"] * ROUNDS
    for _ in within(WAIT_S, "the log goes on"):
        if whole_lines(full.outside / "access.log") >= 2 * ROUNDS:
            break
    for _ in within(WAIT_S, "that is said"):
        if "takes lines again" in complaints(edge)[-1]:
            break
    # Everything is compiled by now, so a disk that is full again hinders nobody.
    full.fill()
    reloading.apply(plain)
    reloading.apply(filtered)
    assert ask(edge, ROUNDS) == [b"yes"] * ROUNDS


if can_mount():

    def test_f17_a_full_disk_costs_no_request_and_a_reload_that_needs_it_says_so(
        upstream: int, tmp_path: Path
    ) -> None:
        (tmp_path / "small").mkdir()
        with small_disk(tmp_path / "small", "16m") as disk:
            config = logging_to(disk.inside / "access.log", upstream)
            state = disk.inside / "state"
            with running_edge(tmp_path / "edge", config, state, launcher=disk.launcher) as edge:
                disk_tests(disk, edge, upstream)
