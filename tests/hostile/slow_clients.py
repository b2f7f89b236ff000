"""Clients that begin something and go on by a byte now and then, or not at all; how edge ends each."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import Final, Literal, Protocol

import pytest
from aioquic.h3.connection import encode_frame

from edge.codec.h2.codes import Code as H2Code
from edge.codec.h3.wire import Code as H3Code
from edge.codec.h3.wire import varint
from tests.hostile.fake_h2 import data, frame, window
from tests.hostile.judge import Judge
from tests.hostile.live_site import PROBE
from tests.hostile.spending import Spent
from tests.hostile.strict import Arrived
from tests.integration.h2_client import H2Client
from tests.integration.h3_client import H3Client
from tests.integration.protocol_site import Site, fields
from tests.integration.raw_client import Truncated, request
from tests.integration.running_edge import within
from tests.integration.scripted_upstream import Conversation, reply

Kind = Literal["head", "body", "read"]
LARGE: Final = "/large"
LARGE_BYTES: Final = 16 << 20
"""More than the kernel keeps on both sides for who does not read."""
_PIECE: Final = bytes(1 << 16)
_TIMED_OUT: Final = 408
_LENGTH: Final = 1000
"""Of a body of which little comes."""
_BLOCK_BYTES: Final = 10_000
"""Of a head that is announced and does not come."""
_RECEIVED_BYTES: Final = 4096
_WINDOW_BYTES: Final = 16_384
_INITIAL_WINDOW: Final = 4
_PATIENCE_S: Final = 60.0
_BODY: Final = fields("/", (b"content-length", b"%d" % _LENGTH), method="POST")


class Generous(Judge):
    """Answers at once, and `LARGE` with more than who does not read can take.

    `begun`, `under_way`: how many requests have come upstream, and are there, probes left out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.under_way = 0
        self.begun = 0

    async def script(self, it: Conversation) -> None:
        while True:
            asked = await it.head()
            counts = asked.target != PROBE.encode()
            self.begun += counts
            self.under_way += counts
            arrived = Arrived(target=asked.target, fields=asked.fields)
            self.arrived.append(arrived)
            try:
                await it.read_body(asked)
                arrived.complete = True
                if asked.target == LARGE.encode():
                    await self._send_large(it)
                    return
                await it.send(reply(b"ok"))
            finally:
                self.under_way -= counts

    async def _send_large(self, it: Conversation) -> None:
        await it.send(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % LARGE_BYTES)
        for _ in range(LARGE_BYTES // len(_PIECE)):
            await it.send(_PIECE)


class Slow(Protocol):
    """One connection with one thing that does not come to its end."""

    def drip(self) -> None:
        """A byte more of it, or for it."""

    def is_over(self) -> bool:
        """Whether edge has ended it; reads what there is, but for who does not read."""

    def check(self, spent: Spent) -> None:
        """It ended as it should, and nothing else with it. Leaves."""


class SlowH1:
    """HTTP/1.1: the connection ends, after 408 where there was no answer yet."""

    def __init__(self, site: Site, judge: Generous, protocol: str, kind: Kind) -> None:
        self._client = client = site.h1(protocol)
        self._judge = judge
        self._reads = kind != "read"
        if kind == "head":
            client.send(b"GET / HTTP/1.1\r\nhost: shop.example\r\nx-a: ")
        elif kind == "body":
            client.send(request(b"/", b"content-length: %d" % _LENGTH, method=b"POST", body=b"x"))
        else:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVED_BYTES)
            before = judge.begun
            client.send(request(LARGE.encode()))
            for _ in within(_PATIENCE_S, "upstream is asked"):
                if judge.begun > before:
                    break

    def drip(self) -> None:
        if self._reads:
            with suppress(OSError):
                self._client.send(b"x")

    def is_over(self) -> bool:
        if not self._reads:
            return self._judge.under_way == 0
        plain, patience = self._client.socket, self._client.socket.gettimeout()
        plain.setblocking(False)
        try:
            self._client._buffer += plain.recv(1 << 16)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        finally:
            plain.settimeout(patience)
        return True

    def check(self, spent: Spent) -> None:
        with self._client as client:
            spent.by(client)
            if self._reads:
                assert client.response().status == _TIMED_OUT
                assert client.rest() == b""
            else:
                self._is_gone()
                with pytest.raises((Truncated, ConnectionResetError, ssl.SSLError)):
                    client.response()

    def _is_gone(self) -> None:
        """The other end of the connection is no more, though what the kernel kept of its answer is."""
        for _ in within(_PATIENCE_S, "the kernel refuses what is sent"):
            try:
                self._client.send(b"x")
            except OSError:
                return


