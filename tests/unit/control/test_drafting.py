"""From a file to a draft: in this process, and through the child that the supervisor starts."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from edge.control import drafting
from edge.control.artefacts import CannotCompile, prepare_artefacts
from edge.control.config.load import Loaded, load
from edge.control.draft import Draft, Failed, Invalid, Uncompiled
from edge.control.drafter import Drafter
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


def open_descriptors() -> set[str]:
    return {
        os.readlink(f"/proc/self/fd/{each}")
        for each in os.listdir("/proc/self/fd")
        if each.isdigit() and os.path.islink(f"/proc/self/fd/{each}")
    }


def test_the_child_answers_with_a_draft_that_holds_no_secret_to_show(file: Path, tmp_path: Path) -> None:
    outcome, descriptors = Drafter(file, tmp_path).result()
    assert isinstance(outcome, Draft) and descriptors == []
    assert [listener.name for listener in outcome.model.listeners] == ["web"]
    assert outcome.export is not None
    assert outcome.export.settings.headers == {"x-token": "hush"}
    assert b"hush" not in msgspec.msgpack.encode(outcome.model), "a worker gets only its own secrets"
    assert b"hush" not in outcome.shown.config
    assert json.loads(outcome.shown.config)["listeners"][0]["name"] == "web"


def test_the_problems_of_a_wrong_file_come_back_with_their_places(file: Path, tmp_path: Path) -> None:
    file.write_text(PLAIN.replace("version: 1", "version: 2"))
    outcome, _ = Drafter(file, tmp_path).result()
    assert isinstance(outcome, Invalid)
    (problem,) = outcome.problems
    assert (problem.line, problem.column, problem.path) == (1, 10, "version")
    assert problem.text() == load(file)[0].text()  # type: ignore[index]


def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    outcome, _ = Drafter(tmp_path / "none.yaml", tmp_path).result()
    assert isinstance(outcome, Invalid)
    assert "no such file" in outcome.problems[0].text()


def test_modules_come_as_sealed_descriptors(file: Path, tmp_path: Path) -> None:
    file.write_text(FILTERED)
    outcome, descriptors = Drafter(file, tmp_path).result()
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
    outcome, _ = asyncio.run(drafting.draft(file, tmp_path))
    assert isinstance(outcome, Failed)
    assert str(tmp_path) in outcome.reason and "file exists" in outcome.reason


def test_a_child_that_dies_is_reported_and_leaves_nothing(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    outcome, descriptors = Drafter(file, tmp_path).result()
    assert isinstance(outcome, Failed) and "code 1" in outcome.reason
    assert descriptors == []


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
        outcome, _ = asyncio.run(drafting.draft(file, tmp_path))
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
