"""Mutated bytes of all three protocols against a running edge; a judge is its upstream."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.amounts import amount
from tests.hostile.live_site import LiveSite, live_site
from tests.integration.h3_client import H3Client
from tests.property.mutation import Conversation, conversations
from tests.property.test_h2_requests import GREETING

EXAMPLES: Final = amount("fuzz against a running edge: conversations a protocol")
_BATCH: Final = 100
_PROBE_EVERY: Final = 50
_LATEST_S: Final = 30.0
_CUT: Final = frozenset((errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSite]:
    with live_site(tmp_path_factory.mktemp("fuzz")) as site:
        yield site
        site.edge.check_sound()


def _fuzz(
    protocol: str, site: LiveSite, play: Callable[[Conversation], None], requests: Callable[[bytes], int]
) -> int:
    """Plays different conversations, looks after each whether upstream was offended; how many.

    `requests` is how many a conversation can hold at most. What was cut off may arrive late, so
    those of all together are compared with what arrived.
    """
    played: set[Conversation] = set()
    first = len(site.judge.arrived)
    most = 0

    def check() -> None:
        site.probe()
        os.kill(site.worker, 0)
        assert len(site.arrived(first)) <= most, "a request became two"

    @settings(
        max_examples=-(-EXAMPLES // _BATCH),
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, (1 << 64) - 1))
    def fuzz(seed: int) -> None:
        nonlocal most
        due = len(played) + _BATCH
        for conversation in conversations(protocol, seed):
            if conversation in played:
                continue
            played.add(conversation)
            most += requests(b"".join(conversation))
            try:
                play(conversation)
                assert site.upstream.faults == [], site.judge.log()
                if len(played) % _PROBE_EVERY == 0:
                    check()
            except AssertionError as error:
                raise AssertionError(f"seed {seed}: {conversation!r}") from error
            if len(played) == due:
                return

    fuzz()
    check()
    assert any(each.complete for each in site.arrived(first)), "upstream saw nothing of it"
    return len(played)


def _talk(port: int, pieces: Conversation) -> bytes:
    """Send, end our side, and read until edge ends its own, however it does."""
    came = b""
    with socket.create_connection(("127.0.0.1", port), _LATEST_S) as client:
        try:
            for piece in pieces:
                client.sendall(piece)
            client.shutdown(socket.SHUT_WR)
            while more := client.recv(1 << 16):
                came += more
        except OSError as error:
            assert error.errno in _CUT, error
    return came


def test_http1_bytes(site: LiveSite) -> None:
    def play(conversation: Conversation) -> None:
        since = len(site.judge.arrived)
        said = _talk(site.edge.web, conversation)
        complete = [each for each in site.arrived(since) if each.complete]
        assert said.count(b"HTTP/1.1 200 OK\r\n") <= len(complete), "an answer of edge's own is no 200"

    assert _fuzz("h1", site, play, lambda wire: wire.count(b"HTTP/1.")) >= EXAMPLES


def test_http2_bytes(site: LiveSite) -> None:
    def play(conversation: Conversation) -> None:
        _talk(site.edge.web, (GREETING, *conversation))

    # A head takes a frame, and a frame nine bytes; none of these is longer than some.
    assert _fuzz("h2", site, play, lambda wire: len(wire) // 9) >= EXAMPLES


class _Streams:
    """A stream for each conversation, on one QUIC connection as long as it lives."""

    def __init__(self, site: LiveSite) -> None:
        self._site = site
        self._client: H3Client | None = None

    def _connected(self) -> H3Client:
        client = self._client
        if client is None or client.closed is not None:
            self.leave()
            made = self._site.connect("h3")
            assert isinstance(made, H3Client)
            self._client = client = made
        return client

    def leave(self) -> None:
        if self._client is not None:
            self._client.__exit__(None, None, None)
            self._client = None

    def play(self, conversation: Conversation) -> None:
        client = self._connected()
        stream_id = client.raw(b"", end=False)
        with suppress(RuntimeError, ValueError):  # edge stopped it before its end
            for index, piece in enumerate(conversation):
                client.quic.send_stream_data(stream_id, piece, index == len(conversation) - 1)
                client.flush()
                client.read(0.0)
        client.wait(lambda: client.ended(stream_id) or stream_id in client.resets, _LATEST_S)
        client.events.clear()


def test_http3_bytes(site: LiveSite) -> None:
    streams = _Streams(site)
    try:
        assert _fuzz("h3", site, streams.play, lambda wire: 1) >= EXAMPLES
    finally:
        streams.leave()