class SlowH2:
    """HTTP/2: the stream ends; a head keeps all others waiting, so it ends the connection."""

    def __init__(self, site: Site, protocol: str, kind: Kind) -> None:
        client = site.connect(protocol, client_settings={_INITIAL_WINDOW: _WINDOW_BYTES})
        assert isinstance(client, H2Client)
        self._client = client
        self._kind = kind
        self._id = 1
        client.grants = False
        if kind == "head":
            begun = frame(1, client.head.block(fields()), 1, 1)
            client.send(begun + frame(9, bytes(_BLOCK_BYTES), 1, 4)[:9])
        elif kind == "body":
            client.request(_BODY, b"x", end=False)
        else:
            client.request(fields(LARGE))

    def drip(self) -> None:
        drips = {"head": b"\x90", "body": data(1, b"x"), "read": window(1, 1)}
        self._client.send(drips[self._kind])

    def is_over(self) -> bool:
        client = self._client
        client.read(0)
        if self._kind == "head":
            return client.closed
        return bool(client.heads(1) if self._kind == "body" else client.resets)

    def check(self, spent: Spent) -> None:
        with self._client as client:
            spent.by(client)
            if self._kind == "head":
                assert (client.goaway, client.heads(1)) == (H2Code.NO_ERROR, [])
                return
            if self._kind == "body":
                assert dict(client.heads(1)[0])[b":status"] == b"%d" % _TIMED_OUT
            else:
                assert client.resets == {1: H2Code.CANCEL}
            _goes_on(client)


class SlowH3:
    """HTTP/3: the stream ends, and no other."""

    def __init__(self, site: Site, protocol: str, kind: Kind) -> None:
        client = site.connect(protocol, max_stream_data=_WINDOW_BYTES)
        assert isinstance(client, H3Client)
        self._client = client
        self._kind = kind
        client.grants = False
        if kind == "head":
            self._id = client.raw(b"\x01" + varint(_BLOCK_BYTES) + b"\0\0", end=False)
        elif kind == "body":
            self._id = client.request(_BODY, b"x", end=False)
        else:
            self._id = client.request(fields(LARGE))
        client.flush()

    def drip(self) -> None:
        if self._kind != "read":
            more = b"\xd1" if self._kind == "head" else encode_frame(0, b"x")
            with suppress(RuntimeError, ValueError):  # edge has just stopped the stream
                self._client.quic.send_stream_data(self._id, more)
            self._client.flush()

    def is_over(self) -> bool:
        self._client.read(0)
        return bool(self._client.resets if self._kind == "read" else self._client.heads(self._id))

    def check(self, spent: Spent) -> None:
        with self._client as client:
            if self._kind == "read":
                assert client.resets == {self._id: H3Code.REQUEST_CANCELLED}
            else:
                assert client.status(self._id) == _TIMED_OUT
            spent.by(client)
            assert client.closed is None
            _goes_on(client)


def _goes_on(client: H2Client | H3Client) -> None:
    """Other streams of the connection are served."""
    stream_id = client.request(fields(PROBE))
    client.wait(lambda: client.ended(stream_id))
    assert client.body(stream_id) == b"ok"


def begin(site: Site, judge: Generous, protocol: str, kind: Kind) -> Slow:
    """One slow client of any protocol."""
    if protocol in ("h1", "h1s"):
        return SlowH1(site, judge, protocol, kind)
    return SlowH3(site, protocol, kind) if protocol == "h3" else SlowH2(site, protocol, kind)
