"""Stand-ins for sockets, time and the exchange, so that upstream is tested without I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from edge import model
from edge.errors import EdgeError
from edge.exchange.deadlines import Deadlines
from edge.head import Fields, RequestHead, ResponseHead
from edge.upstream.guarded import cluster_of
from edge.upstream.request import PooledRequest
from edge.upstream.tls import ClientTls


class FakeTransport(asyncio.Transport):
    """Remembers what was written and done to it; delivers nothing by itself."""

    def __init__(self, peer: tuple[str, int] = ("10.0.0.1", 80)) -> None:
        super().__init__()
        self.peer = peer
        self.written = bytearray()
        self.aborted = False
        self.closing = False
        self.reading = True
        self.eof = False
        self.half_closes = True
        self.high = 0
        self.protocol: asyncio.BaseProtocol | None = None
        """Who reads instead of the one it was made for."""
        self.socket: Any = None
        """A real one, for who looks at it."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": self.peer, "socket": self.socket}.get(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = high or 0

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def write(self, data: Any) -> None:
        assert not self.aborted, "written to a closed transport"
        self.written += data

    def can_write_eof(self) -> bool:
        return self.half_closes

    def write_eof(self) -> None:
        assert self.half_closes, "TLS has no half-close"
        self.eof = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.closing or self.aborted

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.aborted = True

    def take(self) -> bytes:
        """What was written since the last take."""
        data = bytes(self.written)
        self.written.clear()
        return data


class FakeDial:
    """One connection attempt, decided by the test."""

    def __init__(self, host: str, port: int, protocol: Any, failed: Callable[[str], None]) -> None:
        self.host = host
        self.port = port
        self.protocol = protocol
        self.failed = failed
        self.given_up = False
        self.preamble = b""

    def connect(self) -> FakeTransport:
        transport = FakeTransport((self.host, self.port))
        self.protocol.connection_made(transport)
        return transport


class FakeDialer:
    """Collects attempts."""

    def __init__(self) -> None:
        self.dials: list[FakeDial] = []

    def dial(
        self,
        host: str,
        port: int,
        protocol: asyncio.Protocol,
        failed: Callable[[str], None],
        tls: ClientTls | None = None,
        preamble: bytes = b"",
    ) -> Callable[[], None]:
        dial = FakeDial(host, port, protocol, failed)
        dial.preamble = preamble
        self.dials.append(dial)

        def give_up() -> None:
            dial.given_up = True

        return give_up


class FakeTime:
    """A clock that the test moves, and the timer of `Deadlines` on it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._timers: list[tuple[float, Callable[[], None]]] = []

    def clock(self) -> float:
        return self.now

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        self._timers.append((self.now + seconds, callback))

    def pass_by(self, seconds: float) -> None:
        end = self.now + seconds
        while self._timers and min(self._timers, key=lambda t: t[0])[0] <= end:
            timer = min(self._timers, key=lambda t: t[0])
            self._timers.remove(timer)
            self.now = max(self.now, timer[0])
            timer[1]()
        self.now = end


class Recorder:
    """An exchange that writes down every call it gets."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.on_head: Callable[[], None] | None = None

    def response_informational(self, head: ResponseHead) -> None:
        self.calls.append(("informational", head.status))

    def response_head(self, head: ResponseHead, end: bool) -> None:
        self.calls.append(("head", head.status, end))
        if self.on_head is not None:
            self.on_head()

    def response_whole(self, head: ResponseHead, body: bytes, trailers: Fields | None = None) -> None:
        self.response_head(head, False)
        self.response_data(body, trailers is None)
        if trailers is not None:
            self.response_trailers(trailers)

    def response_data(self, data: bytes, end: bool) -> None:
        self.calls.append(("data", data, end))

    def response_trailers(self, fields: Fields) -> None:
        self.calls.append(("trailers", fields))

    def upstream_failed(self, error: EdgeError) -> None:
        self.calls.append(("failed", type(error).__name__, error.status))

    def pause_request(self) -> None:
        self.calls.append(("pause",))

    def resume_request(self) -> None:
        self.calls.append(("resume",))

    @property
    def body(self) -> bytes:
        return b"".join(call[1] for call in self.calls if call[0] == "data")


class Bench:
    """A cluster on fakes: `endpoints` addresses 10.0.0.1.. of port 80."""

    def __init__(self, endpoints: int = 1, limits: model.Limits | None = None, **fields: Any) -> None:
        self.time = FakeTime()
        self.dialer = FakeDialer()
        self.limits = limits or model.Limits()
        self.deadlines = Deadlines(self.time.clock, self.time.call_later)
        self.model = model.Cluster(
            name="shop",
            endpoints=[model.Endpoint(host=f"10.0.0.{n + 1}", port=80) for n in range(endpoints)],
            **fields,
        )
        self.turn: list[Callable[[], None]] = []
        self.cluster = cluster_of(
            self.model,
            self.dialer,
            self.deadlines,
            self.time.clock,
            self.limits,
            call_soon=self.turn.append,
        )

    def send(
        self, head: RequestHead, end: bool = True, timeout_s: float = 0.0
    ) -> tuple[PooledRequest, Recorder]:
        recorder = Recorder()
        return self.cluster.dispatch(recorder, head, end, timeout_s), recorder

    def end_turn(self) -> None:
        """Run what asked for the end of the loop's turn, and what that asks for."""
        while self.turn:
            self.turn.pop(0)()

    def connect(self, index: int = -1) -> FakeTransport:
        return self.dialer.dials[index].connect()

    def warm(self) -> tuple[Any, FakeTransport]:
        """One idle connection that has served a request; returns its protocol and transport."""
        self.send(get())
        transport = self.connect()
        protocol = self.dialer.dials[-1].protocol
        protocol.data_received(b"HTTP/1.1 204 No Content\r\n\r\n")
        transport.take()
        return protocol, transport

    @property
    def open(self) -> int:
        return sum(pool.open for pool in self.cluster.pools)

    @property
    def idle(self) -> int:
        return sum(len(pool.idle) for pool in self.cluster.pools)


def get(path: bytes = b"/", method: bytes = b"GET") -> RequestHead:
    return RequestHead(method, b"http", b"shop.example", path, [(b"accept", b"*/*")])


def post(length: int | None = None, method: bytes = b"POST") -> RequestHead:
    return RequestHead(method, b"http", b"shop.example", b"/", [], length)


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
OK_CALLS = [("head", 200, False), ("data", b"hello", True)]
