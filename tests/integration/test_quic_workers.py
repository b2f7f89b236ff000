"""HTTP/3 over several workers: connections stay with theirs when clients move, and end cleanly with it."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.integration.authority import HOSTS, Authority
from tests.integration.edge_process import Upstream
from tests.integration.h3_client import H3Client
from tests.integration.protocol_site import every_protocol, fields, reply_of
from tests.integration.running_edge import EdgeProcess, configuration, rule, running_edge, within

CLIENTS: Final = 24
WAIT_S: Final = 60.0


class Moving(H3Client):
    """May go on from another port."""

    def move(self, new_id: bool) -> None:
        """As a NAT does it, or, with a new connection id, as a client does that changes its network."""
        old = self.network.socket
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.connect(old.getpeername())
        assert made.getsockname() != old.getsockname()
        self.network.socket = made
        old.close()
        if new_id:
            self.quic.change_connection_id()

    def get(self) -> int:
        return reply_of(self, self.request(fields())).status


@contextmanager
def _edge(
    folder: Path, state: Path, authority: Authority, workers: int, restarts: int = 0
) -> Iterator[EdgeProcess]:
    with Upstream() as upstream:
        config = every_protocol(configuration({"up": [upstream.port]}, [rule("up")]), authority)
        arguments = ("--workers", str(workers))
        with running_edge(folder / "edge", config, state, *arguments, restarts=restarts) as edge:
            yield edge


def _connections(edge: EdgeProcess) -> list[int]:
    return [worker["connections"] for worker in edge.state()["workers"]]


@pytest.mark.parametrize("workers", [2, 3])
def test_clients_that_change_their_port_keep_their_connections(
    tmp_path: Path, edge_state: Path, authority: Authority, workers: int
) -> None:
    with _edge(tmp_path, edge_state, authority, workers) as edge, ExitStack() as clients:
        moving = [
            clients.enter_context(Moving(edge.ports["secure"], HOSTS[0], idle_timeout=WAIT_S))
            for _ in range(CLIENTS)
        ]
        assert [client.get() for client in moving] == [200] * CLIENTS
        for new_id in (False, True):
            for client in moving:
                client.move(new_id)
            assert [client.get() for client in moving] == [200] * CLIENTS
        assert [client.closed for client in moving] == [None] * CLIENTS
        for _ in within(WAIT_S, "every connection is counted once"):
            if sum(_connections(edge)) == CLIENTS:
                break
        assert sum(number > 0 for number in _connections(edge)) >= 2


def test_a_new_worker_ends_the_connections_of_the_dead_one(
    tmp_path: Path, edge_state: Path, authority: Authority
) -> None:
    with _edge(tmp_path, edge_state, authority, 2, restarts=1) as edge, ExitStack() as clients:
        talking = [clients.enter_context(Moving(edge.ports["secure"], HOSTS[0])) for _ in range(8)]
        assert [client.get() for client in talking] == [200] * 8
        # Ours, whose first byte says which worker has it.
        numbers = [client.quic._peer_cid.cid[0] % 2 for client in talking]
        first = edge.state()["workers"][1]["pid"]
        os.kill(first, signal.SIGKILL)
        for _ in within(WAIT_S, "the worker is back"):
            worker = edge.state()["workers"][1]
            if worker["pid"] not in (0, first) and worker["state"] == "serving":
                break
        for client, number in zip(talking, numbers, strict=True):
            if number == 0:
                assert client.get() == 200
            else:
                assert _is_reset(client)


def _is_reset(client: Moving) -> bool:
    """Whether a request is answered by a stateless reset that the client can check. Spec: RFC 9000 §10.3."""
    client.request(fields())
    token = client.quic._peer_cid.stateless_reset_token
    deadline = time.monotonic() + WAIT_S
    client.flush()
    while time.monotonic() < deadline:
        readable, _, _ = select.select([client.network.socket], [], [], 0.2)
        if readable and client.network.socket.recv(2048).endswith(token):
            return True
        client.quic.handle_timer(time.monotonic())
        client.flush()
    return False
