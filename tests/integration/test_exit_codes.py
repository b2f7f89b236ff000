"""The table of exit codes, with a command for each, and the signals that end a server."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.cli import exits
from edge.wasm.module import assemble
from tests.integration.edge_process import Upstream
from tests.integration.raw_client import RawClient, Truncated, request
from tests.integration.running_edge import REPOSITORY, EdgeProcess, configuration, rule, within
from tests.tools import free_port

DEADLINE_S = 120.0
GRACE = "600s"
"""So that a drain goes on for longer than anybody waits."""
NO_ABI = b"\0asm\1\0\0\0"
UNSOUND = """(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) i32.const 0)
  (func (result i32)))"""
"""The last function returns nothing: the compiler refuses it."""


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "edge", *arguments],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configurations by what is wrong with them, and a `state` folder."""
    folder = tmp_path_factory.mktemp("exit-codes")
    good = configuration({"up": [9]}, [rule("up", "/api")])
    other = configuration({"up": [10]}, [rule("up")])
    bad = configuration({"up": [9]}, [rule("nobody")])
    filters = [{"type": "ExtensionRef", "extensionRef": {"kind": "FilterChain", "name": "chain"}}]
    refused = configuration(
        {"up": [9]},
        [rule("up", filters=filters)],
        modules={"unsound": {"url": "unsound.wasm"}},
        filterChains={"chain": [{"name": "it", "module": "unsound"}]},
    )
    no_abi, digest = copy.deepcopy(refused), copy.deepcopy(refused)
    no_abi["modules"]["unsound"] = {"url": "empty.wasm"}
    digest["modules"]["unsound"] |= {"sha256": "0" * 64}
    both = copy.deepcopy(no_abi) | {"clusters": []}
    missing = copy.deepcopy(refused)
    missing["modules"]["unsound"] = {"url": "nowhere.wasm"}
    (folder / "empty.wasm").write_bytes(NO_ABI)
    (folder / "unsound.wasm").write_bytes(assemble(UNSOUND))
    for name, made in {
        "good": good,
        "other": other,
        "bad": bad,
        "refused": refused,
        "no-abi": no_abi,
        "digest": digest,
        "both": both,
        "missing": missing,
    }.items():
        (folder / f"{name}.yaml").write_text(json.dumps(made))
    return folder


Arguments = Callable[[Path], list[str]]

TABLE: list[tuple[int, str, Arguments]] = [
    (exits.EXIT_OK, "version", lambda at: ["version"]),
    (exits.EXIT_OK, "validate", lambda at: ["validate", f"{at}/good.yaml"]),
    (exits.EXIT_OK, "explain", lambda at: ["explain", "GET", "http://a/api", "-c", f"{at}/good.yaml"]),
    (exits.EXIT_OK, "diff", lambda at: ["diff", f"{at}/good.yaml", f"{at}/good.yaml"]),
    (exits.EXIT_FAILED, "explain", lambda at: ["explain", "GET", "http://a/no", "-c", f"{at}/good.yaml"]),
    (exits.EXIT_FAILED, "run", lambda at: ["run", "-c", f"{at}/good.yaml", "--state-dir", f"{at}/good.yaml"]),
    (exits.EXIT_FAILED, "doctor", lambda at: ["doctor", "--state-dir", f"{at}/good.yaml"]),
    (exits.EXIT_USAGE, "no command", lambda at: ["serve"]),
    (exits.EXIT_USAGE, "run", lambda at: ["run"]),
    (exits.EXIT_USAGE, "run --grace", lambda at: ["run", "-c", f"{at}/good.yaml", "--grace", "soon"]),
    (exits.EXIT_USAGE, "validate", lambda at: ["validate", f"{at}/good.yaml", "--strict"]),
    (exits.EXIT_INVALID, "validate", lambda at: ["validate", f"{at}/bad.yaml"]),
    (exits.EXIT_INVALID, "run", lambda at: ["run", "-c", f"{at}/bad.yaml"]),
    (exits.EXIT_INVALID, "explain", lambda at: ["explain", "GET", "http://a/", "-c", f"{at}/bad.yaml"]),
    (exits.EXIT_INVALID, "diff", lambda at: ["diff", f"{at}/good.yaml", f"{at}/bad.yaml"]),
    (exits.EXIT_DIFFERENT, "diff", lambda at: ["diff", f"{at}/good.yaml", f"{at}/other.yaml"]),
    (exits.EXIT_DIFFERENT, "fmt", lambda at: ["fmt", "--check", f"{at}/good.yaml"]),
    (exits.EXIT_REFUSED, "validate", lambda at: ["validate", f"{at}/refused.yaml"]),
    (exits.EXIT_REFUSED, "run", lambda at: ["run", "-c", f"{at}/refused.yaml"]),
    (exits.EXIT_REFUSED, "validate: no ABI", lambda at: ["validate", f"{at}/no-abi.yaml"]),
    (exits.EXIT_REFUSED, "run: no ABI", lambda at: ["run", "-c", f"{at}/no-abi.yaml"]),
    (
        exits.EXIT_REFUSED,
        "explain: no ABI",
        lambda at: ["explain", "GET", "http://a/", "-c", f"{at}/no-abi.yaml"],
    ),
    (exits.EXIT_REFUSED, "diff: no ABI", lambda at: ["diff", f"{at}/good.yaml", f"{at}/no-abi.yaml"]),
    (exits.EXIT_REFUSED, "validate: digest", lambda at: ["validate", f"{at}/digest.yaml"]),
    (exits.EXIT_INVALID, "validate: no ABI and more", lambda at: ["validate", f"{at}/both.yaml"]),
    (exits.EXIT_INVALID, "validate: no file", lambda at: ["validate", f"{at}/missing.yaml"]),
    (exits.EXIT_REFUSED, "filter inspect", lambda at: ["filter", "inspect", f"{at}/empty.wasm"]),
    (exits.EXIT_UNREACHABLE, "status", lambda at: ["status", "--admin", f"127.0.0.1:{free_port()}"]),
    (
        exits.EXIT_UNREACHABLE,
        "diff",
        lambda at: ["diff", f"{at}/good.yaml", "--admin", f"127.0.0.1:{free_port()}"],
    ),
]


