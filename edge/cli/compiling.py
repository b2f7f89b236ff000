"""A line that moves while modules are compiled. Only on a terminal, and only past a second."""

from __future__ import annotations

import sys
import time

from edge.control.artefacts import Progress

PATIENCE_S = 1.0
WIDTH = 24


def compile_progress() -> Progress | None:
    """None when stderr is no terminal."""
    return _Bar() if sys.stderr.isatty() else None


class _Bar:
    def __init__(self) -> None:
        self._began = time.monotonic()
        self._shown = False

    def __call__(self, done: int, total: int, name: str) -> None:
        """A module is compiled in a child: the line is drawn before each, so it is never stale."""
        if done and time.monotonic() - self._began < PATIENCE_S and not self._shown:
            return
        filled = WIDTH * done // total
        bar = "█" * filled + "░" * (WIDTH - filled)
        text = f"compiling {name}" if name else "compiled"
        self._shown = True
        end = "\n" if done == total else ""
        sys.stderr.write(f"\r\x1b[Kedge: {bar} {done}/{total} {text}{end}")
        sys.stderr.flush()
