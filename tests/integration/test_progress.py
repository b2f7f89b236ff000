"""What takes longer than a second moves a line on a terminal, and nowhere else."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.integration.running_edge import REPOSITORY

DEADLINE_S: Final = 120.0
EAGER: Final = """\
import sys
import edge.control.compiling, edge.control.waiting
sys.setswitchinterval(1e-6)
edge.control.compiling.PATIENCE_S = edge.control.waiting.PATIENCE_S = 0.0
from edge.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""A command that is patient for no time: what takes a second is another thing on every machine. Its threads
take turns so often that the one that draws gets to draw.
"""
CONFIG: Final = """\
version: 1
listeners: [{name: web, address: "127.0.0.1:0"}]
clusters: [{name: up, discovery: {type: Static, endpoints: [{address: "127.0.0.1:9000"}]}}]
modules: {headers: {builtin: header-transform}}
filterChains: {chain: [{name: stamp, module: headers, config: {response: {set: {x-a: b}}}}]}
routes:
- name: all
  parentRefs: [{name: web}]
  rules:
  - backendRefs: [{name: up}]
    filters: [{type: ExtensionRef, extensionRef: {kind: FilterChain, name: chain}}]
"""
DRAWN: Final = "\r\x1b[Kedge: "
Command = Callable[[str], list[str]]
COMMANDS: Final[dict[str, tuple[Command, str]]] = {
    "validate": (lambda file: ["validate", file], "checking"),
    "validate --compile": (lambda file: ["validate", file, "--state-dir", f"{file}.state"], "1/1 compiled"),
    "explain": (lambda file: ["explain", "GET", "http://a/", "-c", file], "checking"),
    "diff": (lambda file: ["diff", file, file], "comparing"),
    "fmt": (lambda file: ["fmt", "--check", file], "formatting"),
    "doctor": (lambda file: ["doctor", "--state-dir", f"{file}.state"], "examining"),
    "filter call": (lambda file: ["filter", "call", "builtin:ab-split", "--config", "{}"], "compiling"),
}
WITH_JSON: Final = ("validate --compile", "explain", "diff", "doctor", "filter call")


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "edge.yaml"
    path.write_text(CONFIG)
    return str(path)


def on_a_terminal(state: str, *arguments: str) -> tuple[str, str]:
    """What a command writes to stdout, a pipe, and to stderr, a terminal."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "EDGE_STATE_DIR": state}
    with subprocess.Popen(
        [sys.executable, "-c", EAGER, *arguments], stdout=subprocess.PIPE, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # the last one has closed it
                break
            shown += piece
        assert process.stdout is not None
        out = process.stdout.read()
        process.wait(DEADLINE_S)
    os.close(ours)
    return out.decode(), shown.decode()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_line_moves_on_a_terminal_and_is_gone_at_the_end(file: str, name: str) -> None:
    command, what = COMMANDS[name]
    out, shown = on_a_terminal(f"{file}.state", *command(file))
    assert DRAWN in shown and what in shown, shown
    assert "\x1b" not in out
    last = shown.rpartition("\x1b[K")[2]
    assert last.endswith("compiled\r\n") or not {"█", "░"} & set(last), shown


@pytest.mark.parametrize("name", WITH_JSON)
def test_nothing_moves_beside_json(file: str, name: str) -> None:
    out, shown = on_a_terminal(f"{file}.state", *COMMANDS[name][0](file), "-o", "json")
    assert out.startswith("{")
    assert "\x1b" not in shown and "█" not in shown


@pytest.mark.parametrize("name", ["validate --compile", "doctor"])
def test_a_pipe_gets_no_progress(file: str, name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EAGER, *COMMANDS[name][0](file)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "EDGE_STATE_DIR": f"{file}.state"},
        check=False,
    )
    assert "\x1b" not in done.stdout + done.stderr and "█" not in done.stderr
