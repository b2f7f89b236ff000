"""The line of a command that takes long: drawn late, moved, and taken away."""

from __future__ import annotations

import asyncio
import io
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from edge.control import waiting as module
from edge.control.draft import Draft
from edge.control.drafting import draft
from edge.control.waiting import waiting

WAIT_S = 60.0
CONFIG = """\
version: 1
listeners: [{name: web, address: "127.0.0.1:0"}]
clusters: [{name: up, discovery: {type: Static, endpoints: [{address: "127.0.0.1:9000"}]}}]
routes: [{name: all, parentRefs: [{name: web}], rules: [{backendRefs: [{name: up}]}]}]
"""


class Terminal(io.StringIO):
    """Keeps all that was drawn; `drawn` is set with each piece."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn = Event()

    def isatty(self) -> bool:
        return True

    def flush(self) -> None:
        self.drawn.set()

    def until_drawn(self, what: str) -> None:
        while what not in self.getvalue():
            assert self.drawn.wait(WAIT_S)
            self.drawn.clear()


def stderr(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, patience_s: float = 0.0) -> None:
    """To be called by the test itself: pytest puts its own there after the fixtures."""
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(module, "PATIENCE_S", patience_s)


@pytest.fixture
def _busy_turns() -> Iterator[None]:
    """Threads take turns so often that the one that draws gets to draw."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_steps_and_time_are_shown_and_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr(monkeypatch, terminal := Terminal())
    with waiting("examining") as step:
        terminal.until_drawn("examining")
        step(3, 12, "clock")
        terminal.until_drawn("clock")
    text = terminal.getvalue()
    assert text.startswith("\r\x1b[Kedge: ██████░░░░░░░░░░░░░░░░░░ 0 s examining")
    assert "edge: ██████░░░░░░░░░░░░░░░░░░ 3/12 examining: clock" in text
    assert text.endswith("\r\x1b[K") and "\n" not in text


def test_quick_work_and_json_and_pipes_show_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = threading.active_count()
    stderr(monkeypatch, terminal := Terminal())
    with waiting("examining", "json"):
        assert threading.active_count() == threads
    stderr(monkeypatch, terminal, patience_s=3600.0)
    with waiting("examining"):
        pass
    assert terminal.getvalue() == ""
    stderr(monkeypatch, io.StringIO())
    with waiting("examining"):
        assert threading.active_count() == threads


def test_what_is_raised_passes_and_takes_the_line_away(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr(monkeypatch, terminal := Terminal())
    with pytest.raises(ValueError, match="no good"), waiting("examining"):
        terminal.until_drawn("examining")
        raise ValueError("no good")
    assert terminal.getvalue().endswith("\r\x1b[K")


@pytest.mark.usefixtures("_busy_turns")
def test_a_server_shows_that_it_reads_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stderr(monkeypatch, terminal := Terminal())
    file = tmp_path / "edge.yaml"
    file.write_text(CONFIG)
    drafted = asyncio.run(draft(file, tmp_path))
    assert isinstance(drafted.outcome, Draft)
    assert f"0 s reading {file}" in terminal.getvalue()
