"""A client, a transport and an exchange for `H1Server` without sockets, and a strict judge.

The exchange forwards as an upstream would (`render_request`, own chunks) and answers a complete
request with 200 `ok`. What went upstream is judged by a strict reader of the tests' own, and by h11
beside it; what the client got by h11.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import h11

from edge.codec.context import ListenerContext
from edge.codec.h1.render import chunk, last_chunk, render_request
from edge.codec.h1.server import H1Server
from edge.errors import EdgeError
from edge.exchange.deadlines import Deadlines
from edge.exchange.seams import Connection, Downstream
from edge.head import Fields, RequestHead, ResponseHead
from edge.model import Limits
from tests.hostile.strict import StrictReader


class FakeTransport(asyncio.Transport):
    """Keeps what is written; knows whether it was closed, and how."""

    def __init__(self, tls: bool = False) -> None:
        super().__init__()
        self.written = b""
        self.closed = False
        self.aborted = False
        self.eof_written = False
        self.reading = True
        self._tls = tls

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("192.0.2.7", 4711), "sockname": ("192.0.2.1", 443)}.get(name, default)

    unsent = 0
    """Bytes that the client has not taken."""

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = high

    def write(self, data: Any) -> None:
        assert not self.eof_written, "written after the end"
        if not self.closed:
            self.written += data

    def can_write_eof(self) -> bool:
        return not self._tls

    def write_eof(self) -> None:
        self.eof_written = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True


class FakeExchange:
    """Forwards to `upstream` bytes, judged as they are made; `answer` is called when all of them are."""

    def __init__(self, downstream: Downstream, head: RequestHead, end: bool) -> None:
        self.downstream = downstream
        self.head = head
        self.body = b""
        self.calls: list[tuple[str, bytes]] = []
        self.trailers: Fields = []
        self.ended = end
        self.failed: EdgeError | None = None
        self.paused = False
        self.upstream = render_request(head, end)
        self._judge = StrictReader()
        self._judge.feed(self.upstream)
        self._chunked = not end and head.length is None and head.upgrade is None

    def request_data(self, data: bytes, end: bool) -> None:
        assert not self.ended and self.failed is None
        self.body += data
        if self._chunked:
            self._forward((chunk(data) if data else b"") + (last_chunk([]) if end else b""))
        else:
            self._forward(data)
        if end:
            self.ended = True

    def _forward(self, data: bytes) -> None:
        self.upstream += data
        if self.head.upgrade is None:  # else these are bytes of a tunnel
            self._judge.feed(data)

    def request_trailers(self, fields: Fields) -> None:
        assert not self.ended and self.failed is None
        self.ended = True
        self.trailers = fields
        if self._chunked:  # else its framing has no place for them
            self._forward(last_chunk(fields))

    def body_progress(self) -> int | None:
        """Nobody is in a hurry here."""

    def downstream_failed(self, error: EdgeError) -> None:
        assert self.failed is None
        self.failed = error

    def pause_response(self) -> None:
        self.paused = True

    def resume_response(self) -> None:
        self.paused = False


class AnsweringExchange(FakeExchange):
    """Answers 200 `ok` as soon as the request is complete."""

    def __init__(self, downstream: Downstream, head: RequestHead, end: bool) -> None:
        super().__init__(downstream, head, end)
        if end:
            self.answer()

    def request_data(self, data: bytes, end: bool) -> None:
        super().request_data(data, end)
        if end:
            self.answer()

    def request_trailers(self, fields: Fields) -> None:
        super().request_trailers(fields)
        self.answer()

    def answer(self) -> None:
        self.downstream.send_head(ResponseHead(200, [(b"x-a", b"b")], 2), False)
        self.downstream.send_data(b"ok", True)


class Edge:
    """One connection to an `H1Server`; time and the loop's turns pass when told."""

    def __init__(
        self,
        make: Callable[[Downstream, RequestHead, bool], FakeExchange] = AnsweringExchange,
        limits: Limits | None = None,
        tls: bool = False,
        draining: bool = False,
    ) -> None:
        self.now = 1000.0
        self.exchanges: list[FakeExchange] = []
        self.unhandled: list[BaseException] = []
        self.refused: list[EdgeError] = []
        self.refused_clients: list[tuple[bytes, str]] = []
        self._soon: list[Callable[[], None]] = []
        self._timers: list[tuple[float, Callable[[], None]]] = []
        self._make = make
        self.context = ListenerContext(
            accept=self._accept,
            scheme=b"https" if tls else b"http",
            limits=limits or Limits(),
            deadlines=Deadlines(lambda: self.now, self._call_later),
            clock=lambda: self.now,
            next_id=lambda: 1,
            unhandled=self.unhandled.append,
            refused=self._refused,
            call_soon=self._soon.append,
        )
        self.context.draining = draining
        self.transport = FakeTransport(tls)
        self.server = H1Server(self.context)
        self.server.connection_made(self.transport)

    def _refused(self, error: EdgeError, client: bytes = b"", protocol: str = "") -> None:
        self.refused.append(error)
        self.refused_clients.append((client, protocol))

    def _accept(
        self, connection: Connection, downstream: Downstream, head: RequestHead, end: bool
    ) -> FakeExchange:
        exchange = self._make(downstream, head, end)
        self.exchanges.append(exchange)
        return exchange

    def _call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        self._timers.append((self.now + seconds, callback))

    def turn(self) -> None:
        """What was left for the end of the loop's turn."""
        while self._soon:
            waiting, self._soon[:] = list(self._soon), []
            for callback in waiting:
                callback()

    def feed(self, data: bytes) -> bytes:
        """Bytes from the client, as far as the transport reads; returns all that was written."""
        if not self.transport.closed:
            self.server.data_received(data)
            self.turn()
        return self.transport.written

    def feed_bytewise(self, data: bytes) -> bytes:
        for index in range(len(data)):
            if self.transport.closed or self.transport.eof_written:
                break
            self.feed(data[index : index + 1])
        return self.transport.written

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        until = self.now + seconds
        while self._timers and min(self._timers)[0] <= until:
            due = min(self._timers, key=lambda timer: timer[0])
            self._timers.remove(due)
            self.now = due[0]
            due[1]()
            self.turn()
        self.now = until

    @property
    def ended(self) -> bool:
        """Whether we have ended the connection."""
        return self.transport.closed or self.transport.eof_written


