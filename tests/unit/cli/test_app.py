"""Commands as a user calls them: exit codes, what goes to stdout and what to stderr."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edge import __version__, builtin
from edge.cli import main
from edge.cli.state import state_directory

GOOD = """\
version: 1
listeners: [{name: web, address: "127.0.0.1:0"}]
clusters: [{name: up, discovery: {type: Static, endpoints: [{address: "127.0.0.1:9000"}]}}]
routes: [{name: all, parentRefs: [{name: web}], rules: [{backendRefs: [{name: up}]}]}]
"""
BAD = GOOD.replace("backendRefs: [{name: up}]", "backendRefs: [{name: upp}]")

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def good(tmp_path: Path) -> str:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    return str(path)


@pytest.fixture
def bad(tmp_path: Path) -> str:
    path = tmp_path / "bad.yaml"
    path.write_text(BAD)
    return str(path)


def test_version_is_one_line(capsys: Captured) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr() == (f"edge {__version__}\n", "")


def test_version_loads_neither_configuration_nor_telemetry_nor_wasm() -> None:
    heavy = ("pydantic", "yaml", "wasmtime", "opentelemetry", "uvloop", "hypercorn", "cryptography")
    code = (
        "import sys; from edge.cli import main; main(['version']);"
        f"print([m for m in {heavy} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == "[]\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["run"],
        ["run", "-c"],
        ["run", "--confg", "x"],
        ["validate"],
        ["filter", "nothing"],
        ["validate", "x", "-o", "xml"],
    ],
)
def test_wrong_usage_is_2_and_says_so_on_stderr(arguments: list[str], capsys: Captured) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("edge: ")


@pytest.mark.parametrize("workers", ["129", "-1"])
def test_a_number_of_workers_that_cannot_be_is_refused(workers: str, good: str, capsys: Captured) -> None:
    assert main(["run", "-c", good, "--workers", workers]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"edge: --workers {workers}: from 1 to 128\n"


def test_a_grace_that_is_no_duration_is_wrong_usage(good: str, capsys: Captured) -> None:
    assert main(["run", "-c", good, "--grace", "soon"]) == 2
    assert "'soon' is no duration" in capsys.readouterr().err


def test_run_serves_nothing_by_an_invalid_file(bad: str, capsys: Captured) -> None:
    assert main(["run", "-c", bad]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "no cluster is named 'upp' (did you mean up?)" in err
    assert err.endswith("has 1 error; nothing is served\n")


def test_a_valid_file_is_0_with_a_summary(good: str, capsys: Captured) -> None:
    assert main(["validate", good]) == 0
    assert capsys.readouterr() == (
        f"{good}: valid: 1 listener, 1 route, 1 rule, 0 filter chains, 1 cluster\n",
        "",
    )


def test_an_invalid_file_is_3_with_everything_on_stderr(bad: str, capsys: Captured) -> None:
    assert main(["validate", bad]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"{bad}:4:")
    assert "^^^" in err


def test_errors_as_json_are_one_document_with_the_same_text_on_stderr(bad: str, capsys: Captured) -> None:
    assert main(["validate", bad, "-o", "json"]) == 3
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert document["valid"] is False and document["schemaVersion"] == 1
    (error,) = document["errors"]
    assert {"file", "line", "column", "path", "code", "message", "hint"} <= set(error)
    assert (error["line"], error["code"], error["path"]) == (
        4,
        "undefined",
        "routes[0].rules[0].backendRefs[0].name",
    )
    assert error["message"] in err


def test_errors_for_github_are_workflow_commands(bad: str, capsys: Captured) -> None:
    assert main(["validate", bad, "--format", "github"]) == 3
    assert capsys.readouterr().out.startswith(f"::error file={bad},line=4,col=")


def test_a_file_from_stdin(capsys: Captured, monkeypatch: pytest.MonkeyPatch, bad: str) -> None:
    with open(bad, encoding="utf-8") as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert main(["validate", "-"]) == 3
    assert capsys.readouterr().err.startswith("<stdin>:4:")


def test_inspect_tells_what_a_module_is(capsys: Captured) -> None:
    assert main(["filter", "inspect", "builtin:header-transform"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "abi       proxy-wasm/0.2.1" in out and "runs      yes" in out
    assert "env.proxy_get_header_map_value (iiiii) -> (i)" in out


def test_inspect_as_json_has_stable_keys(capsys: Captured) -> None:
    assert main(["filter", "inspect", str(builtin.path("api-key")), "-o", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert {
        "schemaVersion",
        "module",
        "digest",
        "size",
        "abi",
        "runs",
        "errors",
        "warnings",
        "imports",
        "exports",
    } == set(data)
    assert all(each["known"] for each in data["imports"])
    assert any("grpc" in warning for warning in data["warnings"])


def test_inspect_refuses_what_edge_cannot_run(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "x.wasm"
    path.write_bytes(b"\0asm\1\0\0\0")
    assert main(["filter", "inspect", str(path)]) == 5
    out, err = capsys.readouterr()
    assert "runs      no" in out
    assert "no known ABI" in err


@pytest.mark.parametrize("reference", ["no/such/file.wasm", "builtin:nothing"])
def test_a_module_that_is_not_there_is_named(reference: str, capsys: Captured) -> None:
    assert main(["filter", "inspect", reference]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("edge: ")


def test_the_state_folder_is_ours_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_STATE_DIR", str(tmp_path / "a"))
    assert state_directory(None) == tmp_path / "a"
    assert state_directory(tmp_path / "b") == tmp_path / "b"
    monkeypatch.delenv("EDGE_STATE_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "c"))
    assert state_directory(None) == tmp_path / "c" / "edge"
    for path in (tmp_path / "a", tmp_path / "b", tmp_path / "c" / "edge"):
        assert path.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("command", [["version"], ["schema"], ["doctor", "-o", "json"]], ids=" ".join)
def test_output_that_cannot_be_written_is_an_error_and_no_traceback(command: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        whole = [sys.executable, "-m", "edge", *command]
        done = subprocess.run(whole, stdout=full, stderr=subprocess.PIPE, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (1, b"edge: cannot write: no space left on device\n")


@pytest.mark.parametrize(("shell", "checker"), [("bash", ["bash", "-n"]), ("zsh", []), ("fish", [])])
def test_completion_is_a_script_that_knows_every_command(
    shell: str, checker: list[str], capsys: Captured
) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    words = "run proxy explain status diff fmt schema doctor validate demo filter inspect call --config"
    assert [word for word in words.split() if word not in script] == []
    if checker:
        subprocess.run(checker, input=script.encode(), check=True, timeout=60)
