"""SIGUSR1: access logs are opened anew, in every worker, and no line is lost."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from pathlib import Path

from tests.integration.edge_process import Upstream
from tests.integration.raw_client import RawClient, request
from tests.integration.running_edge import configuration, rule, running_edge, within

WAIT_S = 60.0
CLIENTS = 16


def paths(*files: Path) -> list[str]:
    """What was asked for, by the lines of the files, in order of time."""
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return [line["path"] for line in lines]


def opened(pid: int) -> set[str]:
    """Files that a process holds open."""
    found = set()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since
            found.add(os.readlink(each))
    return found


def test_a_log_that_was_moved_away_is_followed_by_a_new_one_in_every_worker(
    tmp_path: Path, edge_state: Path
) -> None:
    with Upstream() as upstream:
        config = configuration({"up": [upstream.port]}, [rule("up")])
        log = tmp_path / "edge" / "access.log"
        config["telemetry"] = {"accessLog": {"path": str(log)}}
        with running_edge(tmp_path / "edge", config, edge_state, "--workers", "2") as edge:

            def ask(path: str) -> None:
                for _ in range(CLIENTS):  # so many that both workers get some
                    with RawClient(edge.web) as client:
                        assert client.exchange(request(path.encode())).status == 200

            ask("/before")
            moved = log.rename(log.with_suffix(".1"))
            ask("/between")
            edge.process.send_signal(signal.SIGUSR1)
            workers = [each["pid"] for each in edge.state()["workers"]]
            for _ in within(WAIT_S, "both workers write to a new file"):
                if all(str(log) in opened(pid) for pid in workers):
                    break
            ask("/after")
            for _ in within(WAIT_S, "every line is there"):
                if len(paths(log)) == CLIENTS:
                    break
            assert sorted(paths(moved)) == sorted(["/before"] * CLIENTS + ["/between"] * CLIENTS)
            assert paths(log) == ["/after"] * CLIENTS


def test_a_log_that_cannot_be_opened_anew_goes_on_as_it_was_and_that_is_said(
    tmp_path: Path, edge_state: Path
) -> None:
    (tmp_path / "logs").mkdir()
    with Upstream() as upstream:
        config = configuration({"up": [upstream.port]}, [rule("up")])
        log = tmp_path / "logs" / "access.log"
        config["telemetry"] = {"accessLog": {"path": str(log)}}
        with running_edge(tmp_path / "edge", config, edge_state) as edge, RawClient(edge.web) as client:
            (tmp_path / "logs").rename(tmp_path / "gone")
            edge.process.send_signal(signal.SIGUSR1)
            for _ in within(WAIT_S, "it is said"):
                if f"access log {log} is not opened anew: no such file or directory" in edge.errors:
                    break
            assert client.exchange(request(b"/on")).status == 200
            for _ in within(WAIT_S, "the old file goes on"):
                if paths(tmp_path / "gone" / "access.log") == ["/on"]:
                    break