@pytest.mark.parametrize(("code", "what", "arguments"), TABLE, ids=[f"{c} {w}" for c, w, _ in TABLE])
def test_each_exit_code_means_one_thing_in_every_command(
    files: Path, code: int, what: str, arguments: Arguments
) -> None:
    words = arguments(files)
    if words[0] in ("run", "validate") and "--state-dir" not in words:
        words += ["--state-dir", str(files / "state")]
    with start(*words) as process:
        out, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == code, out + errors
    assert "Traceback" not in errors
    if code not in (exits.EXIT_OK, exits.EXIT_DIFFERENT):
        assert out + errors, "it is said why"


def test_help_readme_and_table_say_the_same() -> None:
    with start("--help") as process:
        out, _ = process.communicate(timeout=DEADLINE_S)
    assert exits.told() in " ".join(out.split())
    assert exits.told() in " ".join((REPOSITORY / "README.md").read_text().split())
    assert {code for code, _, _ in TABLE} | {exits.EXIT_INTERRUPTED} == exits.MEANINGS.keys()


def test_an_interrupted_command_is_130(files: Path) -> None:
    with start("validate", "-", "--state-dir", str(files / "state")) as process:
        for _ in within(DEADLINE_S, "it waits for its input"):
            if _reads_stdin(process.pid):
                break
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == exits.EXIT_INTERRUPTED
    assert "Traceback" not in errors


def _reads_stdin(pid: int) -> bool:
    """Whether it is blocked in read(0, ...)."""
    number, *arguments = Path(f"/proc/{pid}/syscall").read_text().split()
    return number == "0" and arguments[:1] == ["0x0"]


# ---- signals to a server


@pytest.fixture
def held(tmp_path: Path, edge_state: Path) -> Iterator[tuple[EdgeProcess, RawClient]]:
    """An edge with a request under way that does not end, and its client."""
    with Upstream() as upstream:
        config = configuration({"up": [upstream.port]}, [rule("up")])
        edge = EdgeProcess(tmp_path / "edge", config, edge_state, "--grace", GRACE)
        try:
            edge.wait_ready()
            upstream.hold.clear()
            with RawClient(edge.web) as client:
                client.send(request())
                assert upstream.asked.wait(DEADLINE_S)
                yield edge, client
        finally:
            edge.kill()


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        (signal.SIGTERM, signal.SIGTERM, 0),
        (signal.SIGTERM, signal.SIGINT, 0),
        (signal.SIGINT, signal.SIGTERM, 130),
    ],
    ids=["TERM TERM", "TERM INT", "INT TERM"],
)
def test_a_second_signal_ends_at_once_and_the_first_decides_the_exit_code(
    held: tuple[EdgeProcess, RawClient], first: signal.Signals, second: signal.Signals, code: int
) -> None:
    edge, client = held
    worker = edge.worker_pid
    edge.process.send_signal(first)
    for _ in within(DEADLINE_S, "the drain"):
        if "a second signal ends at once" in edge.errors:
            break
    edge.process.send_signal(second)
    assert edge.process.wait(DEADLINE_S) == code
    with pytest.raises((OSError, Truncated)):
        client.response()
    for _ in within(DEADLINE_S, "the worker is gone too"):
        if not Path(f"/proc/{worker}").exists():
            return


def test_the_help_tells_of_the_second_signal() -> None:
    with start("run", "--help") as process:
        out, _ = process.communicate(timeout=DEADLINE_S)
    assert "a second signal ends at once" in " ".join(out.split())
