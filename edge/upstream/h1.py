"""One upstream HTTP/1.1 connection: one request at a time, reused only when nothing is in doubt."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from math import inf
from typing import Final, Protocol, cast

from edge import model
from edge.codec.h1.body import ChunkedReader
from edge.codec.h1.head import Framing, ResponseParse, parse_response
from edge.codec.h1.render import chunk, last_chunk, render_request
from edge.errors import BadResponse, ConnectFailed, EdgeError, UpstreamClosed, UpstreamTimeout
from edge.exchange.deadlines import Deadlines
from edge.exchange.seams import ExchangeResponse
from edge.head import Fields, RequestHead
from edge.upstream.dialer import Dialer

WRITE_HIGH_BYTES: Final = 256 << 10
"""Unsent bytes over which the sender of the request body is paused."""

INFORMATIONAL_MAX: Final = 16
"""1xx heads one response may have before its final head; more is a flood."""

LINGER_S: Final = 10.0
"""How long the last bytes of a tunnel may take to leave."""

_HEAD_START: Final = b"HTTP/1."
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")


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


class Caller(Protocol):
    """The request a connection carries. After `finished` or `failed` the two have parted."""

    receiver: ExchangeResponse
    head: RequestHead

    def connected(self, client: H1Client, address: str) -> None:
        """Dialling is done: `begin` may be called now."""

    def failed(self, error: EdgeError, untouched: bool) -> None:
        """`untouched` = no byte of a response was seen."""

    def finished(self) -> None: ...
    def writable(self, yes: bool) -> None:
        """The connection's write buffer passed its high or its low mark."""


class Owner(Protocol):
    """Where the connection belongs."""

    address: str
    idle_timeout_s: float

    def idle_again(self, client: H1Client) -> None: ...
    def gone(self, client: H1Client, was_idle: bool) -> None: ...


