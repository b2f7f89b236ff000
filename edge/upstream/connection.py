"""The life of one upstream connection: dialled, used, idle, closed; one request at a time."""

from __future__ import annotations

import asyncio
import select
from abc import abstractmethod
from collections.abc import Callable
from math import inf
from typing import Final, Protocol

from edge import model
from edge.errors import ConnectFailed, EdgeError, UpstreamClosed, UpstreamTimeout
from edge.exchange.deadlines import Deadlines
from edge.exchange.seams import ExchangeResponse
from edge.head import Fields, RequestHead
from edge.outgoing import outgoing
from edge.upstream.carrier import Caller
from edge.upstream.dialer import Dialer
from edge.upstream.tls import ClientTls

WRITE_HIGH_BYTES: Final = 256 << 10
"""Unsent bytes over which the sender of the request body is paused."""

LINGER_S: Final = 10.0
"""How long the last bytes of a tunnel may take to leave."""


# What a connection is doing; LENGTH, CHUNKED and CLOSE are how the response body is framed.
# Plain ints, because the look-up of an enum member costs more than the comparison.
DIALLING: Final = 0
IDLE: Final = 1
HEAD: Final = 2
LENGTH: Final = 3
CHUNKED: Final = 4
CLOSE: Final = 5
TUNNEL: Final = 6
CLOSED: Final = 7


class Owner(Protocol):
    """Where the connection belongs."""

    address: str
    idle_timeout_s: float

    def idle_again(self, client: Connection) -> None: ...
    def gone(self, client: Connection, was_idle: bool) -> None: ...


