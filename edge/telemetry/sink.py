"""Lines to a file, pipe or terminal without ever blocking or failing the loop that writes them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from errno import EPIPE
from select import POLLOUT, poll
from typing import Final

FLUSH_BYTES: Final = 64 << 10
FLUSH_S: Final = 0.2
BACKLOG_BYTES: Final = 1 << 20
"""Kept while a pipe's reader is slow; what comes on top is dropped."""
_PIPE_BYTES: Final = 4096
"""A pipe that polls writable takes this much at once without blocking (PIPE_BUF)."""
_MODE: Final = 0o640
_SLOW: Final = "its reader is too slow"


class LineSink:
    """Collects lines and writes them at 64 KiB or 0.2 s after the first.

    Regular files are appended to; other descriptors are written only as far as they take bytes
    now. A failed write (disk full, reader gone) drops the lines and counts them in `dropped`; `fault`
    says why the latest did not take all, empty when it did.
    """

    def __init__(self, target: str | int, call_later: Callable[[float, Callable[[], None]], object]) -> None:
        """`target`: path, `stdout`, `stderr` or a descriptor (not owned). OSError if it cannot be opened."""
        self.dropped = 0
        self.fault = ""
        self._call_later = call_later
        self._lines: list[bytes] = []
        self._size = 0
        self._limit = FLUSH_BYTES
        self._timer = False
        self._broken_line = False
        self._path = ""
        if isinstance(target, int):
            self._fd = target
        elif target in ("stdout", "stderr"):
            self._fd = 1 if target == "stdout" else 2
        else:
            self._path = target
            self._fd = _open(target)
        self._inspect()

    def _inspect(self) -> None:
        self._regular = stat.S_ISREG(os.fstat(self._fd).st_mode)

    def line(self, line: bytes) -> None:
        """Queue one line, its newline included. Never raises."""
        self._lines.append(line)
        self._size += len(line)
        if self._size >= self._limit:
            self._pressed()
        elif not self._timer:
            self._timer = True
            self._call_later(FLUSH_S, self._tick)

    def _pressed(self) -> None:
        if self._size > BACKLOG_BYTES:
            self.dropped += 1
            self.fault = _SLOW
            self._size -= len(self._lines.pop())
        else:
            self.flush()
        if self._lines and not self._timer:
            self._timer = True
            self._call_later(FLUSH_S, self._tick)

    def _tick(self) -> None:
        self._timer = False
        self.flush()
        if self._lines:
            self._timer = True
            self._call_later(FLUSH_S, self._tick)

    def flush(self) -> None:
        """Write what the target takes now. Never raises, never blocks on a pipe."""
        if not self._lines:
            return
        lines, self._lines, self._size = self._lines, [], 0
        self._limit = FLUSH_BYTES
        block = b"".join(lines)
        if self._broken_line:
            block = b"\n" + block
        try:
            written = self._write_file(block) if self._regular else self._write_pipe(block)
        except OSError as error:
            self.dropped += b"".join(lines).count(b"\n")
            self.fault = _said(error)
            return
        self._broken_line = False
        if written < len(block):
            self._keep(block, written)
        else:
            self.fault = ""

    def _keep(self, block: bytes, written: int) -> None:
        rest = block[written:]
        if self._regular:
            self._broken_line = written > 0 and block[written - 1 : written] != b"\n"
            self.dropped += rest.count(b"\n")
        else:
            self._lines.append(rest)
            self._size = len(rest)
            self._limit = min(self._size + FLUSH_BYTES, BACKLOG_BYTES + 1)

    def _write_file(self, block: bytes) -> int:
        written = os.write(self._fd, block)
        if 0 < written < len(block):
            try:
                written += os.write(self._fd, block[written:])
            except OSError as error:
                self.fault = _said(error)
        return written

    def _write_pipe(self, block: bytes) -> int:
        poller = poll()
        poller.register(self._fd, POLLOUT)
        written = 0
        while written < len(block):
            ready = poller.poll(0)
            if not ready or not ready[0][1] & POLLOUT:
                if ready:
                    raise BrokenPipeError(EPIPE, "broken pipe")
                return written
            written += os.write(self._fd, block[written : written + _PIPE_BYTES])
        return written

    def reopen(self) -> str:
        """Open the path anew after a rotation; keeps the old file when that fails, and says why."""
        if not self._path:
            return ""
        self.flush()
        try:
            fresh = _open(self._path)
        except OSError as error:
            return _said(error)
        os.close(self._fd)
        self._fd = fresh
        self._broken_line = False
        self._inspect()
        return ""

    def close(self) -> None:
        """Flush, and close what was opened here."""
        self.flush()
        if self._path:
            os.close(self._fd)
            self._path = ""


def _said(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
