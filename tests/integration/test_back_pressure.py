"""A client that does not read, and an upstream that does not: memory stays, the other side waits."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.authority import HOSTS, Authority
from tests.integration.raw_client import RawClient, request
from tests.integration.running_edge import EdgeProcess, configuration, rule, running_edge, secured, within
from tests.integration.scripted_upstream import Conversation, reply, scripted

BODY_BYTES = 200 << 20
GROWTH_BYTES = 20 << 20
PIECE = bytes(1 << 16)
_STILL_S = 0.5
"""So long without a byte more, and the writing side has been stopped."""
_LIMIT_S = 60.0


class Progress:
    """How far the upstream came."""

    def __init__(self) -> None:
        self.sent = 0
        self.received = 0
        self.read_on = threading.Event()


@pytest.fixture(scope="module")
def progress() -> Progress:
    return Progress()


@pytest.fixture(scope="module")
def edge(
    tmp_path_factory: pytest.TempPathFactory, edge_state: Path, authority: Authority, progress: Progress
) -> Iterator[EdgeProcess]:
    async def script(it: Conversation) -> None:
        head = await it.head()
        if head.target == b"/down":
            await it.send(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % BODY_BYTES)
            while progress.sent < BODY_BYTES:
                await it.send(PIECE)
                progress.sent += len(PIECE)
        else:
            while not progress.read_on.is_set():
                await it.pause()
            while progress.received < BODY_BYTES:
                progress.received += len(await it.reader.read(1 << 20))
            await it.send(reply(b"%d" % progress.received, b"connection: close"))

    with scripted(script) as upstream:
        # Who stands still here does so for as long as the test takes.
        made = configuration({"up": [upstream.port]}, [rule("up")], limits={"minRate": 0})
        config = secured(made, authority.listener())
        with running_edge(tmp_path_factory.mktemp("back-pressure"), config, edge_state) as edge:
            yield edge


def _connect(edge: EdgeProcess, authority: Authority, scheme: str) -> RawClient:
    if scheme == "http":
        return RawClient(edge.web)
    return RawClient(edge.ports["secure"], (authority.client(), HOSTS[0]))


def _until_still(position: Any) -> int:
    """Wait until `position()` has not moved for a while; where it stands."""
    last, since = position(), time.monotonic()
    for _ in within(_LIMIT_S, "the writing side is stopped"):
        now = position()
        if now != last:
            last, since = now, time.monotonic()
        elif last and time.monotonic() - since > _STILL_S:
            return int(last)
    raise AssertionError


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_client_that_stops_reading_stops_the_upstream(
    edge: EdgeProcess, authority: Authority, progress: Progress, scheme: str
) -> None:
    progress.sent = 0
    before = edge.resident_bytes()
    with _connect(edge, authority, scheme) as client:
        client.send(request(b"/down"))
        assert client.socket.recv(1000)
        stopped_at = _until_still(lambda: progress.sent)
        assert stopped_at < BODY_BYTES / 4
        assert edge.resident_bytes() - before < GROWTH_BYTES
        read = 0
        while read < BODY_BYTES - 1000:
            read += len(client.socket.recv(1 << 20))
        assert edge.resident_bytes() - before < GROWTH_BYTES


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_upstream_that_does_not_read_stops_the_client(
    edge: EdgeProcess, authority: Authority, progress: Progress, scheme: str
) -> None:
    progress.received = 0
    progress.read_on.clear()
    before = edge.resident_bytes()
    sent = [0]
    with _connect(edge, authority, scheme) as client:
        client.send(request(b"/up", b"content-length: %d" % BODY_BYTES, method=b"POST"))

        def send_all() -> None:
            while sent[0] < BODY_BYTES:
                client.socket.sendall(PIECE)
                sent[0] += len(PIECE)

        client.socket.settimeout(_LIMIT_S)
        sender = threading.Thread(target=send_all, daemon=True)
        sender.start()
        assert _until_still(lambda: sent[0]) < BODY_BYTES / 4
        assert edge.resident_bytes() - before < GROWTH_BYTES
        progress.read_on.set()
        sender.join(_LIMIT_S)
        assert client.response().body == b"%d" % BODY_BYTES
        assert edge.resident_bytes() - before < GROWTH_BYTES


def test_many_clients_that_never_read_cost_little(edge: EdgeProcess, progress: Progress) -> None:
    """What each may hold is bounded: the marks of both sides, not the body."""
    count = 50
    before = edge.resident_bytes()
    clients = []
    for _ in range(count):
        progress.sent = 0
        client = RawClient(edge.web)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.send(request(b"/down"))
        clients.append(client)
    _until_still(lambda: progress.sent)
    assert edge.resident_bytes() - before < count * (1 << 20)
    for client in clients:
        client.reset()
