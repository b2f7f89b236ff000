"""WebSockets over HTTP/2 and HTTP/3: extended CONNECT before an upstream that speaks HTTP/1.1."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage

from tests.integration.authority import Authority
from tests.integration.protocol_site import STREAMS, Site, StreamClient, every_protocol, fields, reply_of
from tests.integration.running_edge import configuration, rule, running_edge, through, within
from tests.integration.scripted_upstream import Conversation, reply, scripted
from tests.integration.websocket_echo import PATH, echo

_EVENT_S = 30.0
streams = pytest.mark.parametrize("protocol", STREAMS)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, edge_state: Path, authority: Authority) -> Iterator[Site]:
    async def other(it: Conversation) -> None:
        while True:
            await it.head()
            await it.send(reply(b"no"))

    with scripted(echo) as sockets, scripted(other) as upstream:
        transform = {"response": {"set": {"x-served-by": "edge"}}}
        config = configuration(
            {"sockets": [sockets.port], "other": [upstream.port]},
            [rule("other"), rule("sockets", PATH, filters=[through("polish")])],
            modules={"headers": {"builtin": "header-transform"}},
            filterChains={"polish": [{"name": "polish", "module": "headers", "config": transform}]},
        )
        folder = tmp_path_factory.mktemp("websocket")
        with running_edge(folder / "edge", every_protocol(config, authority), edge_state) as edge:
            yield Site(edge, authority)


class Socket:
    """The frames of one stream; `status` of its answer."""

    def __init__(self, client: StreamClient, path: str = PATH) -> None:
        self.client = client
        head = fields(path, (b"sec-websocket-version", b"13"), method="CONNECT")
        head.insert(1, (b":protocol", b"websocket"))
        self.stream_id = client.request(head, end=False)
        client.wait(lambda: bool(client.heads(self.stream_id)))
        self.head = dict(client.heads(self.stream_id)[0])
        self.status = int(self.head[b":status"])
        self._frames = Connection(ConnectionType.CLIENT)
        self._read = 0
        self._events: list[Event] = []

    def send(self, event: Event) -> None:
        self.client.send_data(self.stream_id, self._frames.send(event), False)

    def next(self) -> Event:
        """The next event, waited for."""
        while not self._events:
            self.client.wait(lambda: len(self.client.body(self.stream_id)) > self._read)
            came = self.client.body(self.stream_id)[self._read :]
            self._read += len(came)
            self._frames.receive_data(came)
            self._events += self._frames.events()
        return self._events.pop(0)

    def message(self) -> bytes:
        """A whole message of bytes."""
        whole = b""
        while True:
            event = self.next()
            assert isinstance(event, BytesMessage)
            whole += bytes(event.data)
            if event.message_finished:
                return whole


@streams
def test_messages_go_both_ways_past_a_filter(site: Site, protocol: str) -> None:
    with site.connect(protocol) as client:
        peer = Socket(client)
        assert (peer.status, peer.head[b"x-served-by"]) == (200, b"edge")
        assert b"sec-websocket-accept" not in peer.head
        peer.send(TextMessage("grüße"))
        event = peer.next()
        assert isinstance(event, TextMessage)
        assert event.data == "grüße"
        peer.send(Ping(b"here?"))
        assert peer.next() == Pong(b"here?")
        peer.send(BytesMessage(bytes(range(256)) * 512))
        assert peer.message() == bytes(range(256)) * 512
        peer.send(CloseConnection(1000))
        event = peer.next()
        assert isinstance(event, CloseConnection)
        assert event.code == 1000
        client.wait(lambda: client.ended(peer.stream_id))


@streams
def test_sockets_and_requests_share_a_connection(site: Site, protocol: str) -> None:
    with site.connect(protocol) as client:
        peers = [Socket(client) for _ in range(5)]
        for number, peer in enumerate(peers):
            peer.send(BytesMessage(b"%d" % number))
        assert reply_of(client, client.request(fields("/plain"))).body == b"no"
        assert [peer.message() for peer in peers] == [b"%d" % number for number in range(5)]


@streams
def test_an_upstream_that_does_not_switch_is_no_socket(site: Site, protocol: str) -> None:
    with site.connect(protocol) as client:
        peer = Socket(client, "/other")
        assert peer.status != 101
        assert not 200 <= peer.status < 300, "2xx would say that the socket is open"
        assert reply_of(client, client.request(fields("/plain"))).body == b"no"


@streams
def test_a_socket_ends_when_its_client_is_gone(site: Site, protocol: str) -> None:
    before = site.edge.state()["workers"][0]["exchanges"]
    with site.connect(protocol) as client:
        assert Socket(client).status == 200
    for _ in within(_EVENT_S, "the worker has let go of the tunnel"):
        if site.edge.state()["workers"][0]["exchanges"] <= before:
            break
