"""A client whose streams never end takes no cluster from the others. Everything about it is as it comes."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

import pytest

from tests.integration.authority import HOSTS, Authority
from tests.integration.protocol_site import Site, every_protocol, fields
from tests.integration.raw_client import request
from tests.integration.running_edge import configuration, rule, running_edge, within
from tests.integration.scripted_upstream import Conversation, reply, scripted

CONNECTIONS: Final = 32
"""Of the cluster: few, so that the test costs little."""
SHARE: Final = CONNECTIONS * 3 // 4
WAITING: Final = 8
ASKED: Final = 80
BODY_BYTES: Final = 4 << 20
"""More than the kernel keeps for a client that does not read."""
_WINDOW: Final = {4: 16_384}
_BUFFER_BYTES: Final = 4096
_LIMIT_S: Final = 60.0
_HONEST: Final = "127.0.0.2"


class Slow:
    """The answers that are under way for clients who do not read them."""

    def __init__(self) -> None:
        self.now = 0

    async def script(self, it: Conversation) -> None:
        while (await it.head()).target != b"/slow":
            await it.send(reply(b"ok"))
        self.now += 1
        try:
            await it.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % BODY_BYTES)
            for _ in range(BODY_BYTES >> 16):
                await it.send(bytes(1 << 16))
            await it.reader.read(1)
        finally:
            self.now -= 1


@pytest.fixture(scope="module")
def slow() -> Slow:
    return Slow()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, slow: Slow) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("shares")
    authority = Authority(folder)
    with scripted(slow.script) as upstream:
        config = every_protocol(configuration({"up": [upstream.port]}, [rule("up")]), authority)
        config["clusters"][0]["circuitBreaker"] = {
            "maxConnections": CONNECTIONS,
            "maxPendingRequests": WAITING,
        }
        with running_edge(folder / "edge", config, folder / "state") as edge:
            yield Site(edge, authority)
            edge.check_sound()


def _attack(site: Site, protocol: str, several: ExitStack) -> None:
    """Ask for much more than the cluster has, on several connections, and read none of it."""
    if protocol == "h1":
        for _ in range(ASKED):
            one = several.enter_context(socket.socket())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
            one.connect(("127.0.0.1", site.edge.web))
            one.sendall(request(b"/slow"))
        return
    slow = {"max_stream_data": _WINDOW[4]} if protocol == "h3" else {"client_settings": _WINDOW}
    for _ in range(4):
        client = several.enter_context(site.connect(protocol, **slow))
        client.grants = False
        for _ in range(ASKED // 4):
            client.request(fields("/slow"))
        client.read(0.01)


def _ask_from_elsewhere(site: Site) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", site.edge.web, _LIMIT_S, (_HONEST, 0))
    try:
        connection.request("GET", "/quick", headers={"host": HOSTS[0]})
        return connection.getresponse().read()
    finally:
        connection.close()


@pytest.mark.parametrize("protocol", ["h1", "h2", "h3"])
def test_streams_that_nobody_reads_leave_connections_to_other_clients(
    site: Site, slow: Slow, protocol: str
) -> None:
    turned_away = site.edge.metric("edge_cluster_rejected_total", 'reason="client_share"')
    with ExitStack() as several:
        _attack(site, protocol, several)
        for _ in within(_LIMIT_S, "the attacker has its share, and the rest is turned away"):
            refused = site.edge.metric("edge_cluster_rejected_total", 'reason="client_share"') - turned_away
            if slow.now == SHARE and refused >= ASKED - SHARE - WAITING:
                break
        for _ in range(20):
            assert _ask_from_elsewhere(site) == b"ok"
            assert slow.now <= SHARE
    for _ in within(_LIMIT_S, "what the attacker held is free again"):
        if slow.now == 0:
            break
    assert site.ask("h1", "/quick").body == b"ok", "and its address is served as any other"
