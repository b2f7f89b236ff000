"""Upgrade: WebSockets go through edge, past filters, in both directions, and nothing slips in early."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from wsproto.events import AcceptConnection, Message, Ping, Pong, RejectConnection

from tests.integration.authority import HOSTS, Authority
from tests.integration.raw_client import RawClient, request
from tests.integration.running_edge import (
    EdgeProcess,
    configuration,
    rule,
    running_edge,
    secured,
    through,
    within,
)
from tests.integration.scripted_upstream import Conversation, Upstream, reply, scripted
from tests.integration.websocket_echo import PATH, WebSocketClient, echo

UPGRADE = (b"connection: Upgrade", b"upgrade: test")
_EVENT_S = 30.0


@dataclass
class Site:
    edge: EdgeProcess
    authority: Authority
    other: Upstream
    ended: threading.Event

    def connect(self, scheme: str) -> RawClient:
        if scheme == "http":
            return RawClient(self.edge.web)
        return RawClient(self.edge.ports["secure"], (self.authority.client(), HOSTS[0]))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, edge_state: Path, authority: Authority) -> Iterator[Site]:
    ended = threading.Event()

    async def other(it: Conversation) -> None:
        """Refuses the first upgrade of /refused; for /late looks what came before the 101."""
        while True:
            head = await it.head()
            upstream.requests.append(head)
            if head.target != b"/late":
                await it.send(reply(b"no"))
                continue
            await it.pause()
            early = it.reader._buffer  # type: ignore[attr-defined]
            head.body = bytes(early)
            await it.send(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: test\r\n\r\n")
            await it.send(await it.reader.readexactly(5))
            await it.until_closed()
            ended.set()

    with scripted(echo) as sockets, scripted(other) as upstream:
        transform = {
            "name": "polish",
            "module": "headers",
            "config": {"response": {"set": {"x-served-by": "edge"}}},
        }
        config = configuration(
            {"sockets": [sockets.port], "other": [upstream.port]},
            [rule("other"), rule("sockets", PATH, filters=[through("polish")])],
            modules={"headers": {"builtin": "header-transform"}},
            filterChains={"polish": [transform]},
        )
        secured(config, authority.listener())
        with running_edge(tmp_path_factory.mktemp("websocket"), config, edge_state) as edge:
            yield Site(edge, authority, upstream, ended)


both = pytest.mark.parametrize("scheme", ["http", "https"])


@both
def test_messages_go_both_ways(site: Site, scheme: str) -> None:
    with site.connect(scheme) as client:
        peer = WebSocketClient(client, subprotocols=("chat",))
        accepted = peer.next()
        assert isinstance(accepted, AcceptConnection)
        assert accepted.subprotocol == "chat"
        assert (b"x-served-by", b"edge") in [(bytes(k), bytes(v)) for k, v in accepted.extra_headers]
        for data in ("hello", "ö" * 1000, b"\x00\xff" * 100_000):
            peer.send(Message(data))
            assert peer.message() == data
        peer.send(Ping(b"are you there"))
        pong = peer.next()
        assert isinstance(pong, Pong)
        assert pong.payload == b"are you there"
        assert peer.close() == 1000


@both
def test_a_hundred_sockets_at_once(site: Site, scheme: str) -> None:
    peers = [WebSocketClient(site.connect(scheme)) for _ in range(100)]
    for number, peer in enumerate(peers):
        assert isinstance(peer.next(), AcceptConnection)
        peer.send(Message(f"number {number}"))
    assert [peer.message() for peer in peers] == [f"number {number}" for number in range(100)]
    for peer in peers:
        peer.client.socket.close()


@both
def test_a_refused_upgrade_is_an_ordinary_response(site: Site, scheme: str) -> None:
    with site.connect(scheme) as client:
        peer = WebSocketClient(client, "/refused")
        refused = peer.next()
        assert isinstance(refused, RejectConnection)
        assert refused.status_code == 200


@both
def test_bytes_before_the_101_wait_for_it(site: Site, scheme: str) -> None:
    site.ended.clear()
    with site.connect(scheme) as client:
        client.send(request(b"/late", *UPGRADE, body=b"early"))
        assert client.response().status == 101
        assert client.exactly(5) == b"early"
    arrived = site.other.requests[-1]
    assert (arrived.target, arrived.body) == (b"/late", b"")
    assert site.ended.wait(_EVENT_S), "the tunnel ends with the client"


def test_a_tunnel_ends_when_its_client_is_gone(site: Site) -> None:
    before = site.edge.state()["workers"][0]["exchanges"]
    client = site.connect("http")
    peer = WebSocketClient(client)
    assert isinstance(peer.next(), AcceptConnection)
    client.reset()
    for _ in within(_EVENT_S, "the worker has let go of the tunnel"):
        if site.edge.state()["workers"][0]["exchanges"] <= before:
            break


def test_a_request_that_only_looks_like_an_upgrade_is_forwarded_without_one(site: Site) -> None:
    with site.connect("http") as client:
        final = client.exchange(request(b"/plain", b"upgrade: test"))
        assert (final.status, final.body) == (200, b"no")
        assert site.other.requests[-1].values(b"upgrade") == []
        assert client.exchange(request(b"/again")).body == b"no"


def test_half_a_frame_and_a_closed_half_end_the_tunnel_cleanly(site: Site) -> None:
    with site.connect("http") as client:
        peer = WebSocketClient(client)
        assert isinstance(peer.next(), AcceptConnection)
        client.send(b"\x81\xfe")
        client.socket.shutdown(socket.SHUT_WR)
        assert client.rest() == b""
