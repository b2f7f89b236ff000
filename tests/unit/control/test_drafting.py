"""From a file to a draft: in this process, and through the child that the supervisor starts."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from edge.control import drafting
from edge.control.artefacts import CannotCompile, prepare_artefacts
from edge.control.config.load import Loaded, load
from edge.control.draft import Draft, Failed, Invalid, Outcome, Uncompiled
from edge.control.drafter import LARGE_BYTES, DraftingRoom
from edge.control.modules import engine
from edge.control.modules.library import ModuleLibrary, ModuleRefused
from edge.wasm import selftest

PLAIN = """\
version: 1
admin: {address: "127.0.0.1:0"}
listeners: [{name: web, address: "127.0.0.1:0"}]
routes: [{name: all, parentRefs: [{name: web}], rules: [{backendRefs: [{name: up}]}]}]
clusters: [{name: up, discovery: {type: Static, endpoints: [{address: "127.0.0.1:80"}]}}]
telemetry: {tracing: {otlp: {endpoint: "http://127.0.0.1:4318", headers: {x-token: hush}}}}
"""
FILTERED = PLAIN.replace(
    "rules: [{", "rules: [{filters: [{type: ExtensionRef, extensionRef: {kind: FilterChain, name: c}}], "
) + (
    "modules: {split: {builtin: ab-split}, key: {builtin: api-key}}\n"
    "filterChains: {c: [{name: split, module: split}, {name: key, module: key}]}\n"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "edge.yaml"
    made.write_text(PLAIN)
    return made


def drafted(file: Path, state_dir: Path) -> tuple[Outcome, list[int]]:
    """By a room of its own."""
    with closing(DraftingRoom(state_dir)) as room:
        return room.ask(file).result()


def many(names: Iterable[str]) -> str:
    """PLAIN with a route for each of `names`."""
    lines = PLAIN.splitlines(keepends=True)
    routes = (
        f"- {{name: {each}, parentRefs: [{{name: web}}], rules: [{{backendRefs: [{{name: up}}]}}]}}\n"
        for each in names
    )
    return "".join([*lines[:3], "routes:\n", *routes, *lines[4:]])


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def open_descriptors() -> set[str]:
    return {
        os.readlink(f"/proc/self/fd/{each}")
        for each in os.listdir("/proc/self/fd")
        if each.isdigit() and os.path.islink(f"/proc/self/fd/{each}")
    }


def test_the_child_answers_with_a_draft_that_holds_no_secret_to_show(file: Path, tmp_path: Path) -> None:
    outcome, descriptors = drafted(file, tmp_path)
    assert isinstance(outcome, Draft) and descriptors == []
    assert [listener.name for listener in outcome.model.listeners] == ["web"]
    assert outcome.export is not None
    assert outcome.export.settings.headers == {"x-token": "hush"}
    assert b"hush" not in msgspec.msgpack.encode(outcome.model), "a worker gets only its own secrets"
    assert b"hush" not in outcome.shown.config
    assert json.loads(outcome.shown.config)["listeners"][0]["name"] == "web"


def test_the_problems_of_a_wrong_file_come_back_with_their_places(file: Path, tmp_path: Path) -> None:
    file.write_text(PLAIN.replace("version: 1", "version: 2"))
    outcome, _ = drafted(file, tmp_path)
    assert isinstance(outcome, Invalid)
    (problem,) = outcome.problems
    assert (problem.line, problem.column, problem.path) == (1, 10, "version")
    assert problem.text() == load(file)[0].text()  # type: ignore[index]


def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    outcome, _ = drafted(tmp_path / "none.yaml", tmp_path)
    assert isinstance(outcome, Invalid)
    assert "no such file" in outcome.problems[0].text()


def test_modules_come_as_sealed_descriptors(file: Path, tmp_path: Path) -> None:
    file.write_text(FILTERED)
    outcome, descriptors = drafted(file, tmp_path)
    try:
        assert isinstance(outcome, Draft), outcome
        assert len(descriptors) == 2 * len(outcome.model.modules) + 1 == 5
        assert outcome.model.inner_host_fd == 4
        assert all("memfd:edge-" in os.readlink(f"/proc/self/fd/{each}") for each in descriptors)
        assert not any(os.get_inheritable(each) for each in descriptors)
    finally:
        for each in descriptors:
            os.close(each)


def test_a_state_directory_that_cannot_be_used_is_named(file: Path, tmp_path: Path) -> None:
    file.write_text(FILTERED)
    (tmp_path / "modules").write_text("a file where a folder belongs")
    outcome = asyncio.run(drafting.draft(file, tmp_path)).outcome
    assert isinstance(outcome, Failed)
    assert str(tmp_path) in outcome.reason and "file exists" in outcome.reason


def test_a_child_that_dies_is_reported_and_leaves_nothing(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    outcome, descriptors = drafted(file, tmp_path)
    assert isinstance(outcome, Failed) and "code 1" in outcome.reason
    assert descriptors == []


def test_a_child_that_is_dead_before_it_is_asked_is_reported_too(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    start = DraftingRoom._start

    def start_and_wait(room: DraftingRoom) -> socket.socket:
        end = start(room)
        assert room._child is not None
        room._child.wait()
        return end

    monkeypatch.setattr(DraftingRoom, "_start", start_and_wait)
    outcome, descriptors = drafted(file, tmp_path)
    assert isinstance(outcome, Failed) and "code 1" in outcome.reason
    assert descriptors == []


def test_the_room_of_a_large_file_stays_and_drafts_again(file: Path, tmp_path: Path) -> None:
    names = [f"route-{number}" for number in range(2000)]
    with closing(DraftingRoom(tmp_path)) as room:
        file.write_text(many(names))
        first, _ = room.ask(file).result()
        assert isinstance(first, Draft) and len(msgspec.msgpack.encode(first)) > LARGE_BYTES
        pid = room.pid
        assert pid
        wait_until(lambda: not children(pid))  # the draft's own process has ended
        assert len(os.listdir(f"/proc/{pid}/task")) == 1, "what forks has no threads"
        file.write_text(many([*names[:7], "fresh", *names[9:]]))
        second, _ = room.ask(file).result()
        assert room.pid == pid
    assert isinstance(second, Draft)
    assert [route.name for route in second.model.routes] == [*names[:7], "fresh", *names[9:]]
    assert [each["name"] for each in json.loads(second.shown.config)["routes"]] == [
        *names[:7], "fresh", *names[9:]
    ]  # fmt: skip
    assert room.pid == 0


def test_the_room_of_a_small_file_is_not_kept_by_a_start(file: Path, tmp_path: Path) -> None:
    room = DraftingRoom(tmp_path)
    assert isinstance(room.ask(file).result()[0], Draft)
    assert room.pid == 0


def test_the_room_of_a_small_file_is_kept_for_a_while_by_a_reload(file: Path, tmp_path: Path) -> None:
    async def twice() -> tuple[int, int]:
        await room.ask(file).answer()
        first = room.pid
        await room.ask(file).answer()
        return first, room.pid

    with closing(DraftingRoom(tmp_path)) as room:
        first, second = asyncio.run(twice())
        assert first == second != 0


def test_a_room_that_died_is_replaced(file: Path, tmp_path: Path) -> None:
    file.write_text(many(f"route-{number}" for number in range(2000)))
    with closing(DraftingRoom(tmp_path)) as room:
        assert isinstance(room.ask(file).result()[0], Draft)
        os.kill(room.pid, signal.SIGKILL)
        os.waitid(os.P_PID, room.pid, os.WEXITED | os.WNOWAIT)
        assert isinstance(room.ask(file).result()[0], Draft)


def test_a_draft_that_dies_is_reported_and_the_next_one_is_made(file: Path, tmp_path: Path) -> None:
    """A pipe in the place of the file holds the child where it can be found."""
    file.write_text(many(f"route-{number}" for number in range(2000)))
    slow = tmp_path / "slow.yaml"
    os.mkfifo(slow)
    with closing(DraftingRoom(tmp_path)) as room:
        assert isinstance(room.ask(file).result()[0], Draft)
        wait_until(lambda: not children(room.pid))
        drafter = room.ask(slow)
        wait_until(lambda: children(room.pid))
        os.kill(children(room.pid)[0], signal.SIGKILL)
        outcome, descriptors = drafter.result()
        assert isinstance(outcome, Failed) and "signal 9" in outcome.reason
        assert descriptors == []
        assert isinstance(room.ask(file).result()[0], Draft)


def test_a_cancelled_draft_ends_the_room_and_the_child(file: Path, tmp_path: Path) -> None:
    slow = tmp_path / "slow.yaml"
    os.mkfifo(slow)

    async def cancelled() -> list[int]:
        task = asyncio.create_task(room.ask(slow).answer())
        deadline = time.monotonic() + 60
        while not (room.pid and children(room.pid)):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        found = [room.pid, *children(room.pid)]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return found

    with closing(DraftingRoom(tmp_path)) as room:
        found = asyncio.run(cancelled())
        assert len(found) == 2 and room.pid == 0
        wait_until(lambda: not any(_runs(each) for each in found))


def _runs(pid: int) -> bool:
    """A zombie does not: who reaps it is init's affair."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("place", ["module", "inner host", "crash"])
