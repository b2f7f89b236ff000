"""One upstream HTTP/2 connection: many streams, what they send leaves once per turn of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import ngh2
from ngh2 import NGH2Error

from edge import model
from edge.codec.h2.codes import DECODED_FIELDS, MAX_WINDOW, Code, Setting
from edge.errors import BadResponse, ConnectFailed, EdgeError, UpstreamClosed
from edge.exchange.deadlines import Deadlines
from edge.outgoing import end_of_turn, outgoing
from edge.upstream.carrier import Caller
from edge.upstream.connection import WRITE_HIGH_BYTES, peer_address
from edge.upstream.dialer import Dialer
from edge.upstream.h2_stream import H2Stream
from edge.upstream.multiplex import (
    CLOSED,
    DIALLING,
    DRAINING,
    FIRST_STREAMS,
    OPEN,
    Multiplex,
    SharedOwner,
)
from edge.upstream.tls import ClientTls

STREAM_WINDOW_BYTES: Final = 256 << 10
"""What a paused response makes us hold at most. The connection's window is boundless, or sixteen
slow clients would stop the responses of all others."""
DECODED_FACTOR: Final = 4
"""A head this many times over its limit costs the connection, a smaller one its stream only."""
_ENABLE_PUSH: Final = 2
_HTTPS: Final = (b":scheme", b"https")


class H2Client(Multiplex, asyncio.Protocol):
    """The connection's life, in the order in which it lives; streams come from its pool, or by `join`."""

    __slots__ = ("_call_soon", "_give_up", "_transport", "_write_paused")

    _transport: asyncio.Transport

    def __init__(
        self,
        owner: SharedOwner,
        deadlines: Deadlines,
        clock: Callable[[], float],
        limits: model.Limits,
        call_soon: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        super().__init__(owner, deadlines, clock, limits)
        self._call_soon = call_soon
        self._give_up: Callable[[], None] | None = None
        self._write_paused = False

    # -- the connection --------------------------------------------------------------------

    def dial(self, connect_s: float, dialer: Dialer, endpoint: model.Endpoint, tls: ClientTls | None) -> None:
        self.deadline = self._clock() + connect_s
        self.deadlines.watch(self)
        if tls is not None:
            self.scheme = _HTTPS
        self._give_up = dialer.dial(endpoint.host, endpoint.port, self, self._dial_failed, tls)

    def join(self, caller: Caller, deadline: float) -> H2Stream:
        """A stream for `caller` while the connection is being made."""
        self.active += 1
        stream = H2Stream(self)
        self._waiting[stream] = None
        stream.wait(caller, deadline)
        return stream

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = made = outgoing(transport)
        self._give_up = None
        if self._state == CLOSED:
            made.abort()
            return
        self._state = OPEN
        tls = made.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() != "h2":
            self.end(ConnectFailed("the endpoint does not speak h2"))
            return
        made.set_write_buffer_limits(high=WRITE_HIGH_BYTES)
        if self._call_soon is None:
            self._call_soon = end_of_turn(made)
        self._engine = _engine(self.limits)
        self.deadline = self.idle_deadline()
        address = self._owner.address or peer_address(made)
        waiting, self._waiting = self._waiting, {}
        self._owner.established(self)
        self.wake()
        for stream in waiting:
            stream.connected(address)

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

    # -- the end of a turn -----------------------------------------------------------------

    def wake(self) -> None:
        """What waits leaves at the end of this turn, in one write."""
        if not self._woken and self._call_soon is not None:
            self._woken = True
            self._call_soon(self._flush)

    def _flush(self) -> None:
        self._woken = False
        while self._resumed:
            resumed, self._resumed = self._resumed, []
            for stream in resumed:
                try:
                    stream.go_on()
                except Exception as error:
                    self._crashed(stream.id, error)
                    with suppress(Exception):
                        # Its response may have been here whole, and nobody else tells the exchange.
                        stream.lost(EdgeError("the exchange failed inside edge"))
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

    # -- how it ends -----------------------------------------------------------------------

    def expired(self) -> None:
        if self._state == DIALLING:
            self.end(ConnectFailed("connect timeout"))
        elif self.active:
            self.deadline = self._clock() + self._owner.idle_timeout_s
            self.deadlines.watch(self)
        else:
            self.goodbye()

    def drain(self) -> None:
        """No new streams; the connection closes with its last one."""
        if self._state == DIALLING:
            return
        if self._state == OPEN:
            self._state = DRAINING
            self._owner.changed(self)
        if self._state == DRAINING and not self.active:
            self.goodbye()

    def goodbye(self) -> None:
        """Nothing is under way: say so and close."""
        if self._state == CLOSED:
            return
        self._state = CLOSED
        with suppress(NGH2Error):
            self._engine.send_goaway(Code.NO_ERROR)
            self._transport.write(self._engine.data_to_send())
        self._transport.close()
        self.deadlines.forget(self)
        self.deadlines.forget(self.glance)
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
        self.deadlines.forget(self.glance)
        if state != DIALLING:
            self._transport.abort()
        elif self._give_up is not None:
            self._give_up()
            self._give_up = None
        streams = [*self._waiting, *self._unsettled, *self._streams.values()]
        self._waiting = {}
        self._unsettled = {}
        self._streams = {}
        self._blocked = {}
        self.active = 0
        self._owner.gone(self)
        for stream in streams:
            try:
                stream.lost(error)
            except Exception as unexpected:
                self._crashed(stream.id, unexpected)


def _engine(limits: model.Limits) -> ngh2.Connection:
    """A client's connection; its preface, SETTINGS and window wait to be sent."""
    engine = ngh2.Connection(
        ngh2.Role.CLIENT,
        ngh2.Configuration(
            auto_window_update=False,
            max_inbound_header_list_size=limits.head_bytes * DECODED_FACTOR,
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
