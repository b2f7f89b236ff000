"""WebSockets through two edges: HTTP/1.1 to the outer, HTTP/2 from it to the inner, plain and over TLS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from wsproto.events import AcceptConnection, Message, RejectConnection

from tests.integration.authority import HOSTS, Authority
from tests.integration.raw_client import RawClient
from tests.integration.running_edge import EdgeProcess, configuration, rule, running_edge, secured
from tests.integration.scripted_upstream import Conversation, reply, scripted
from tests.integration.websocket_echo import PATH, WebSocketClient, echo

UPSTREAMS = ("plain", "tls")


async def refuse(it: Conversation) -> None:
    """Answers an upgrade with a page."""
    await it.head()
    await it.send(reply(b"no"))


@pytest.fixture(scope="module")
def outer(
    tmp_path_factory: pytest.TempPathFactory, edge_state: Path, authority: Authority
) -> Iterator[EdgeProcess]:
    folder = tmp_path_factory.mktemp("two-edges")
    with ExitStack() as stack:
        sockets = stack.enter_context(scripted(echo))
        pages = stack.enter_context(scripted(refuse))
        config = configuration(
            {"sockets": [sockets.port], "pages": [pages.port]},
            [rule("pages", "/plain/refused"), rule("pages", "/tls/refused"), rule("sockets")],
        )
        config["listeners"][0]["protocols"] = ["h2c"]
        secured(config, {**authority.listener(), "protocols": ["h2"]})
        inner = stack.enter_context(running_edge(folder / "inner", config, edge_state))
        ports = {"plain": [inner.web], "tls": [inner.ports["secure"]]}
        config = configuration(ports, [rule(name, f"/{name}") for name in UPSTREAMS])
        for cluster in config["clusters"]:
            cluster["protocol"] = "h2"
        config["clusters"][1]["tls"] = {"sni": HOSTS[0], "caFile": str(authority.file)}
        yield stack.enter_context(running_edge(folder / "outer", config, edge_state))


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_messages_go_both_ways(outer: EdgeProcess, upstream: str) -> None:
    with RawClient(outer.web) as client:
        peer = WebSocketClient(client, f"/{upstream}{PATH}", subprotocols=("chat",))
        accepted = peer.next()
        assert isinstance(accepted, AcceptConnection)
        assert accepted.subprotocol == "chat"
        for data in ("hello", b"\x00\xff" * 100_000):
            peer.send(Message(data))
            assert peer.message() == data
        assert peer.close() == 1000


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_many_sockets_share_connections(outer: EdgeProcess, upstream: str) -> None:
    peers = [WebSocketClient(RawClient(outer.web), f"/{upstream}{PATH}") for _ in range(50)]
    for number, peer in enumerate(peers):
        assert isinstance(peer.next(), AcceptConnection)
        peer.send(Message(f"number {number}"))
    assert [peer.message() for peer in peers] == [f"number {number}" for number in range(50)]
    for peer in peers:
        peer.client.socket.close()


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_an_upgrade_the_inner_edge_could_not_get_is_its_502(outer: EdgeProcess, upstream: str) -> None:
    with RawClient(outer.web) as client:
        refused = WebSocketClient(client, f"/{upstream}/refused").next()
        assert isinstance(refused, RejectConnection)
        assert refused.status_code == 502