class Connection(asyncio.Protocol):
    """What every protocol version needs: dialling, deadlines, reuse or close.

    Methods in the order the connection lives. Reuse happens only when nothing is in doubt: the
    request was sent whole, the response came whole, nothing came behind it.
    """

    __slots__ = (
        "_attempt_ends_dial",
        "_buffer",
        "_caller",
        "_clock",
        "_deadlines",
        "_doubtful",
        "_give_up",
        "_informational",
        "_keep_alive",
        "_limits",
        "_owner",
        "_paused",
        "_receiver",
        "_sent_all",
        "_state",
        "_transport",
        "deadline",
        "filed",
        "requests",
        "write_paused",
    )

    def __init__(
        self, owner: Owner, deadlines: Deadlines, clock: Callable[[], float], limits: model.Limits
    ) -> None:
        self._owner = owner
        self._deadlines = deadlines
        self._clock = clock
        self._limits = limits
        self._state = DIALLING
        self._caller: Caller | None = None
        self._receiver: ExchangeResponse | None = None
        self._give_up: Callable[[], None] | None = None
        self._attempt_ends_dial = False
        self._buffer = b""
        self._doubtful = False
        """An answer without body came last: bytes may follow that belong to nothing."""
        self._informational = 0
        self._keep_alive = False
        self._sent_all = True
        self._paused = False
        self.deadline = inf
        self.filed = inf
        self.requests = 0
        self.write_paused = False

    def dial(
        self,
        caller: Caller,
        connect_s: float,
        attempt_s: float,
        dialer: Dialer,
        endpoint: model.Endpoint,
        tls: ClientTls | None,
        preamble: bytes = b"",
    ) -> None:
        """Connect for `caller`. `attempt_s` (0 = none) bounds connecting and waiting together."""
        self._caller = caller
        self._attempt_ends_dial = 0 < attempt_s < connect_s
        self.deadline = self._clock() + (attempt_s if self._attempt_ends_dial else connect_s)
        self._deadlines.watch(self)
        self._give_up = dialer.dial(endpoint.host, endpoint.port, self, self._dial_failed, tls, preamble)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = outgoing(transport)
        self._give_up = None
        caller = self._caller
        if caller is None:
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=WRITE_HIGH_BYTES)
        self._state = IDLE
        self._caller = None
        caller.connected(self._owner.address or peer_address(self._transport))

    def _body_deadline(self) -> None:
        if LENGTH <= self._state <= CLOSE:
            self.deadline = deadline = self._clock() + self._limits.body_idle_timeout_s
            if deadline < self.filed:
                self._deadlines.watch(self)
        elif self._state == TUNNEL and not self._sent_all:
            self.deadline = inf

    @property
    def receiver(self) -> ExchangeResponse | None:
        """Of the request that has it, or waits for it."""
        return self._caller.receiver if self._caller is not None else None

    @abstractmethod
    def begin(self, caller: Caller, head: RequestHead, end: bool, deadline: float) -> None:
        """Send `head` on this connection, which is idle or just made.

        `deadline` is that of the response head, `inf` for none.
        """

    @abstractmethod
    def send_data(self, data: bytes, end: bool) -> None:
        """Request body, or tunnel bytes. Bytes that do not fit content-length are never sent."""

    @abstractmethod
    def send_trailers(self, fields: Fields) -> None:
        """End of the request; where its framing has no place for trailers they are dropped."""

    @abstractmethod
    def give_up(self) -> None:
        """The response is not wanted any more; the caller hears nothing."""

    def pause_response(self) -> None:
        if not self._paused and self._state != CLOSED:
            self._paused = True
            self._transport.pause_reading()

    def resume_response(self) -> None:
        if self._paused and self._state != CLOSED:
            self._paused = False
            self._body_deadline()
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        self.write_paused = True
        if self._caller is not None:
            self._caller.writable(False)

    def resume_writing(self) -> None:
        self.write_paused = False
        if self._caller is not None:
            self._caller.writable(True)

    def _half_open(self) -> None:
        """Only one half of the tunnel is left: it must not stay for ever."""
        self.deadline = self._clock() + self._limits.body_idle_timeout_s
        self._deadlines.watch(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._state == CLOSED:
            self._deadlines.forget(self)
        elif self._state == IDLE:
            self.close()
        elif self._state == TUNNEL and self._receiver is None:
            # The response side ended before; the client still talks to nobody.
            self._part()
            self.close()
        else:
            self.fail(UpstreamClosed(str(exc) if exc else "closed before the response was complete"))

    def _finish(self, clean: bool) -> None:
        """The response is complete. Called before its last bytes are delivered, so that whoever
        gets them may send the next request on this very connection."""
        caller = self._caller
        self._caller = None
        self._receiver = None
        if caller is not None:
            caller.finished()
        if not clean or not self._keep_alive or not self._sent_all or self._transport.is_closing():
            self.close()
            return
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        self._state = IDLE
        clock = self._clock
        self.deadline = deadline = clock() + self._owner.idle_timeout_s
        if deadline < self.filed:
            self._deadlines.watch(self)
        self._owner.idle_again(self)

    def _has_unread(self) -> bool:
        """Whether the upstream has sent, or closed, what this turn of the loop has not read yet."""
        self._doubtful = False
        connection = self._transport.get_extra_info("socket")
        if connection is None:
            return False
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        return bool(poll.poll(0))

    def _part(self) -> None:
        caller = self._caller
        self._caller = None
        self._receiver = None
        if caller is not None:
            caller.finished()

    def _dial_failed(self, reason: str) -> None:
        self._give_up = None
        self.fail(ConnectFailed(reason))

    def expired(self) -> None:
        """The deadline passed: what that means depends on what the connection was doing."""
        state = self._state
        if state == IDLE:
            self.close()
        elif state == CLOSED:
            self._transport.abort()
        elif state == DIALLING:
            late = self._attempt_ends_dial
            self.fail(UpstreamTimeout("not connected in time") if late else ConnectFailed("connect timeout"))
        elif state == HEAD:
            self.fail(UpstreamTimeout("no response head in time"))
        elif state == TUNNEL and self._receiver is None:
            self._part()
            self.close()
        elif self._paused and state == TUNNEL:
            self._half_open()
        elif self._paused:
            self._body_deadline()
        else:
            self.fail(UpstreamTimeout("no next byte in time"))

    def fail(self, error: EdgeError) -> None:
        """Close at once and tell the caller."""
        caller = self._caller
        untouched = self._state == HEAD and not self._buffer and not self._informational
        self._caller = None
        self._receiver = None
        self.close()
        if caller is not None:
            caller.failed(error, untouched)

    def close(self, flush: bool = False) -> None:
        """Close at once, whatever is under way; the caller, if any, hears nothing.

        `flush` lets what was written go out first, for `LINGER_S` at most.
        """
        state = self._state
        if state == CLOSED:
            return
        self._state = CLOSED
        self._caller = None
        self._receiver = None
        self._deadlines.forget(self)
        self.deadline = inf
        if state == DIALLING:
            if self._give_up is not None:
                self._give_up()
                self._give_up = None
        elif flush:
            self._transport.close()
            self.deadline = self._clock() + LINGER_S
            self._deadlines.watch(self)
        else:
            self._transport.abort()
        self._owner.gone(self, state == IDLE)


def peer_address(transport: asyncio.BaseTransport) -> str:
    """`ip:port` of the peer, IPv6 in brackets; empty when it is not known any more."""
    peer = transport.get_extra_info("peername")
    if not peer:
        return ""
    return f"[{peer[0]}]:{peer[1]}" if ":" in peer[0] else f"{peer[0]}:{peer[1]}"