class H1Client(asyncio.Protocol):
    """Methods in the order the connection lives: dial, begin, send, receive, finish, close."""

    __slots__ = (
        "_attempt_ends_dial",
        "_buffer",
        "_caller",
        "_chunked_out",
        "_clock",
        "_deadlines",
        "_give_up",
        "_informational",
        "_keep_alive",
        "_left",
        "_left_out",
        "_limits",
        "_owner",
        "_paused",
        "_reader",
        "_receiver",
        "_request_head",
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
        self._paused = False
        self.deadline = inf
        self.filed = inf
        self.requests = 0
        self.write_paused = False

    # -- the request's way ---------------------------------------------------------------

    def dial(
        self, caller: Caller, connect_s: float, attempt_s: float, dialer: Dialer, endpoint: model.Endpoint
    ) -> None:
        """Connect for `caller`. `attempt_s` (0 = none) bounds connecting and waiting together."""
        self._caller = caller
        self._attempt_ends_dial = 0 < attempt_s < connect_s
        self.deadline = self._clock() + (attempt_s if self._attempt_ends_dial else connect_s)
        self._deadlines.watch(self)
        self._give_up = dialer.dial(endpoint.host, endpoint.port, self, self._dial_failed)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._give_up = None
        caller = self._caller
        if caller is None:
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=WRITE_HIGH_BYTES)
        self._state = IDLE
        self._caller = None
        caller.connected(self, self._owner.address or _peer(self._transport))

    def begin(self, caller: Caller, head: RequestHead, end: bool, deadline: float) -> None:
        """Send `head` on this connection, which is idle or just made. `deadline` for the response head."""
        self._caller = caller
        self._receiver = caller.receiver
        self._request_head = head
        self._state = HEAD
        self._informational = 0
        self._sent_all = end
        self._left_out = head.length
        self._chunked_out = not end and head.length is None and head.upgrade is None
        self.requests += 1
        self.deadline = deadline
        if deadline < self.filed:
            self._deadlines.watch(self)
        self._transport.write(render_request(head, end))

    def send_data(self, data: bytes, end: bool) -> None:
        """Request body, or tunnel bytes. Bytes that do not fit content-length are never sent."""
        if self._sent_all:
            return
        if self._state == TUNNEL:
            self._send_tunnel(data, end)
            return
        if self._chunked_out:
            if data:
                data = chunk(data)
            if end:
                data += last_chunk([])
        elif self._left_out is not None:
            self._left_out -= len(data)
            if self._left_out < 0 or (end and self._left_out):
                self.fail(EdgeError("request body does not match its content-length"))
                return
        else:
            # An upgrade: the client's bytes belong to the new protocol, or to nobody.
            if data:
                self.fail(EdgeError("bytes before the upgrade was granted"))
            return
        self._sent_all = end
        if data:
            self._transport.write(data)

    def send_trailers(self, fields: Fields) -> None:
        """End of the request; where its framing has no place for trailers they are dropped."""
        if self._chunked_out and not self._sent_all:
            self._sent_all = True
            self._transport.write(last_chunk(fields))
        else:
            self.send_data(b"", True)

    def _send_tunnel(self, data: bytes, end: bool) -> None:
        if data:
            self._transport.write(data)
            if self._receiver is None:
                self._half_open()
        if end:
            self._sent_all = True
            if self._receiver is None:
                self._part()
                self.close(flush=True)
            else:
                self._transport.write_eof()

    def pause_writing(self) -> None:
        self.write_paused = True
        if self._caller is not None:
            self._caller.writable(False)

    def resume_writing(self) -> None:
        self.write_paused = False
        if self._caller is not None:
            self._caller.writable(True)

    def pause_response(self) -> None:
        if not self._paused and self._state != CLOSED:
            self._paused = True
            self._transport.pause_reading()

    def resume_response(self) -> None:
        if self._paused and self._state != CLOSED:
            self._paused = False
            self._body_deadline()
            self._transport.resume_reading()

    # -- the response's way --------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        state = self._state
        if state == HEAD:
            self._on_head(data)
        elif state == LENGTH:
            self._on_length(data)
        elif state == CHUNKED:
            self._on_chunked(data)
        elif CLOSE <= state <= TUNNEL:
            self._on_raw(data)
        elif state == IDLE:
            # Nobody asked: whatever this is, the next request must not get it as its answer.
            self.close()

    def _on_head(self, data: bytes) -> None:
        if self._buffer:
            fresh = len(data)
            data = self._buffer + data
        else:
            fresh = len(data)
        caller = self._caller
        while True:
            at = data.find(b"\r\n\r\n")
            if at < 0:
                self._keep(data, fresh)
                return
            try:
                if at > self._limits.head_bytes:
                    raise BadResponse("response head too large")
                parsed = parse_response(data[:at], self._request_head.method, self._limits)
                self._check(parsed)
            except BadResponse as error:
                self.fail(error)
                return
            data = data[at + 4 :]
            if parsed.head.status >= 200 or parsed.framing == Framing.TUNNEL:
                break
            cast(ExchangeResponse, self._receiver).response_informational(parsed.head)
            if self._caller is not caller:
                return
            fresh = len(data)
        self._buffer = b""
        self._final(parsed, data)

    def _keep(self, data: bytes, fresh: int) -> None:
        """Hold an unfinished head, unless it can already be told that it is none."""
        self._buffer = data
        if len(data) > self._limits.head_bytes:
            self.fail(BadResponse("response head too large"))
        elif not data.startswith(_HEAD_START[: len(data)]):
            self.fail(BadResponse("not an HTTP/1 response"))
        elif _BARE_LF.search(data, len(data) - fresh):
            self.fail(BadResponse("bare LF in the response head"))

    def _check(self, parsed: ResponseParse) -> None:
        if parsed.framing == Framing.TUNNEL:
            if self._request_head.upgrade is None:
                raise BadResponse("101 without an upgrade request")
        elif parsed.head.status < 200:
            self._informational += 1
            if self._informational > INFORMATIONAL_MAX:
                raise BadResponse("too many 1xx responses")

    def _final(self, parsed: ResponseParse, rest: bytes) -> None:
        """The final head, and what came with it."""
        receiver = cast(ExchangeResponse, self._receiver)
        head = parsed.head
        framing = parsed.framing
        self._keep_alive = parsed.keep_alive and self._request_head.upgrade is None
        if framing == Framing.NONE or (framing == Framing.LENGTH and not head.length):
            self._finish(not rest)
            receiver.response_head(head, True)
            return
        caller = self._caller
        if framing == Framing.LENGTH:
            self._state = LENGTH
            self._left = cast(int, head.length)
        elif framing == Framing.CHUNKED:
            self._state = CHUNKED
            self._reader = ChunkedReader(BadResponse)
        elif framing == Framing.CLOSE:
            self._state = CLOSE
        else:
            self._state = TUNNEL
            self._sent_all = False
        receiver.response_head(head, False)
        if self._caller is not caller:
            return
        if rest:
            self.data_received(rest)
            if self._caller is not caller:
                return
        self._body_deadline()

    def _body_deadline(self) -> None:
        if LENGTH <= self._state <= CLOSE:
            self.deadline = deadline = self._clock() + self._limits.body_idle_timeout_s
            if deadline < self.filed:
                self._deadlines.watch(self)
        elif self._state == TUNNEL:
            self.deadline = inf

    def _on_length(self, data: bytes) -> None:
        receiver = cast(ExchangeResponse, self._receiver)
        left = self._left - len(data)
        if left > 0:
            self._left = left
            self.deadline = self._clock() + self._limits.body_idle_timeout_s
            receiver.response_data(data, False)
        elif left == 0:
            self._finish(True)
            receiver.response_data(data, True)
        else:
            self._finish(False)
            receiver.response_data(data[:left], True)

    def _on_chunked(self, data: bytes) -> None:
        receiver = cast(ExchangeResponse, self._receiver)
        caller = self._caller
        reader = self._reader
        try:
            body, done = reader.feed(data)
        except BadResponse as error:
            self.fail(error)
            return
        if not done:
            self.deadline = self._clock() + self._limits.body_idle_timeout_s
            if body:
                receiver.response_data(body, False)
            return
        if not reader.trailers:
            self._finish(not reader.rest)
            receiver.response_data(body, True)
            return
        if body:
            receiver.response_data(body, False)
            if self._caller is not caller:
                return
        self._finish(not reader.rest)
        receiver.response_trailers(reader.trailers)

    def _on_raw(self, data: bytes) -> None:
        if self._state == CLOSE:
            self.deadline = self._clock() + self._limits.body_idle_timeout_s
        if self._receiver is not None:
            self._receiver.response_data(data, False)

    def eof_received(self) -> bool:
        """True keeps our half of a tunnel open."""
        receiver = self._receiver
        if self._state == CLOSE and receiver is not None:
            self._finish(False)
            receiver.response_data(b"", True)
        elif self._state == TUNNEL and receiver is not None:
            if not self._sent_all:
                self._receiver = None
                self._half_open()
                receiver.response_data(b"", True)
                return True
            self._part()
            self.close(flush=True)
            receiver.response_data(b"", True)
        return False

    def _half_open(self) -> None:
        """Only the client's half of the tunnel is left: it must not stay for ever."""
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

    # -- ends ----------------------------------------------------------------------------

    def _finish(self, clean: bool) -> None:
        """The response is complete. Called before its last bytes are delivered, so that whoever
        gets them may send the next request on this very connection."""
        self._part()
        if not (clean and self._keep_alive and self._sent_all) or not self._usable():
            self.close()
            return
        self._state = IDLE
        self.deadline = deadline = self._clock() + self._owner.idle_timeout_s
        if deadline < self.filed:
            self._deadlines.watch(self)
        self._owner.idle_again(self)

    def _usable(self) -> bool:
        if self._transport.is_closing():
            return False
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return True

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
        elif state == TUNNEL:
            self._part()
            self.close()
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


def _peer(transport: asyncio.Transport) -> str:
    peer = transport.get_extra_info("peername")
    if not peer:
        return ""
    return f"[{peer[0]}]:{peer[1]}" if ":" in peer[0] else f"{peer[0]}:{peer[1]}"
