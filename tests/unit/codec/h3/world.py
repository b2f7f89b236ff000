"""A QUIC host and its clients in memory: time, turns of the loop and the network move when told."""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from itertools import count
from typing import Any

import trustme
from aioquic.h3.connection import H3Connection, encode_frame
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import (
    ConnectionTerminated,
    HandshakeCompleted,
    ProtocolNegotiated,
    StopSendingReceived,
    StreamReset,
)

from edge import model
from edge.codec.context import ListenerContext
from edge.codec.h3.certificates import Certificates
from edge.codec.h3.transport import TransportSettings
from edge.errors import EdgeError
from edge.exchange.deadlines import Deadlines
from edge.exchange.seams import Connection, Downstream
from edge.head import RequestHead
from edge.listen.quic_door import Door
from edge.listen.quic_host import QuicHost
from edge.model import Limits
from tests.hostile.fake_h1 import AnsweringExchange, FakeExchange
from tests.unit.codec.h3.control_stream import ControlStream

HERE = ("192.0.2.1", 443)
GET = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", b"/")]


@cache
def authority() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@cache
def certificate(*hostnames: str) -> model.Certificate:
    issued = authority().issue_cert(*hostnames, key_type=trustme.KeyType.ECDSA)
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    return model.Certificate(
        hostnames=list(hostnames), chain_pem=chain, key_pem=issued.private_key_pem.bytes()
    )


def settings(*certificates: model.Certificate, idle_timeout_s: float = 60.0) -> TransportSettings:
    numbers = count(1)
    return TransportSettings(
        Certificates(list(certificates) or [certificate("a")]),
        lambda: next(numbers).to_bytes(8, "big"),
        lambda cid: sha256(b"test" + cid).digest()[:16],
        idle_timeout_s,
    )


class _Timer:
    def __init__(self, at: float, callback: Callable[[], None]) -> None:
        self.at = at
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeLoop:
    """As much of an event loop as the host asks for."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.soon: deque[Callable[[], None]] = deque()
        self.timers: list[_Timer] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[..., None], *arguments: Any) -> None:
        self.soon.append(lambda: callback(*arguments))

    def call_at(self, when: float, callback: Callable[..., None], *arguments: Any) -> _Timer:
        timer = _Timer(when, lambda: callback(*arguments))
        self.timers.append(timer)
        return timer

    def call_later(self, delay: float, callback: Callable[..., None], *arguments: Any) -> _Timer:
        return self.call_at(self.now + delay, callback, *arguments)

    def turn(self) -> None:
        while self.soon:
            self.soon.popleft()()

    def next_timer(self) -> _Timer | None:
        self.timers = [timer for timer in self.timers if not timer.cancelled]
        return min(self.timers, key=lambda timer: timer.at, default=None)


class FakeNetwork:
    """The host's datagram transport; `drop` decides which of its datagrams get lost."""

    def __init__(self) -> None:
        self.sent: deque[tuple[bytes, Any]] = deque()
        self.bytes_out = 0
        self.drop: Callable[[bytes], bool] = lambda data: False

    def sendto(self, data: bytes, addr: Any) -> None:
        self.bytes_out += len(data)
        if not self.drop(data):
            self.sent.append((data, addr))

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return HERE if name == "sockname" else default

    def close(self) -> None:
        self.sent.clear()


class World:
    """One listener without sockets."""

    def __init__(
        self,
        make: Callable[[Downstream, RequestHead, bool], FakeExchange] = AnsweringExchange,
        limits: Limits | None = None,
        transport: TransportSettings | None = None,
    ) -> None:
        self.loop = loop = FakeLoop()
        self.network = FakeNetwork()
        self.exchanges: list[FakeExchange] = []
        self.connections: list[Connection] = []
        self.unhandled: list[BaseException] = []
        self.refused: list[EdgeError] = []
        self.make = make
        self.clients: dict[Any, Client] = {}
        ids = count(1)
        self.context = ListenerContext(
            accept=self._accept,
            scheme=b"https",
            limits=limits or Limits(),
            deadlines=Deadlines(loop.time, loop.call_later),
            clock=loop.time,
            next_id=lambda: next(ids),
            unhandled=self.unhandled.append,
            refused=lambda error, client=b"", protocol="": self.refused.append(error),
        )
        self.door = Door(transport or settings())
        self.host = QuicHost(self.context, self.door, loop)  # type: ignore[arg-type]
        self.host.connection_made(self.network)  # type: ignore[arg-type]

    def _accept(
        self, connection: Connection, downstream: Downstream, head: RequestHead, end: bool
    ) -> FakeExchange:
        exchange = self.make(downstream, head, end)
        self.connections.append(connection)
        self.exchanges.append(exchange)
        return exchange

    def client(self, **keywords: Any) -> Client:
        """A client that has finished its handshake."""
        client = Client(self, **keywords)
        client.connect()
        self.settle()
        assert client.established, client.closed
        return client

    def settle(self) -> None:
        """Move datagrams and turns until nothing moves; time stands still."""
        for _ in range(10_000):
            self.loop.turn()
            moved = False
            while self.network.sent:
                data, addr = self.network.sent.popleft()
                client = self.clients.get(addr)
                if client is not None:
                    client.receive(data)
                    moved = True
            for client in list(self.clients.values()):
                for data, _ in client.quic.datagrams_to_send(self.loop.now):
                    client.bytes_out += len(data)
                    self.host.datagram_received(data, client.address)
                    moved = True
            if not moved and not self.loop.soon:
                return
        raise AssertionError("the network never rests")

    def advance(self, seconds: float) -> None:
        """Let time pass, with everybody's timers."""
        until = self.loop.now + seconds
        self.settle()
        while True:
            timer = self.loop.next_timer()
            due = [(timer.at, 0)] if timer is not None else []
            for client in self.clients.values():
                at = client.quic.get_timer()
                if at is not None:
                    due.append((at, 1))
            if not due or min(due)[0] > until:
                break
            at = min(due)[0]
            self.loop.now = max(self.loop.now, at)
            if timer is not None and timer.at <= self.loop.now:
                timer.cancel()
                timer.callback()
            for client in list(self.clients.values()):
                mine = client.quic.get_timer()
                if mine is not None and mine <= self.loop.now:
                    client.quic.handle_timer(self.loop.now)
                    client.pump()
            self.settle()
        self.loop.now = until
        self.settle()


