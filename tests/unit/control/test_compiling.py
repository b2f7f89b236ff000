"""The progress line: only on a terminal, only when it takes long."""

from __future__ import annotations

import asyncio
import io

import pytest

from edge.control import compiling


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def drawn(monkeypatch: pytest.MonkeyPatch, patience_s: float, waits: bool) -> str:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr(compiling, "PATIENCE_S", patience_s)

    async def main() -> None:
        progress = compiling.compile_progress()
        assert progress is not None
        progress(0, 2, "first")
        if waits:
            async with asyncio.timeout(60):
                while not terminal.getvalue():
                    await asyncio.sleep(0)
        progress(1, 2, "second")
        progress(2, 2, "")

    asyncio.run(main())
    return terminal.getvalue()


def test_nothing_is_drawn_for_quick_work(monkeypatch: pytest.MonkeyPatch) -> None:
    assert drawn(monkeypatch, 3600, waits=False) == ""


def test_long_work_moves_a_line_and_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    text = drawn(monkeypatch, 0, waits=True)
    assert "0/2 compiling first" in text and "1/2 compiling second" in text
    assert text.endswith("2/2 compiled\n")
    assert text.count("\n") == 1


def test_a_pipe_gets_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert compiling.compile_progress() is None