def test_a_module_that_cannot_be_compiled_leaks_no_descriptor(
    place: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(FILTERED)
    loaded = load(file)
    assert isinstance(loaded, Loaded)
    provide = ModuleLibrary.provide
    calls = 0

    async def second_fails(self: ModuleLibrary, wasm: bytes) -> object:
        nonlocal calls
        calls += 1
        if calls == 2 and place == "module":
            raise ModuleRefused(["too large"])
        if calls == 2 and place == "crash":
            raise OSError(28, "No space left on device")
        return await provide(self, wasm)

    async def refused(self: ModuleLibrary) -> int:
        raise ModuleRefused(["not today"])

    monkeypatch.setattr(ModuleLibrary, "provide", second_fails)
    if place == "inner host":
        monkeypatch.setattr(ModuleLibrary, "inner_host", refused)
    before = open_descriptors()
    with pytest.raises((CannotCompile, OSError)):
        asyncio.run(prepare_artefacts(loaded, tmp_path))
    assert calls == 2
    assert not {each for each in open_descriptors() - before if "memfd" in each}


def test_an_engine_that_misbehaves_is_refused_and_tried_again(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(FILTERED)
    tried = 0

    def misbehaves() -> None:
        nonlocal tried
        tried += 1
        raise RuntimeError("the WASM engine misbehaves: ['8']")

    monkeypatch.setattr(selftest, "check_in_child", misbehaves)
    for _ in range(2):
        outcome = asyncio.run(drafting.draft(file, tmp_path)).outcome
        assert isinstance(outcome, Uncompiled)
        assert outcome.errors == ["the WASM engine misbehaves: ['8']"]
    assert tried == 2


def test_the_engine_is_tried_once_per_engine_and_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    monkeypatch.setattr(selftest, "check_in_child", lambda: tried.append(1))
    engine.check_engine(tmp_path)
    engine.check_engine(tmp_path)
    assert len(tried) == 1
    (tmp_path / "engine-checked").write_text("of another engine")
    engine.check_engine(tmp_path)
    assert len(tried) == 2


@pytest.mark.parametrize(
    "heavy",
    ["pydantic", "yaml", "cryptography", "wasmtime", "opentelemetry", "google.protobuf", "prometheus_client"],
)
def test_the_supervisor_holds_nothing_of_it(heavy: str) -> None:
    program = (
        "import sys, edge.cli.run, edge.control.supervisor; "
        f"print({heavy!r} in sys.modules, 'edge.control.keeper' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["False", "True"]