class Client:
    """aioquic's own client; it keeps all it was told."""

    numbers = count(40_000)

    def __init__(
        self,
        world: World,
        server_name: str | None = "a",
        h3: bool = True,
        quic: Callable[[QuicConfiguration], QuicConnection] | None = None,
        **configuration: Any,
    ) -> None:
        self.world = world
        self.address = ("198.51.100.7", next(self.numbers))
        world.clients[self.address] = self
        made = QuicConfiguration(
            is_client=True, alpn_protocols=["h3"], server_name=server_name, verify_mode=ssl.CERT_NONE
        )
        made.cadata = authority().cert_pem.bytes()
        for name, value in configuration.items():
            setattr(made, name, value)
        self.quic = (quic or (lambda c: QuicConnection(configuration=c)))(made)
        # Time stands still while datagrams move, so nothing may wait for it.
        self.quic._loss._pacer.next_send_time = lambda now: None  # type: ignore[method-assign]
        self.h3: H3Connection | None = None
        self.control = ControlStream()
        self._wants_h3 = h3
        self.established = False
        self.closed: ConnectionTerminated | None = None
        self.events: list[H3Event] = []
        self.resets: dict[int, int] = {}
        self.stops: dict[int, int] = {}
        self.bytes_out = 0
        self.bytes_in = 0

    def connect(self) -> None:
        self.quic.connect(HERE, now=self.world.loop.now)

    def receive(self, data: bytes) -> None:
        self.bytes_in += len(data)
        self.quic.receive_datagram(data, HERE, now=self.world.loop.now)
        self.pump()

    def pump(self) -> None:
        close = self.quic._close_event
        if close is not None and self.closed is None:
            self.closed = close
        while (event := self.quic.next_event()) is not None:
            if isinstance(event, ProtocolNegotiated) and self._wants_h3:
                self.h3 = H3Connection(self.quic)
            elif isinstance(event, HandshakeCompleted):
                self.established = True
            elif isinstance(event, StreamReset):
                self.resets[event.stream_id] = event.error_code
            elif isinstance(event, StopSendingReceived):
                self.stops[event.stream_id] = event.error_code
            self.control.receive(event)
            if self.h3 is not None:
                self.events += self.h3.handle_event(event)

    # ---- requests

    def request(
        self, fields: list[tuple[bytes, bytes]] = GET, body: bytes | None = None, end: bool = True
    ) -> int:
        """Queue a request; `settle` sends it. Returns its stream id."""
        assert self.h3 is not None
        stream_id = self.quic.get_next_available_stream_id()
        # What aioquic would refuse to send is what we want to send.
        section = self.h3._encode_headers(stream_id, fields)
        self.quic.send_stream_data(stream_id, encode_frame(1, section), end and body is None)
        if body is not None:
            self.quic.send_stream_data(stream_id, encode_frame(0, body), end)
        return stream_id

    def raw(self, data: bytes, end: bool = True) -> int:
        """Bytes on a new request stream."""
        stream_id = self.quic.get_next_available_stream_id()
        self.quic.send_stream_data(stream_id, data, end)
        return stream_id

    def get(self, path: bytes = b"/") -> tuple[int, bytes]:
        """Status and body of a plain request."""
        stream_id = self.request([*GET[:3], (b":path", path)])
        self.world.settle()
        return self.status(stream_id), self.body(stream_id)

    def heads(self, stream_id: int) -> list[list[tuple[bytes, bytes]]]:
        """Informational heads, head and trailers that came."""
        return [e.headers for e in self.events if isinstance(e, HeadersReceived) and e.stream_id == stream_id]

    def status(self, stream_id: int) -> int:
        """Status of the first head, 0 without one."""
        heads = self.heads(stream_id)
        return int(dict(heads[0])[b":status"]) if heads else 0

    def body(self, stream_id: int) -> bytes:
        return b"".join(
            e.data for e in self.events if isinstance(e, DataReceived) and e.stream_id == stream_id
        )

    def ended(self, stream_id: int) -> bool:
        """Whether the response came to its end."""
        return any(
            e.stream_ended
            for e in self.events
            if isinstance(e, HeadersReceived | DataReceived) and e.stream_id == stream_id
        )
