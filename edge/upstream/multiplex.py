"""The streams of one upstream HTTP/2 connection: what they ask of it, what the peer says to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from math import inf
from typing import Final, Protocol

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
from edge.codec.h2.codes import MAX_WINDOW, Code, Setting
from edge.errors import EdgeError, UpstreamClosed, UpstreamError, UpstreamRefused
from edge.exchange.deadlines import Deadlines
from edge.exchange.seams import ExchangeResponse
from edge.head import Field, Fields, RequestHead
from edge.upstream.h2_head import Repeat, connect_fields
from edge.upstream.h2_stream import BODY, HEAD, H2Stream

FIRST_STREAMS: Final = 100
"""Streams opened before the peer's SETTINGS say how many it takes."""
STREAMS_MAX: Final = 1000
"""Streams on one connection, whatever the peer allows."""
QUEUED_HIGH_BYTES: Final = 64 << 10
"""Request body waiting for the peer's window over which its sender is paused."""
QUEUED_LOW_BYTES: Final = 16 << 10
WORN_WINDOW_BYTES: Final = MAX_WINDOW // 2
"""A connection's window with less left is worn: ngh2 tells nothing of a frame that is half here when its
stream is reset, or with which a body misses its length; nobody credits that. It widens by halves only."""

HTTP: Final = (b":scheme", b"http")

DIALLING: Final = 0
OPEN: Final = 1
DRAINING: Final = 2
"""No new streams; closes with the last one."""
CLOSED: Final = 3


_Begun = tuple[H2Stream, tuple[Field, ...], list[bytes]]
"""A response as it came with one read so far: its head, and pieces of its body."""

LOOK_S: Final = 1.0
"""After so long the deadlines of streams that are not over yet are filed; most never are."""


class SharedOwner(Protocol):
    """The pool that the connection belongs to."""

    address: str
    idle_timeout_s: float

    def established(self, client: Multiplex) -> None: ...
    def changed(self, client: Multiplex) -> None:
        """A stream ended, the peer allows more or fewer streams, or no new ones at all."""

    def gone(self, client: Multiplex) -> None: ...


class _Glance:
    """Comes up once for all streams that began lately."""

    __slots__ = ("_client", "deadline", "filed")

    def __init__(self, client: Multiplex) -> None:
        self._client = client
        self.deadline = self.filed = inf

    def expired(self) -> None:
        self._client.look()


