"""An origin in a process of its own, for tests that kill it, freeze it, or have it reset connections.

It writes the target of every POST it got whole to a file before it answers. SIGUSR1: from now on
each connection is reset, those that are open too.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
BACKLOG = 4
"""Few: with a frozen origin connections soon hang before they are made."""


class DyingOrigin:
    """The process, as its test sees it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        file.touch()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.dying_origin", str(file)],
            stdout=subprocess.PIPE,
            cwd=REPOSITORY,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def fail(self, how: str) -> None:
        """`killed`, `frozen` (connections are accepted by the kernel only), `resetting`."""
        signals = {"killed": signal.SIGKILL, "frozen": signal.SIGSTOP, "resetting": signal.SIGUSR1}
        self._process.send_signal(signals[how])

    def posts(self) -> list[str]:
        """Targets of all POSTs it got."""
        return self._file.read_text().split()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


@contextmanager
def dying_origin(file: Path) -> Iterator[DyingOrigin]:
    """A running one; killed at the end."""
    origin = DyingOrigin(file)
    try:
        yield origin
    finally:
        origin.close()


class _Server:
    def __init__(self, file: int) -> None:
        self._file = file
        self._resetting = False
        self._writers: set[asyncio.StreamWriter] = set()

    def reset(self) -> None:
        self._resetting = True
        for writer in self._writers:
            _reset(writer)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while not self._resetting:
                head = await reader.readuntil(b"\r\n\r\n")
                method, target, _ = head.split(b" ", 2)
                if method == b"POST":
                    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                    await reader.readexactly(length)
                    os.write(self._file, target + b"\n")
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(target), target))
                await writer.drain()
            _reset(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    made = writer.get_extra_info("socket")
    if made is not None and made.fileno() >= 0:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _main(file: str) -> None:
    server = _Server(os.open(file, os.O_WRONLY | os.O_APPEND))
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, server.reset)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, backlog=BACKLOG)
    print(listening.sockets[0].getsockname()[1], flush=True)
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
