"""What the machine refuses: each text says which thing, where, why, and what to do."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from edge.cli import main
from edge.control.config.load import Loaded, load
from edge.control.config.quantity import HostPort
from edge.control.sockets import CannotBind, bind_all

FILE = """\
version: 1
admin: {address: "127.0.0.1:0"}
listeners: [{name: web, address: "127.0.0.1:0"}]
routes: [{name: all, parentRefs: [{name: web}], rules: [{backendRefs: [{name: up}]}]}]
clusters: [{name: up, discovery: {type: Static, endpoints: [{address: "127.0.0.1:80"}]}}]
"""


def log_problems(folder: Path, path: str) -> list[str]:
    (folder / "edge.yaml").write_text(FILE + f"telemetry: {{accessLog: {{path: {json.dumps(path)}}}}}\n")
    loaded = load(folder / "edge.yaml")
    return [] if isinstance(loaded, Loaded) else [each.text() for each in loaded]


@pytest.mark.parametrize("path", ["a.log", "stdout", "old.log"])
def test_an_access_log_that_can_be_written_is_fine(path: str, tmp_path: Path) -> None:
    (tmp_path / "old.log").write_text("")
    assert log_problems(tmp_path, path) == []
    assert not (tmp_path / "a.log").exists()


@pytest.mark.parametrize(
    ("path", "reason"), [("gone/a.log", "there is no folder"), (".", "it is a folder"), ("a\0b", "null byte")]
)
def test_an_access_log_that_cannot_be_written_is_found_before_anything_starts(
    path: str, reason: str, tmp_path: Path
) -> None:
    (problem,) = log_problems(tmp_path, path)
    assert "telemetry.accessLog.path: cannot write" in problem and reason in problem


def test_a_port_that_is_taken_is_named_with_a_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(CannotBind) as refused:
            bind_all([("web", HostPort("127.0.0.1", port))])
        assert str(refused.value).startswith(
            f"listener web: cannot bind 127.0.0.1:{port}: address already in use; "
        )
        assert f"sport = :{port}" in str(refused.value)
        with pytest.raises(CannotBind, match=r"^admin: cannot bind"):
            bind_all([("admin", HostPort("127.0.0.1", port))], kind="")


def test_an_address_of_another_machine_is_named_with_a_way_out() -> None:
    with pytest.raises(CannotBind, match=r"cannot bind 192\.0\.2\.1:0: .*no interface of this machine"):
        bind_all([("web", HostPort("192.0.2.1", 0))])


@pytest.mark.parametrize("command", [["run", "-c", "FILE"], ["validate", "CHAINS"], ["demo"]])
def test_a_state_directory_that_cannot_be_made_is_named(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "plain.yaml").write_text(FILE)
    chains = FILE.replace(
        "rules: [{", "rules: [{filters: [{type: ExtensionRef, extensionRef: {kind: FilterChain, name: c}}], "
    )
    chains += "modules: {m: {builtin: ab-split}}\nfilterChains: {c: [{name: f, module: m}]}\n"
    (tmp_path / "chains.yaml").write_text(chains)
    names = {"FILE": str(tmp_path / "plain.yaml"), "CHAINS": str(tmp_path / "chains.yaml")}
    arguments = [names.get(word, word) for word in command]
    assert main([*arguments, "--state-dir", str(tmp_path / "file" / "state")]) == 1
    said = capsys.readouterr().err
    assert f"the state directory {tmp_path}/file/state cannot be used: not a directory; give one" in said


def test_wrong_usage_points_to_the_help_of_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run"]) == 2
    assert "`edge run --help`" in capsys.readouterr().err
    assert main(["version", "x"]) == 2
    assert "not understood: x" in capsys.readouterr().err
