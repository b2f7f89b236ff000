"""Admin's way of writing: an answer is whole, however large it is and however slowly it is read."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvloop

from edge.control.admin.app import AdminApp
from edge.control.admin.server import AdminServer

PAGE = b"edge_some_metric_total 1.0\n" * 200_000
PATIENCE_S = 60.0


class Source:
    """Large metrics and nothing else."""

    def metrics(self) -> bytes:
        return PAGE


@contextmanager
def served(keep_alive_s: float) -> Iterator[int]:
    """The port of an admin of which a connection that asks nothing is closed after `keep_alive_s`."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    ready, over = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def main() -> None:
        source: Any = Source()
        server = AdminServer(AdminApp(source, port), listening)
        server._config.keep_alive_timeout = keep_alive_s
        server.start()
        loops.append(asyncio.get_running_loop())
        ready.set()
        await over.wait()
        await server.stop()

    thread = threading.Thread(target=lambda: uvloop.run(main()))
    thread.start()
    try:
        assert ready.wait(PATIENCE_S)
        yield port
    finally:
        loops[0].call_soon_threadsafe(over.set)
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def read(port: int, pause_s: float, *fields: bytes) -> bytes:
    """The body of /metrics, read through a small window with a pause after each piece."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        sock.settimeout(PATIENCE_S)
        sock.connect(("127.0.0.1", port))
        head = (b"GET /metrics HTTP/1.1", b"host: 127.0.0.1:%d" % port, *fields, b"", b"")
        sock.sendall(b"\r\n".join(head))
        came = b""
        while b"\r\n\r\n" not in came or len(came.partition(b"\r\n\r\n")[2]) < len(PAGE):
            piece = sock.recv(1 << 18)
            if not piece:
                break
            came += piece
            if len(came) < len(PAGE) // 2:
                time.sleep(pause_s)
    return came.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("fields", [(), (b"connection: close",)], ids=["kept", "closed"])
@pytest.mark.parametrize("pause_s", [0.0, 0.005], ids=["fast", "slow"])
def test_a_large_answer_is_whole_also_for_who_reads_longer_than_idle_connections_live(
    pause_s: float, fields: tuple[bytes, ...]
) -> None:
    with served(keep_alive_s=0.1) as port:
        begun = time.monotonic()
        assert read(port, pause_s, *fields) == PAGE
        assert not pause_s or time.monotonic() - begun > 0.2


def test_many_readers_at_once_all_get_all_of_it() -> None:
    with served(keep_alive_s=5.0) as port:
        bodies: list[bytes] = []
        readers = [
            threading.Thread(target=lambda: bodies.append(read(port, 0.001, b"connection: close")))
            for _ in range(12)
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(PATIENCE_S)
        assert [body == PAGE for body in bodies] == [True] * len(readers)
