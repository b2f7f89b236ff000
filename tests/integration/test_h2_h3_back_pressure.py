"""Streams nobody reads, over HTTP/2 and HTTP/3: memory stays, the other side waits, other streams go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.integration.authority import Authority
from tests.integration.h3_client import H3Client
from tests.integration.protocol_site import STREAMS, Site, StreamClient, every_protocol, fields, reply_of
from tests.integration.running_edge import configuration, rule, running_edge, within
from tests.integration.scripted_upstream import Conversation, reply, scripted

BODY_BYTES: Final = 32 << 20
GROWTH_BYTES: Final = 16 << 20
PIECE: Final = bytes(1 << 16)
SLOW: Final = 20
_STILL_S: Final = 0.5
_LIMIT_S: Final = 60.0
_WINDOW_BYTES: Final = 16_384
"""Of a stream, so that a slow one leaves some of the connection's to others."""
_INITIAL_WINDOW: Final = 4

streams = pytest.mark.parametrize("protocol", STREAMS)


class Progress:
    """How far the upstream came with all its connections."""

    def __init__(self) -> None:
        self.sent = 0
        self.received = 0
        self.reads = False


@pytest.fixture(scope="module")
def progress() -> Progress:
    return Progress()


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, edge_state: Path, authority: Authority, progress: Progress
) -> Iterator[Site]:
    async def down(it: Conversation) -> None:
        await it.send(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % BODY_BYTES)
        for _ in range(BODY_BYTES // len(PIECE)):
            await it.send(PIECE)
            progress.sent += len(PIECE)

    async def up(it: Conversation) -> None:
        while not progress.reads:
            await it.pause()
        while progress.received < BODY_BYTES:
            progress.received += len(await it.reader.read(1 << 20))
        await it.send(reply(b"%d" % progress.received, b"connection: close"))

    async def script(it: Conversation) -> None:
        while True:
            head = await it.head()
            if head.target == b"/down":
                await down(it)
                return
            if head.target == b"/up":
                await up(it)
                return
            await it.send(reply(b"quick"))

    with scripted(script) as upstream:
        # Who stands still here does so for as long as the test takes.
        made = configuration({"up": [upstream.port]}, [rule("up")], limits={"minRate": 0})
        config = every_protocol(made, authority)
        with running_edge(tmp_path_factory.mktemp("back-pressure"), config, edge_state) as edge:
            site = Site(edge, authority)
            for protocol in STREAMS:
                site.ask(protocol, "/quick")
            yield site


def _until_still(client: StreamClient, position: Callable[[], int]) -> int:
    """Serve the client until `position()` has not moved for a while; where it stands."""
    last, since = position(), time.monotonic()
    for _ in within(_LIMIT_S, "the writing side is stopped"):
        client.read(0.05)
        now = position()
        if now != last:
            last, since = now, time.monotonic()
        elif last and time.monotonic() - since > _STILL_S:
            return last
    raise AssertionError


def _slow(site: Site, protocol: str) -> StreamClient:
    if protocol == "h3":
        client = site.connect(protocol, max_stream_data=_WINDOW_BYTES)
    else:
        client = site.connect(protocol, client_settings={_INITIAL_WINDOW: _WINDOW_BYTES})
    client.grants = False
    return client


@streams
def test_a_stream_nobody_reads_stops_its_upstream_and_no_other_stream(
    site: Site, progress: Progress, protocol: str
) -> None:
    progress.sent = 0
    before = site.edge.resident_bytes()
    with _slow(site, protocol) as client:
        stream_id = client.request(fields("/down"))
        stopped_at = _until_still(client, lambda: progress.sent)
        assert stopped_at < BODY_BYTES / 2, "what the kernel holds on both sides, not the body"
        assert reply_of(client, client.request(fields("/quick"))).body == b"quick"
        assert reply_of(client, client.request(fields("/quick"))).body == b"quick"
        assert progress.sent - stopped_at < len(PIECE)
        assert not client.ended(stream_id)
        assert site.edge.resident_bytes() - before < GROWTH_BYTES
    assert site.ask(protocol, "/quick").body == b"quick"


@streams
def test_many_streams_nobody_reads_cost_little(site: Site, progress: Progress, protocol: str) -> None:
    """Twenty on each of ten connections; what each may hold is bounded by marks, not by its body."""
    before = site.edge.resident_bytes()
    progress.sent = 0
    clients = []
    for _ in range(10):
        client = _slow(site, protocol)
        clients.append(client)
        for _ in range(SLOW):
            client.request(fields("/down"))
        client.read(0.01)
    try:
        _until_still(clients[-1], lambda: progress.sent)
        grown = site.edge.resident_bytes() - before
        assert grown < 10 * SLOW * (512 << 10), f"{grown >> 10} KiB"
        assert site.ask(protocol, "/quick").body == b"quick"
    finally:
        for client in clients:
            with client:
                pass


@streams
def test_an_upstream_that_does_not_read_stops_the_client(
    site: Site, progress: Progress, protocol: str
) -> None:
    progress.received = 0
    progress.reads = False
    before = site.edge.resident_bytes()
    with site.connect(protocol) as client:
        upload = fields("/up", (b"content-length", b"%d" % BODY_BYTES), method="POST")
        stream_id = client.request(upload, end=False)
        if isinstance(client, H3Client):
            client.send_data(stream_id, bytes(BODY_BYTES), True)
            sender = client.quic._streams[stream_id].sender
            sent = _until_still(client, lambda: sender.highest_offset)
        else:
            sent = client.send_what_fits(stream_id, BODY_BYTES, _STILL_S)
        assert sent < BODY_BYTES / 2
        assert reply_of(client, client.request(fields("/quick"))).body == b"quick"
        assert site.edge.resident_bytes() - before < GROWTH_BYTES
        progress.reads = True
        if not isinstance(client, H3Client):
            client.send_data(stream_id, bytes(BODY_BYTES - sent), True)
        client.wait(lambda: client.ended(stream_id), _LIMIT_S)
        assert reply_of(client, stream_id).body == b"%d" % BODY_BYTES
        assert site.edge.resident_bytes() - before < GROWTH_BYTES