class Multiplex:
    """Adds what streams do; `edge.upstream.h2.H2Client` adds the transport and how it lives."""

    __slots__ = (
        "_blocked",
        "_clock",
        "_engine",
        "_owner",
        "_resumed",
        "_settled",
        "_state",
        "_streams",
        "_unsettled",
        "_waiting",
        "_woken",
        "_written",
        "active",
        "deadline",
        "deadlines",
        "filed",
        "glance",
        "limits",
        "listed",
        "reads",
        "repeat",
        "room",
        "scheme",
    )

    _engine: ngh2.Connection

    def __init__(
        self, owner: SharedOwner, deadlines: Deadlines, clock: Callable[[], float], limits: model.Limits
    ) -> None:
        self._owner = owner
        self.deadlines = deadlines
        self._clock = clock
        self.limits = limits
        self._state = DIALLING
        self._waiting: dict[H2Stream, None] = {}
        self._streams: dict[int, H2Stream] = {}
        self._settled = False
        """The peer's SETTINGS are here."""
        self._unsettled: dict[H2Stream, RequestHead] = {}
        """WebSockets that must wait for them."""
        self._written: list[H2Stream] = []
        self._woken = False
        self._blocked: dict[H2Stream, None] = {}
        self._resumed: list[H2Stream] = []
        self.scheme: Field = HTTP
        self.repeat = Repeat()
        self.active = 0
        """Streams taken and not over."""
        self.room = FIRST_STREAMS
        self.listed = False
        """Whether its pool offers it. Kept by the pool."""
        self.reads = 0
        self.deadline = self.filed = inf
        self.glance = _Glance(self)

    @property
    def has_room(self) -> bool:
        return self.active < self.room and self._state <= OPEN

    def receivers(self) -> Iterator[ExchangeResponse | None]:
        """Of all its requests."""
        for streams in (self._waiting, self._unsettled, self._streams.values()):
            for stream in streams:
                yield stream.receiver

    # -- what streams ask ------------------------------------------------------------------

    def idle_deadline(self) -> float:
        """When a peer that says nothing more has been silent for too long."""
        return self._clock() + self.limits.body_idle_timeout_s

    def watch_later(self, stream: H2Stream, deadline: float) -> None:
        """As `Deadlines.watch`, for a stream that begins and will be over before long."""
        stream.deadline = deadline
        glance = self.glance
        if glance.filed == inf:
            look_at = self._clock() + LOOK_S
            if deadline <= look_at:
                self.deadlines.watch(stream)
                return
            glance.deadline = look_at
            self.deadlines.watch(glance)
        elif deadline <= glance.filed + LOOK_S:
            self.deadlines.watch(stream)

    def look(self) -> None:
        """File what `watch_later` did not."""
        for stream in self._streams.values():
            if stream.filed == inf:
                self.deadlines.watch(stream)

    def send_fields(self, stream: H2Stream, fields: Fields, end: bool) -> None:
        """The head of the request; `end` = no body follows."""
        try:
            stream.id = stream_id = self._engine.send_request(fields, end_stream=end)
        except NGH2Error as error:
            self.drain()
            self.leave(stream, Code.CANCEL)
            stream.lost(UpstreamRefused(str(error)))
            return
        self._streams[stream_id] = stream
        if not self._woken:
            self.wake()

    def send_connect(self, stream: H2Stream, head: RequestHead) -> None:
        """Of a WebSocket; the peer's SETTINGS must have allowed it. Spec: RFC 8441 §3."""
        if not self._settled:
            self._unsettled[stream] = head
        elif self._engine.remote_settings.get(Setting.ENABLE_CONNECT_PROTOCOL) == 1:
            self.send_fields(stream, connect_fields(head, self.scheme), False)
        else:
            stream.fail(UpstreamError("the endpoint takes no WebSocket over HTTP/2"))

    def send_data(self, stream: H2Stream, data: bytes, end: bool) -> None:
        try:
            self._engine.send_data(stream.id, data, end_stream=end)
        except NGH2Error:
            # The peer has ended the stream; that comes as an event.
            return
        stream.had_body = True
        if not end:
            self._written.append(stream)
        if not self._woken:
            self.wake()

    def send_trailers(self, stream: H2Stream, fields: Fields) -> None:
        try:
            self._engine.send_trailers(stream.id, fields)
        except NGH2Error:
            # The peer has ended the stream; that comes as an event.
            return
        self.wake()

    def credit(self, stream_id: int, size: int) -> None:
        """Owed once for all that came, dropped or not: else the connection's window dries up.

        A WINDOW_UPDATE that is due with it leaves with the turn: called while a read is told, by the turn's
        flush, or beside a reset.
        """
        try:
            self._engine.acknowledge_received_data(size, stream_id)
        except (NGH2Error, ValueError):
            return

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
        elif self._unsettled.pop(stream, None) is not None:
            pass
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
            self._look_at_window()

    def _look_at_window(self) -> None:
        """Called where a stream ends short."""
        with suppress(NGH2Error):
            if self._engine.local_window_size < WORN_WINDOW_BYTES:
                self.drain()

    def _freed(self, stream: H2Stream) -> None:
        self.active -= 1
        if stream.write_paused:
            self._blocked.pop(stream, None)
        if not self.active:
            if self._state == DRAINING:
                self.goodbye()
                return
            self.deadline = deadline = self._clock() + self._owner.idle_timeout_s
            if deadline < self.filed:
                self.deadlines.watch(self)
        if not self.listed and self._state == OPEN:
            self._owner.changed(self)

    # -- what the peer says ----------------------------------------------------------------

    def _tell(self, events: list[Event]) -> None:
        streams = self._streams
        begun: dict[int, _Begun] = {}
        for event in events:
            try:
                if type(event) is ResponseReceived:
                    stream = streams.get(event.stream_id)
                    if stream is not None and (event.end_stream or stream.upgrade is not None):
                        stream.on_head(event.headers, event.end_stream)
                    elif stream is not None:
                        begun[event.stream_id] = stream, event.headers, []
                elif type(event) is DataReceived:
                    stream_id = event.stream_id
                    if stream_id in begun:
                        begun[stream_id][2].append(event.data)
                        if event.end_stream:
                            self._tell_whole(begun.pop(stream_id), None)
                    elif stream_id in streams:
                        streams[stream_id].on_data(event.data, event.end_stream)
                    else:
                        self.credit(stream_id, len(event.data))
                elif type(event) is TrailersReceived:
                    stream_id = event.stream_id
                    if stream_id in begun:
                        self._tell_whole(begun.pop(stream_id), event.headers)
                    elif stream_id in streams:
                        streams[stream_id].on_trailers(event.headers)
                elif type(event) is StreamClosed:
                    if event.stream_id in streams:
                        self._tell_all_begun(begun)
                        self._closed(event.stream_id, event.error_code, False)
                else:
                    self._tell_all_begun(begun)
                    self._tell_rare(event)
            except Exception as error:
                self._crashed(getattr(event, "stream_id", 0), error)
        self._tell_all_begun(begun)

    def _tell_whole(self, begun: _Begun, trailers: tuple[Field, ...] | None) -> None:
        """All of a response is here."""
        stream, fields, pieces = begun
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if body:
            self.credit(stream.id, len(body))
        if stream.state == HEAD:
            stream.on_whole(fields, body, trailers)

    def _tell_all_begun(self, begun: dict[int, _Begun]) -> None:
        """More of these responses is to come, or they were cut."""
        for stream, fields, pieces in begun.values():
            rest = iter(pieces)
            try:
                if stream.state == HEAD:
                    stream.on_head(fields, False)
                for piece in rest:
                    if stream.state == BODY:
                        stream.on_data(piece, False)
                    else:
                        self.credit(stream.id, len(piece))
            except Exception as error:
                self._crashed(stream.id, error)
                for piece in rest:
                    self.credit(stream.id, len(piece))
        begun.clear()

    def _tell_rare(self, event: Event) -> None:
        if isinstance(event, InformationalResponseReceived):
            stream = self._streams.get(event.stream_id)
            if stream is not None:
                stream.on_informational(event.headers)
        elif isinstance(event, StreamReset):
            self._closed(event.stream_id, event.error_code, True)
        elif isinstance(event, SettingsReceived):
            # What a later frame leaves out stays as it was. Spec: RFC 9113 §6.5.3.
            unsaid = self.room if self._settled else STREAMS_MAX
            self.room = min(event.settings.get(Setting.MAX_CONCURRENT_STREAMS, unsaid), STREAMS_MAX)
            self._settled = True
            self._owner.changed(self)
            unsettled, self._unsettled = self._unsettled, {}
            for stream, head in unsettled.items():
                self.send_connect(stream, head)
        elif isinstance(event, GoAwayReceived):
            self._going_away(event.last_stream_id)
        elif isinstance(event, ConnectionClosed):
            self.end(UpstreamClosed(f"the connection ended, code {event.error_code}"))

    def _closed(self, stream_id: int, code: int, by_peer: bool) -> None:
        stream = self._streams.pop(stream_id, None)
        if stream is not None:
            self._look_at_window()
            self._freed(stream)
            stream.on_closed(code, by_peer)

    def _going_away(self, last: int) -> None:
        self.drain()
        for stream_id in [each for each in self._streams if each > last]:
            self._closed(stream_id, Code.REFUSED_STREAM, True)

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

    # -- how streams end when something of ours fails --------------------------------------

    def _crashed(self, stream_id: int, error: Exception) -> None:
        """An exchange failed in a call of ours: it ends, and no other."""
        stream = self._streams.pop(stream_id, None)
        if stream is not None:
            self._reset(stream, Code.INTERNAL_ERROR)
            self._freed(stream)
            with suppress(Exception):
                stream.lost(EdgeError("the exchange failed inside edge"))
        asyncio.get_running_loop().call_exception_handler(
            {"message": "an exchange failed on its response", "exception": error}
        )

    # -- what the connection adds ------------------------------------------------------------

    def wake(self) -> None:
        """What waits leaves at the end of this turn, in one write."""
        raise NotImplementedError

    def drain(self) -> None:
        """No new streams; the connection closes with its last one."""
        raise NotImplementedError

    def end(self, error: EdgeError) -> None:
        """Close at once; `error` is what all that are under way get."""
        raise NotImplementedError

    def expired(self) -> None:
        """The deadline of the connection has passed."""
        raise NotImplementedError

    def goodbye(self) -> None:
        """Nothing is under way: say so and close."""
        raise NotImplementedError
