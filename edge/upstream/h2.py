"""One upstream HTTP/2 connection: many streams, what they send leaves once per turn of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Final, Protocol, cast

import ngh2
from ngh2 import (
    ConnectionClosed,
    DataReceived,
    Event,
    GoAwayReceived,
    InformationalResponseReceived,
    NGH2Error,
    ResponseReceived,
    SettingsReceived,
    StreamClosed,
    StreamReset,
    TrailersReceived,
)

from edge import model
from edge.codec.h2.codes import DECODED_FIELDS, DECODED_MARGIN_BYTES, MAX_WINDOW, Code, Setting
from edge.errors import BadResponse, ConnectFailed, EdgeError, UpstreamClosed, UpstreamRefused
from edge.exchange.deadlines import Deadlines
from edge.head import Field, Fields, RequestHead
from edge.upstream.carrier import Caller
from edge.upstream.connection import WRITE_HIGH_BYTES, peer_address
from edge.upstream.dialer import Dialer
from edge.upstream.h2_head import request_fields
from edge.upstream.h2_stream import H2Stream
from edge.upstream.tls import ClientTls

FIRST_STREAMS: Final = 100
"""Streams opened before the peer's SETTINGS say how many it takes."""
STREAMS_MAX: Final = 1000
"""Streams on one connection, whatever the peer allows."""
STREAM_WINDOW_BYTES: Final = 256 << 10
"""What a paused response makes us hold at most. The connection's window is boundless, or sixteen
slow clients would stop the responses of all others."""
QUEUED_HIGH_BYTES: Final = 64 << 10
"""Request body waiting for the peer's window over which its sender is paused."""
QUEUED_LOW_BYTES: Final = 16 << 10

_ENABLE_PUSH: Final = 2
_HTTP: Final = (b":scheme", b"http")
_HTTPS: Final = (b":scheme", b"https")

DIALLING: Final = 0
OPEN: Final = 1
DRAINING: Final = 2
"""No new streams; closes with the last one."""
CLOSED: Final = 3


class SharedOwner(Protocol):
    """Where the connection belongs."""

    address: str
    idle_timeout_s: float

    def established(self, client: H2Client) -> None: ...
    def changed(self, client: H2Client) -> None:
        """A stream ended, the peer allows more or fewer streams, or no new ones at all."""

    def gone(self, client: H2Client) -> None: ...


