"""A gRPC server of the tests' own on the h2 library: it notes each call and answers by its method."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection

Pairs = list[tuple[bytes, bytes]]

DEADLINE_EXCEEDED: Final = [
    (b"grpc-status", b"4"),
    (b"grpc-message", b"context deadline exceeded%21"),
    (b"x-late-bin", b"AAEC"),
]
_START_S = 60.0
_HEAD: Final = [(b":status", b"200"), (b"content-type", b"application/grpc")]


def message(payload: bytes) -> bytes:
    """As gRPC frames it, not compressed."""
    return b"\0" + len(payload).to_bytes(4) + payload


MESSAGE: Final = message(b"one of them")


@dataclass
class Call:
    """`ended` = the client half-closed; `reset` = code of its RST_STREAM; `lost` = its connection ended."""

    path: bytes
    fields: Pairs
    connection: int
    body: bytearray = field(default_factory=bytearray)
    ended: bool = False
    reset: int | None = None
    lost: bool = False

    @property
    def method(self) -> bytes:
        return self.path.rpartition(b"/")[2]

    def values(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.fields if key == name]


class GrpcOrigin:
    """Notes every call in `calls`, in the order in which they came.

    /Ask answers with a message, /Late only with trailers that say the deadline is over, /LateAfterOne
    with both, /Begin with a message and no end, /Hang with nothing.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.connections = 0
        self.ports: list[int] = []


class _Connection(asyncio.Protocol):
    def __init__(self, origin: GrpcOrigin) -> None:
        self._origin = origin
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self._calls: dict[int, Call] = {}
        origin.connections += 1
        self._number = origin.connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._h2.initiate_connection()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        for call in self._calls.values():
            call.lost = True

    def data_received(self, data: bytes) -> None:
        received = self._h2.receive_data(data)
        for event in received:
            self._on(event)
        for event in received:
            # Not before all is seen: what was reset behind its request takes no answer.
            if isinstance(event, events.StreamEnded):
                self._end(event.stream_id)
        self._flush()

    def _flush(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._h2.data_to_send())

    def _on(self, event: events.Event) -> None:
        if isinstance(event, events.RequestReceived):
            fields = [(bytes(name), bytes(value)) for name, value in event.headers]
            call = Call(dict(fields)[b":path"], fields, self._number)
            self._calls[event.stream_id] = call
            self._origin.calls.append(call)
        elif isinstance(event, events.DataReceived):
            self._calls[event.stream_id].body += event.data
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, events.StreamReset):
            self._calls.pop(event.stream_id).reset = int(event.error_code)

    def _end(self, stream_id: int) -> None:
        call = self._calls.get(stream_id)
        if call is None:
            return
        call.ended = True
        method = call.method
        if method == b"Late":
            self._h2.send_headers(stream_id, [*_HEAD, *DEADLINE_EXCEEDED], end_stream=True)
        elif method != b"Hang":
            self._h2.send_headers(stream_id, _HEAD)
            self._h2.send_data(stream_id, MESSAGE)
            if method != b"Begin":
                status = DEADLINE_EXCEEDED if method == b"LateAfterOne" else [(b"grpc-status", b"0")]
                self._h2.send_headers(stream_id, status, end_stream=True)
        if method not in (b"Hang", b"Begin"):
            del self._calls[stream_id]


@contextmanager
def grpc_origin(*secured: ssl.SSLContext | None) -> Iterator[GrpcOrigin]:
    """A running one, with a port for each of `secured`: over TLS where it is a context."""
    origin = GrpcOrigin()
    loop = asyncio.new_event_loop()
    faults: list[object] = []
    loop.set_exception_handler(lambda _, context: faults.append(context))
    started, stop = threading.Event(), asyncio.Event()

    async def run() -> None:
        servers = [
            await loop.create_server(lambda: _Connection(origin), "127.0.0.1", 0, ssl=context)
            for context in secured
        ]
        origin.ports += [int(server.sockets[0].getsockname()[1]) for server in servers]
        started.set()
        await stop.wait()
        for server in servers:
            server.close()

    thread = threading.Thread(target=loop.run_until_complete, args=[run()], daemon=True)
    thread.start()
    assert started.wait(_START_S)
    try:
        yield origin
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(_START_S)
        loop.close()
    assert faults == []
