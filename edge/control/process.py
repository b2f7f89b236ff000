"""A worker as an operating system process: start, end, kill. Knows nothing of revisions."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import edge

KEPT_VARIABLES = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "PYTHONDONTWRITEBYTECODE",
    "MALLOC_ARENA_MAX",
)
"""All that a worker sees of the supervisor's environment."""


def worker_environment(environment: dict[str, str]) -> dict[str, str]:
    """The allow-listed variables, and where this very package lies."""
    kept = {name: environment[name] for name in KEPT_VARIABLES if name in environment}
    kept["PYTHONPATH"] = str(Path(edge.__file__).parents[1])
    return kept


class WorkerProcess:
    """One child; `on_exit(code)` comes once, negative codes are signals."""

    def __init__(self, number: int, workers: int, on_exit: Callable[[int], None]) -> None:
        """Starts number `number` of `workers`. `wire` is our end of the socket pair; the caller owns it."""
        self._on_exit = on_exit
        self._loop = asyncio.get_running_loop()
        self.wire, theirs = socket.socketpair()
        command = [
            sys.executable,
            "-P",
            "-m",
            "edge.worker",
            "--wire",
            str(theirs.fileno()),
            "--number",
            str(number),
            "--workers",
            str(workers),
        ]
        with theirs:
            self._child = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=worker_environment(dict(os.environ)),
                # A ^C at the terminal goes to the supervisor alone, which drains its workers.
                start_new_session=True,
            )
        self.pid = self._child.pid
        self._handle = os.pidfd_open(self.pid)
        self._loop.add_reader(self._handle, self._ended)

    def kill(self) -> None:
        """At once. Harmless when it has ended."""
        if self._handle >= 0:
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def _ended(self) -> None:
        self._loop.remove_reader(self._handle)
        os.close(self._handle)
        self._handle = -1
        self._on_exit(self._child.wait())
