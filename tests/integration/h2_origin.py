"""A sound HTTP/2 server on the h2 library, with a few pages that are slow, refuse or say goodbye."""

from __future__ import annotations

import asyncio
from typing import Any

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError

BODY = b"0123456789abcdef" * 4096
GOODBYE_AFTER = 10


class H2Origin:
    """/echo gives a request's body back with its length as trailer, /body BODY, /hang nothing,

    /half a part of a body, /refuse a refusal. With `goodbyes` a connection takes GOODBYE_AFTER
    requests and says so; those that came too late are answered by nobody.
    """

    def __init__(self, goodbyes: bool = False) -> None:
        self.goodbyes = goodbyes
        self.posts = 0
        self.cancelled = 0
        self.broken: list[str] = []
        """Where a client broke HTTP/2, in the words of the h2 library."""
        self.connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    def hang_up(self) -> None:
        """Close all connections without a word, as a crash does."""
        for connection in list(self.connections):
            connection.transport.close()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.hang_up()


class _Connection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, origin: H2Origin) -> None:
        self._origin = origin
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="ascii"))
        self._paths: dict[int, str] = {}
        self._bodies: dict[int, bytearray] = {}
        self._out: dict[int, tuple[bytes, bool]] = {}
        self._gone: set[int] = set()
        """Streams that the client has reset."""
        self._taken = 0
        self._last = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._origin.connections.add(self)
        self._h2.initiate_connection()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._origin.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        try:
            received = self._h2.receive_data(data)
        except ProtocolError as error:
            self._origin.broken.append(repr(error))
            self._flush()
            self.transport.close()
            return
        # h2 has seen all of `data` before it tells of its first frame: a stream whose request is
        # told of now may have been reset behind it, and takes no answer any more.
        self._gone |= {event.stream_id for event in received if isinstance(event, events.StreamReset)}
        for event in received:
            self._on(event)
        for stream_id in list(self._out):
            self._send_body(stream_id)
        self._flush()

    def _flush(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(self._h2.data_to_send())

    def _on(self, event: events.Event) -> None:
        if isinstance(event, events.RequestReceived):
            headers = dict(event.headers)
            self._paths[event.stream_id] = str(headers[":path"])
            self._bodies[event.stream_id] = bytearray()
            self._origin.posts += headers[":method"] == "POST"
            if self._paths[event.stream_id] == "/refuse" and event.stream_id not in self._gone:
                self._h2.reset_stream(event.stream_id, ErrorCodes.REFUSED_STREAM)
            self._count(event.stream_id)
        elif isinstance(event, events.DataReceived):
            self._bodies[event.stream_id] += event.data
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, events.StreamEnded):
            self._answer(event.stream_id)
        elif isinstance(event, events.StreamReset):
            self._origin.cancelled += 1
            self._out.pop(event.stream_id, None)

    def _count(self, stream_id: int) -> None:
        """Sent by hand, because h2 itself ends with its first GOAWAY."""
        self._taken += 1
        if self._origin.goodbyes and self._taken == GOODBYE_AFTER:
            self._last = stream_id
            self._flush()
            self.transport.write(b"\0\0\x08\7\0\0\0\0\0" + stream_id.to_bytes(4, "big") + bytes(4))

    def _answer(self, stream_id: int) -> None:
        path = self._paths[stream_id]
        if path in ("/hang", "/refuse") or 0 < self._last < stream_id or stream_id in self._gone:
            return
        self._h2.send_headers(stream_id, [(":status", "200"), ("content-type", "text/plain")])
        if path == "/half":
            self._h2.send_data(stream_id, BODY[:1000])
        elif path == "/echo":
            self._out[stream_id] = (bytes(self._bodies[stream_id]), True)
        else:
            self._out[stream_id] = (BODY, False)

    def _send_body(self, stream_id: int) -> None:
        body, trailers = self._out[stream_id]
        at = 0
        while size := min(
            len(body) - at, self._h2.local_flow_control_window(stream_id), self._h2.max_outbound_frame_size
        ):
            self._h2.send_data(stream_id, body[at : at + size])
            at += size
        self._out[stream_id] = (body[at:], trailers)
        if at < len(body):
            return
        del self._out[stream_id]
        if trailers:
            total = str(len(self._bodies[stream_id]))
            self._h2.send_headers(stream_id, [("x-length", total)], end_stream=True)
        else:
            self._h2.end_stream(stream_id)
