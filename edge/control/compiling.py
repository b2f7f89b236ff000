"""A line that moves while modules are compiled. Only on a terminal, and only past a second."""

from __future__ import annotations

import asyncio
import sys

from edge.control.artefacts import Progress
from edge.control.waiting import bar

PATIENCE_S = 1.0


def compile_progress() -> Progress | None:
    """None when stderr is no terminal."""
    return _Bar() if sys.stderr.isatty() else None


class _Bar:
    """Implements `Progress`; lives for one call of `prepare_artefacts`, on its loop."""

    def __init__(self) -> None:
        self._state = (0, 1, "")
        self._timer: asyncio.TimerHandle | None = None
        self._drawn = False

    def __call__(self, done: int, total: int, name: str) -> None:
        self._state = (done, total, name)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PATIENCE_S, self._draw)
        if self._drawn:
            self._draw()
        if done == total:
            self._timer.cancel()

    def _draw(self) -> None:
        done, total, name = self._state
        text = f"compiling {name}" if name else "compiled"
        self._drawn = True
        end = "\n" if done == total else ""
        sys.stderr.write(f"{bar(done, total)} {text}{end}")
        sys.stderr.flush()
