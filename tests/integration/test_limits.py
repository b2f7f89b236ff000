"""Limits of clients and of the machine, live: who asks for too much is turned away, others are served."""

from __future__ import annotations

import http.client
import json
import resource
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.integration.edge_process import Upstream
from tests.integration.running_edge import EdgeProcess, configuration, rule, running_edge, within

DEADLINE_S = 60.0
SLOW_S = 60.0
"""Twice a window of 10 s is the rule; the rest is for a busy machine."""


def connect(edge: EdgeProcess, source: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", edge.web), DEADLINE_S, source_address=(source, 0))


def asks(sock: socket.socket) -> bytes:
    """The status line of a request on `sock`, empty when the connection was cut."""
    try:
        sock.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        return sock.recv(65536).partition(b"\r\n")[0]
    except OSError:
        return b""


def status(edge: EdgeProcess) -> int:
    """Of a request on a connection of its own; 0 = there was no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", edge.web, timeout=DEADLINE_S)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def test_one_address_cannot_take_every_place(tmp_path: Path, edge_state: Path) -> None:
    with Upstream() as upstream, ExitStack() as stack:
        made = configuration({"up": [upstream.port]}, [rule("up")], limits={"maxConnectionsPerAddress": 3})
        edge = stack.enter_context(running_edge(tmp_path / "edge", made, edge_state))
        held = [stack.enter_context(connect(edge)) for _ in range(3)]
        assert [asks(sock) for sock in held] == [b"HTTP/1.1 200 OK"] * 3
        with connect(edge) as fourth:
            assert asks(fourth) == b""
        with connect(edge, "127.0.0.2") as other:
            assert asks(other) == b"HTTP/1.1 200 OK"
        for _ in within(DEADLINE_S, "the refusal is counted"):
            if edge.metric("edge_server_refused_total", "LimitExceeded") == 1:
                break
        held[0].close()
        for _ in within(DEADLINE_S, "a place is free again"):
            if status(edge) == 200:
                break


@contextmanager
def slow_clients(edge: EdgeProcess, each: int) -> Iterator[list[socket.socket]]:
    """`each` of: a slow head, a slow body, a slow chunked body, and a body of which nothing comes."""
    starts = (
        b"GET / HTTP/1.1\r\nhost: a\r\nx: ",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\nx",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n",
    )
    with ExitStack() as stack:
        socks = []
        for start in starts:
            for _ in range(each):
                sock = stack.enter_context(connect(edge))
                sock.sendall(start)
                socks.append(sock)
        yield socks


def still_open(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        return bool(sock.recv(65536)) and still_open(sock)
    except BlockingIOError:
        return True
    except OSError:
        return False


def test_slow_senders_are_let_go_while_others_are_served(tmp_path: Path, edge_state: Path) -> None:
    """F10, and goal 8 in small: slowhttptest's -H, -B and their like."""
    with Upstream() as upstream:
        made = configuration({"up": [upstream.port]}, [rule("up")], limits={"headTimeout": "5s"})
        with running_edge(tmp_path / "edge", made, edge_state) as edge, slow_clients(edge, 25) as socks:
            waiting, drip = list(socks), time.monotonic()
            for _ in within(SLOW_S, "every slow client is gone"):
                assert status(edge) == 200
                if time.monotonic() - drip > 1:
                    drip = time.monotonic()
                    for sock in socks[:75]:
                        try:
                            sock.send(b"a")
                        except OSError:
                            pass  # cut already
                waiting = [sock for sock in waiting if still_open(sock)]
                if not waiting:
                    break
            assert status(edge) == 200


@contextmanager
def descriptors(number: int) -> Iterator[None]:
    """What is started inside may have so many open files."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_worker_without_descriptors_recovers(tmp_path: Path, edge_state: Path) -> None:
    """F24: more connections than it has descriptors for; it lives, and serves when they are gone."""
    with Upstream() as upstream, ExitStack() as stack:
        made = configuration({"up": [upstream.port]}, [rule("up")], limits={"headTimeout": "300s"})
        with descriptors(200):
            edge = stack.enter_context(running_edge(tmp_path / "edge", made, edge_state))
        pid = edge.worker_pid
        with ExitStack() as crowd:
            for _ in within(4 * DEADLINE_S, "the worker is overloaded"):
                for _ in range(4):
                    sock = socket.socket()
                    crowd.callback(sock.close)
                    sock.setblocking(False)
                    sock.connect_ex(("127.0.0.1", edge.web))
                if edge.metric("edge_worker_pressure") == 2:
                    break
            assert edge.is_ready()
        for _ in within(DEADLINE_S, "it serves again"):
            if status(edge) == 200 and edge.metric("edge_worker_pressure") == 0:
                break
        assert edge.worker_pid == pid


def test_a_worker_without_memory_takes_nobody_in_until_it_may_have_more(
    tmp_path: Path, edge_state: Path
) -> None:
    with Upstream() as upstream:
        made = configuration({"up": [upstream.port]}, [rule("up")], limits={"memory": "16Mi"})
        with running_edge(tmp_path / "edge", made, edge_state) as edge:
            for _ in within(DEADLINE_S, "the worker is overloaded"):
                if edge.metric("edge_worker_pressure") == 2:
                    break
            assert edge.is_ready()
            made["limits"] = {}
            (edge.folder / "edge.yaml").write_text(json.dumps(made))
            edge.process.send_signal(signal.SIGHUP)
            for _ in within(DEADLINE_S, "it serves again"):
                if edge.metric("edge_worker_pressure") == 0 and status(edge) == 200:
                    break