class H2Client(asyncio.Protocol):
    """The connection's life, in the order in which it lives; streams come by `take` or `join`."""

    __slots__ = (
        "_blocked",
        "_call_soon",
        "_clock",
        "_engine",
        "_give_up",
        "_owner",
        "_resumed",
        "_scheme",
        "_state",
        "_streams",
        "_transport",
        "_waiting",
        "_woken",
        "_write_paused",
        "_written",
        "active",
        "deadline",
        "deadlines",
        "filed",
        "limits",
        "listed",
        "reads",
        "room",
    )

    def __init__(
        self,
        owner: SharedOwner,
        deadlines: Deadlines,
        clock: Callable[[], float],
        limits: model.Limits,
        call_soon: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self._owner = owner
        self.deadlines = deadlines
        self._clock = clock
        self.limits = limits
        self._call_soon = call_soon
        self._state = DIALLING
        self._give_up: Callable[[], None] | None = None
        self._waiting: dict[H2Stream, None] = {}
        self._streams: dict[int, H2Stream] = {}
        self._written: list[H2Stream] = []
        self._blocked: dict[H2Stream, None] = {}
        self._resumed: list[H2Stream] = []
        self._scheme: Field = _HTTP
        self._woken = False
        self._write_paused = False
        self.active = 0
        """Streams taken and not over."""
        self.room = FIRST_STREAMS
        self.listed = False
        """Whether its pool offers it. Kept by the pool."""
        self.reads = 0
        self.deadline = self.filed = inf

    @property
    def has_room(self) -> bool:
        return self.active < self.room and self._state <= OPEN

    # -- the connection --------------------------------------------------------------------

    def dial(self, connect_s: float, dialer: Dialer, endpoint: model.Endpoint, tls: ClientTls | None) -> None:
        self.deadline = self._clock() + connect_s
        self.deadlines.watch(self)
        if tls is not None:
            self._scheme = _HTTPS
        self._give_up = dialer.dial(endpoint.host, endpoint.port, self, self._dial_failed, tls)

    def join(self, caller: Caller, deadline: float) -> H2Stream:
        """A stream for `caller` while the connection is being made."""
        self.active += 1
        stream = H2Stream(self)
        self._waiting[stream] = None
        stream.wait(caller, deadline)
        return stream

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = made = cast(asyncio.Transport, transport)
        self._give_up = None
        if self._state == CLOSED:
            made.abort()
            return
        tls = made.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() != "h2":
            self.end(ConnectFailed("the endpoint does not speak h2"))
            return
        made.set_write_buffer_limits(high=WRITE_HIGH_BYTES)
        if self._call_soon is None:
            self._call_soon = asyncio.get_running_loop().call_soon
        self._engine = _engine(self.limits)
        self._state = OPEN
        self.deadline = self.idle_deadline()
        address = self._owner.address or peer_address(made)
        waiting, self._waiting = self._waiting, {}
        self._owner.established(self)
        self.wake()
        for stream in waiting:
            stream.connected(address)

    def take(self) -> H2Stream:
        """A stream on a connection that has room; `begin` follows at once."""
        self.active += 1
        return H2Stream(self)

    def data_received(self, data: bytes) -> None:
        if self._state == CLOSED:
            return
        self.reads += 1
        engine = self._engine
        try:
            engine.receive_data(data)
        except NGH2Error as error:
            self._broken(error)
            return
        self._tell(engine.events())
        if self._blocked or engine.want_write:
            self.wake()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(UpstreamClosed(str(exc) if exc else "closed before the response was complete"))

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        self.wake()

    # -- what streams ask ------------------------------------------------------------------

    def idle_deadline(self) -> float:
        """When a peer that says nothing more has been silent for too long."""
        return self._clock() + self.limits.body_idle_timeout_s

    def wake(self) -> None:
        """What waits leaves at the end of this turn, in one write."""
        if not self._woken and self._call_soon is not None:
            self._woken = True
            self._call_soon(self._flush)

    def send_request(self, stream: H2Stream, head: RequestHead, end: bool) -> None:
        try:
            stream.id = stream_id = self._engine.send_request(
                request_fields(head, end, self._scheme), end_stream=end
            )
        except NGH2Error as error:
            self.drain()
            self.leave(stream, Code.CANCEL)
            stream.lost(UpstreamRefused(str(error)))
            return
        self._streams[stream_id] = stream
        self.wake()

    def send_data(self, stream: H2Stream, data: bytes, end: bool) -> None:
        try:
            self._engine.send_data(stream.id, data, end_stream=end)
        except NGH2Error:
            # The peer has ended the stream; that comes as an event.
            return
        stream.had_body = True
        if not end:
            self._written.append(stream)
        self.wake()

    def send_trailers(self, stream: H2Stream, fields: Fields) -> None:
        with suppress(NGH2Error):
            self._engine.send_trailers(stream.id, fields)
        self.wake()

    def credit(self, stream_id: int, size: int) -> None:
        with suppress(NGH2Error, ValueError):
            self._engine.acknowledge_received_data(size, stream_id)
        if self._engine.want_write:
            self.wake()

    def resumed(self, stream: H2Stream) -> None:
        """What it holds goes on at the end of the turn."""
        self._resumed.append(stream)
        self.wake()

    def leave(self, stream: H2Stream, code: int) -> None:
        """The stream ends before its response is whole: reset it, unless it was never begun."""
        if stream.id:
            if self._streams.pop(stream.id, None) is None:
                return
            self._reset(stream, code)
        elif self._waiting.pop(stream, self) is None and not self._waiting and self._state == DIALLING:
            self.end(EdgeError("nobody waits for the connection any more"))
            return
        self._freed(stream)

    def response_over(self, stream: H2Stream) -> None:
        """The response is here whole. Of a request not out whole the rest is not wanted. RFC 9113 §8.1."""
        if self._streams.pop(stream.id, None) is not None:
            if not stream.sent_all or (stream.had_body and self._engine.queued_body_size(stream.id)):
                self._reset(stream, Code.NO_ERROR)
            self._freed(stream)

    def suspect(self, read_mark: int) -> None:
        """A response did not come in time; if nothing at all came, the connection may be dead."""
        if self.reads == read_mark:
            self.drain()

    def _reset(self, stream: H2Stream, code: int) -> None:
        if self._state != CLOSED:
            with suppress(NGH2Error):
                self._engine.reset_stream(stream.id, code)
            self.wake()

    def _freed(self, stream: H2Stream) -> None:
        self.active -= 1
        if stream.write_paused:
            self._blocked.pop(stream, None)
        if not self.active:
            if self._state == DRAINING:
                self._goodbye()
                return
            self.deadline = deadline = self._clock() + self._owner.idle_timeout_s
            if deadline < self.filed:
                self.deadlines.watch(self)
        if not self.listed and self._state == OPEN:
            self._owner.changed(self)

    # -- what the peer says ----------------------------------------------------------------

    def _tell(self, events: list[Event]) -> None:
        streams = self._streams
        heads: list[H2Stream] = []
        for event in events:
            if type(event) is ResponseReceived:
                stream = streams.get(event.stream_id)
                if stream is not None and stream.on_head(event.headers, event.end_stream):
                    heads.append(stream)
            elif type(event) is DataReceived:
                stream = streams.get(event.stream_id)
                if stream is not None:
                    stream.on_data(event.data, event.end_stream)
                elif not event.end_stream:
                    self.credit(event.stream_id, len(event.data))
            elif type(event) is StreamClosed:
                if event.stream_id in streams:
                    self._closed(event.stream_id, event.error_code, False)
            else:
                self._tell_rare(event)
        for stream in heads:
            stream.release()

    def _tell_rare(self, event: Event) -> None:
        if isinstance(event, TrailersReceived):
            stream = self._streams.get(event.stream_id)
            if stream is not None:
                stream.on_trailers(event.headers)
        elif isinstance(event, InformationalResponseReceived):
            stream = self._streams.get(event.stream_id)
            if stream is not None:
                stream.on_informational(event.headers)
        elif isinstance(event, StreamReset):
            self._closed(event.stream_id, event.error_code, True)
        elif isinstance(event, SettingsReceived):
            self.room = min(event.settings.get(Setting.MAX_CONCURRENT_STREAMS, STREAMS_MAX), STREAMS_MAX)
            self._owner.changed(self)
        elif isinstance(event, GoAwayReceived):
            self._going_away(event.last_stream_id)
        elif isinstance(event, ConnectionClosed):
            self.end(UpstreamClosed(f"the connection ended, code {event.error_code}"))

    def _closed(self, stream_id: int, code: int, by_peer: bool) -> None:
        stream = self._streams.pop(stream_id, None)
        if stream is not None:
            self._freed(stream)
            stream.on_closed(code, by_peer)

    def _going_away(self, last: int) -> None:
        self.drain()
        for stream_id in [each for each in self._streams if each > last]:
            self._closed(stream_id, Code.REFUSED_STREAM, True)

    # -- the end of a turn -----------------------------------------------------------------

    def _flush(self) -> None:
        self._woken = False
        while self._resumed:
            resumed, self._resumed = self._resumed, []
            for stream in resumed:
                stream.go_on()
        if self._state == CLOSED:
            return
        if not self._write_paused:
            engine = self._engine
            try:
                data = engine.data_to_send()
            except NGH2Error as error:
                self._broken(error)
                return
            if data:
                self._transport.write(data)
            events = engine.events()
            if events:
                self._tell(events)
        if self._written or self._blocked:
            self._settle()

    def _settle(self) -> None:
        """Hold back who has much queued, release who has little left."""
        queued = self._engine.queued_body_size
        written, self._written = self._written, []
        for stream in written:
            if (
                not stream.write_paused
                and stream.id in self._streams
                and queued(stream.id) > QUEUED_HIGH_BYTES
            ):
                self._blocked[stream] = None
                stream.writable(False)
        for stream in list(self._blocked):
            if stream.id in self._streams and queued(stream.id) <= QUEUED_LOW_BYTES:
                self._blocked.pop(stream, None)
                stream.writable(True)

    # -- how it ends -----------------------------------------------------------------------

    def expired(self) -> None:
        if self._state == DIALLING:
            self.end(ConnectFailed("connect timeout"))
        elif self._state == CLOSED:
            self._transport.abort()
        elif self.active:
            self.deadline = self._clock() + self._owner.idle_timeout_s
            self.deadlines.watch(self)
        else:
            self._goodbye()

    def drain(self) -> None:
        """No new streams; the connection closes with its last one."""
        if self._state == DIALLING:
            return
        if self._state == OPEN:
            self._state = DRAINING
            self._owner.changed(self)
        if self._state == DRAINING and not self.active:
            self._goodbye()

    def _goodbye(self) -> None:
        """Nothing is under way: say so and close."""
        if self._state == CLOSED:
            return
        self._state = CLOSED
        with suppress(NGH2Error):
            self._engine.send_goaway(Code.NO_ERROR)
            self._transport.write(self._engine.data_to_send())
        self._transport.close()
        self.deadlines.forget(self)
        self._owner.gone(self)

    def _dial_failed(self, reason: str) -> None:
        self._give_up = None
        self.end(ConnectFailed(reason))

    def _broken(self, error: NGH2Error) -> None:
        with suppress(NGH2Error):
            self._transport.write(self._engine.data_to_send())
        self.end(BadResponse(f"the upstream broke HTTP/2: {error}"))

    def end(self, error: EdgeError) -> None:
        """Close at once; `error` is what all that are under way get."""
        state = self._state
        if state == CLOSED:
            return
        self._state = CLOSED
        self.deadlines.forget(self)
        if state == DIALLING and self._give_up is not None:
            self._give_up()
            self._give_up = None
        elif state != DIALLING or hasattr(self, "_transport"):
            self._transport.abort()
        streams = [*self._waiting, *self._streams.values()]
        self._waiting = {}
        self._streams = {}
        self._blocked = {}
        self.active = 0
        self._owner.gone(self)
        for stream in streams:
            stream.lost(error)


def _engine(limits: model.Limits) -> ngh2.Connection:
    """A client's connection; its preface, SETTINGS and window wait to be sent."""
    engine = ngh2.Connection(
        ngh2.Role.CLIENT,
        ngh2.Configuration(
            auto_window_update=False,
            max_inbound_header_list_size=limits.head_bytes + DECODED_MARGIN_BYTES,
            max_inbound_header_count=DECODED_FIELDS,
            peer_max_concurrent_streams=FIRST_STREAMS,
        ),
    )
    engine.initiate_connection(
        {
            _ENABLE_PUSH: 0,
            Setting.INITIAL_WINDOW_SIZE: STREAM_WINDOW_BYTES,
            Setting.MAX_HEADER_LIST_SIZE: limits.head_bytes,
        }
    )
    engine.set_local_window_size(MAX_WINDOW)
    return engine