def responses(
    written: bytes, methods: tuple[bytes, ...] = ()
) -> list[tuple[int, list[tuple[bytes, bytes]], bytes]]:
    """Every final response in `written`: status, fields, body. Fails where h11 finds none."""
    found = []
    while written:
        method = methods[len(found)] if len(found) < len(methods) else b"GET"
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method=method, target=b"/", headers=[(b"host", b"a")]))
        client.send(h11.EndOfMessage())
        client.receive_data(written)
        status, fields, body = 0, [], b""
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                status, fields = event.status_code, [(bytes(n), bytes(v)) for n, v in event.headers]
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif not isinstance(event, h11.InformationalResponse):
                raise AssertionError(f"incomplete response: {written!r}")
        found.append((status, fields, body))
        written = client.trailing_data[0]
    return found


class Seen:
    """What a strict upstream makes of the bytes of one exchange; h11 must read the same."""

    def __init__(self, upstream: bytes) -> None:
        assert upstream, "nothing went upstream"
        reader = StrictReader()
        reader.feed(upstream)
        assert not reader.pending, f"half a line or chunk: {upstream!r}"
        (request,) = reader.requests
        self.method, self.target, self.fields = request.method, request.target, request.fields
        self.body, self.trailers = bytes(request.body), request.trailers
        self.complete = request.complete
        assert _read_by_h11(upstream) == (
            (self.method, self.target, self.fields),
            (self.body, self.trailers, self.complete),
        )


_Pairs = list[tuple[bytes, bytes]]


def _read_by_h11(upstream: bytes) -> tuple[tuple[bytes, bytes, _Pairs], tuple[bytes, _Pairs, bool]]:
    """Method, target and fields; body, trailers and whether it is complete."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(upstream)
    head: tuple[bytes, bytes, _Pairs] = (b"", b"", [])
    body = b""
    while (event := server.next_event()) is not h11.NEED_DATA and event is not h11.PAUSED:
        if isinstance(event, h11.Request):
            head = (event.method, event.target, [(bytes(n), bytes(v)) for n, v in event.headers])
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            assert not server.trailing_data[0], "one request became two"
            return head, (body, [(bytes(n), bytes(v)) for n, v in event.headers], True)
    return head, (body, [], False)


_WRITTEN_ANEW: Final = {
    b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"expect",
}  # fmt: skip


def seen_of(exchange: FakeExchange) -> Seen:
    """What upstream saw of it: the head's method, path, authority and every one of its fields, in order,
    and nothing else; and when the exchange had ended well, its whole body and trailers.
    """
    seen, head = Seen(exchange.upstream), exchange.head
    assert (seen.method, seen.target) == (head.method, head.path)
    assert [field for field in seen.fields if field[0] not in _WRITTEN_ANEW] == head.fields
    assert [value for name, value in seen.fields if name == b"host"] == [head.authority]
    assert [value for name, value in seen.fields if name == b"upgrade"] == [
        value for value in (head.upgrade,) if value is not None
    ]
    framed = [field for field in seen.fields if field[0] in (b"content-length", b"transfer-encoding")]
    if head.upgrade is not None:
        assert framed == []
    elif head.length is not None:
        assert framed == [(b"content-length", b"%d" % head.length)]
    assert exchange.body.startswith(seen.body)
    if exchange.ended and exchange.failed is None:
        assert (seen.complete, seen.body) == (True, exchange.body)
        # A body with a length has no place for trailers.
        assert seen.trailers == (exchange.trailers if head.length is None else [])
    return seen
