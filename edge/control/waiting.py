"""A line that moves while a command works for longer than a second. Only on a terminal, never beside JSON."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Final

PATIENCE_S = 1.0
REDRAWN_S: Final = 0.2
WIDTH: Final = 24
_BLOCK: Final = 6
_CLEAR: Final = "\r\x1b[K"

Step = Callable[[int, int, str], None]
"""(how many are done, of how many, what is done next)."""


@contextmanager
def waiting(what: str, output: str = "text") -> Iterator[Step]:
    """`what` is shown on stderr, with the steps that are told; at the end nothing of it is left."""
    line = _Line(what)
    if output == "json" or not sys.stderr.isatty():
        yield line.step
        return
    over = Event()
    thread = Thread(target=line.run, args=(over,), name="edge-waiting", daemon=True)
    thread.start()
    try:
        yield line.step
    finally:
        over.set()
        thread.join()


def bar(done: int, total: int) -> str:
    """The begin of the line, in the place of what stood there."""
    filled = WIDTH * done // total
    return f"{_CLEAR}edge: {'█' * filled}{'░' * (WIDTH - filled)} {done}/{total}"


class _Line:
    def __init__(self, what: str) -> None:
        self._what = what
        self._state = (0, 0, "")
        self._began = time.monotonic()

    def step(self, done: int, total: int, name: str) -> None:
        self._state = (done, total, name)

    def run(self, over: Event) -> None:
        """Draw until `over`, and then clear the line if there is one."""
        if over.wait(PATIENCE_S):
            return
        while True:
            self._write(self._drawn())
            if over.wait(REDRAWN_S):
                self._write(_CLEAR)
                return

    def _drawn(self) -> str:
        done, total, name = self._state
        if total:
            return f"{bar(done, total)} {self._what}: {name}"
        seconds = time.monotonic() - self._began
        at = int(seconds / REDRAWN_S) % (WIDTH - _BLOCK + 1)
        block = "░" * at + "█" * _BLOCK + "░" * (WIDTH - _BLOCK - at)
        return f"{_CLEAR}edge: {block} {seconds:.0f} s {self._what}"

    def _write(self, text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (OSError, ValueError):
            pass  # a terminal that has gone ends no command
