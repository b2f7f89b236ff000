"""Reloads of a file with many routes, which is drafted in pieces by a process that is kept."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.edge_process import EdgeProcess
from tests.integration.raw_client import RawClient, request
from tests.integration.reloading import Reloading
from tests.integration.running_edge import running_edge, within

ROUTES = 2000
WAIT_S = 60.0
HEAD = """\
version: 1
admin: {address: "127.0.0.1:0"}
listeners: [{name: web, address: "127.0.0.1:0"}]
routes:
"""
ROUTE = """\
- name: route-%d
  parentRefs: [{name: web}]
  rules:
    - matches: [{path: {type: PathPrefix, value: /route-%d}}]
      filters: [{type: DirectResponse, directResponse: {statusCode: 200, body: "%s"}}]
"""


def file(**bodies: str) -> str:
    """`bodies` by the number of their route, as `r7="changed"`."""
    return HEAD + "".join(
        ROUTE % (number, number, bodies.get(f"r{number}", "first")) for number in range(ROUTES)
    )


@pytest.fixture(params=[(), ("--watch", "--workers", "2")], ids=["on SIGHUP", "watching"])
def large(request: pytest.FixtureRequest, tmp_path: Path, edge_state: Path) -> Iterator[EdgeProcess]:
    folder = tmp_path / "edge"
    folder.mkdir()
    (folder / "edge.yaml").write_text(file())
    with running_edge(folder, {}, edge_state, *request.param, file="edge.yaml") as edge:
        yield edge


def change(edge: EdgeProcess, text: str, result: str) -> None:
    """Reloaded with this result, by whichever way `edge` learns of it."""
    reloading = Reloading(edge)
    before = reloading.attempts[result]
    fresh = edge.folder / "fresh"
    fresh.write_text(text)
    fresh.replace(edge.folder / "edge.yaml")
    if "--watch" not in edge.process.args:  # type: ignore[operator]
        edge.process.send_signal(signal.SIGHUP)
    for _ in within(WAIT_S, f"it is {result}: {edge.errors}"):
        if reloading.attempts[result] > before:
            break


def body(edge: EdgeProcess, path: str) -> bytes:
    with RawClient(edge.web) as client:
        answer = client.exchange(request(path.encode()))
        assert answer.status == 200
        return answer.body


def drafting(edge: EdgeProcess) -> int:
    """The process that is kept."""
    (pid,) = (
        each["pid"] for each in json.loads(edge.get("/memory"))["processes"] if each["process"] == "drafting"
    )
    return int(pid)


def test_a_route_changes_and_every_other_stays(large: EdgeProcess) -> None:
    pid = drafting(large)
    assert "NoNewPrivs:\t1" in Path(f"/proc/{pid}/status").read_text()
    change(large, file(r7="second", r1999="second"), "applied")
    bodies = [body(large, f"/route-{number}") for number in (6, 7, 8, 1998, 1999)]
    assert bodies == [b"first", b"second", b"first", b"first", b"second"]
    change(large, file(r7="third"), "applied")
    assert [body(large, f"/route-{number}") for number in (7, 1999)] == [b"third", b"first"]
    assert drafting(large) == pid
    shown = json.loads(large.get("/config"))["config"]["routes"]
    assert [each["name"] for each in shown] == [f"route-{number}" for number in range(ROUTES)]
    assert shown[7]["rules"][0]["filters"][0]["directResponse"]["body"] == "third"


def test_a_fault_in_one_route_is_shown_at_its_place_and_changes_nothing(large: EdgeProcess) -> None:
    good = file(r7="second")
    wrong = good.replace("value: /route-1500}", "value: route-1500}")
    change(large, wrong, "invalid")
    line = wrong[: wrong.index("value: route-1500")].count("\n") + 1
    assert f"edge.yaml:{line}:" in large.errors and "'route-1500' must begin with /" in large.errors
    assert [body(large, f"/route-{number}") for number in (7, 1500)] == [b"first", b"first"]
    change(large, good, "applied")
    assert body(large, "/route-7") == b"second"


def test_a_drafting_process_that_is_killed_is_started_anew(large: EdgeProcess) -> None:
    pid = drafting(large)
    os.kill(pid, signal.SIGKILL)
    for _ in within(WAIT_S, "it has ended"):
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            break
    change(large, file(r7="second"), "applied")
    assert body(large, "/route-7") == b"second"
    assert drafting(large) != pid


def test_a_signal_to_all_of_edge_reloads_it(large: EdgeProcess) -> None:
    pid = drafting(large)
    os.kill(pid, signal.SIGHUP)
    change(large, file(r7="second"), "applied")
    assert drafting(large) == pid
