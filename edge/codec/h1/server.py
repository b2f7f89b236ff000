"""One downstream HTTP/1.x connection: bytes in, exchanges out, one after the other."""

from __future__ import annotations

import asyncio
from typing import Final

from edge.codec.context import ListenerContext
from edge.codec.h1.answer import Form
from edge.codec.h1.intake import DRAIN_BYTES, HELD_BYTES, Intake, Mode
from edge.codec.h1.render import render_response
from edge.codec.pace import Pace, ReadingPace
from edge.codec.refusal import refusal
from edge.errors import DownstreamClosed, DownstreamError, DownstreamTimeout, EdgeError
from edge.head import ResponseHead
from edge.outgoing import outgoing, unsent
from edge.room import HIGH_BYTES, widen

HALF_CLOSED_S: Final = 5.0
"""How long an answer may take to begin for a client that has closed its side."""
LINGER_S: Final = 1.0
"""How long a refused client may go on sending before it is cut: enough to read the answer."""
FIRST_REQUEST_S: Final = 1.0
"""While we drain: how long a client that has asked nothing yet has, for a request on its way."""

_CUT_SHORT: Final = (Mode.LENGTH, Mode.CHUNKED, Mode.HOLD)
"""Of what the client was to send next; after its end nothing will come."""


class H1Server(Intake, asyncio.Protocol):
    """Implements `Connection` and, for the one exchange under way, `Downstream`."""

    __slots__ = (
        "_eof",
        "_fresh",
        "_reading",
        "_reading_pace",
        "_request_paused",
        "_roomy",
    )

    def __init__(self, context: ListenerContext) -> None:
        super().__init__(context)
        self._eof = False
        self._fresh = True
        self._reading = True
        self._reading_pace: Pace | None = None
        self._roomy = False
        self._request_paused = False

    # ---- the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """After the handshake, where there is one."""
        context = self._context
        self._transport = made = outgoing(transport)
        self.peer = host, port = _address(made.get_extra_info("peername"))
        self.client = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode()
        if not context.takes(self, self.client, host):
            self._mode = Mode.CLOSED
            made.abort()  # no word, no work
            return
        self.local = _address(made.get_extra_info("sockname"))
        tls = made.get_extra_info("ssl_object")
        if tls is not None:
            self.tls_version = tls.version() or ""
            self.sni = getattr(tls, "edge_sni", "")
            self.identity = getattr(tls, "edge_identity", None)
        made.set_write_buffer_limits(high=HIGH_BYTES)
        self._arm(FIRST_REQUEST_S if context.draining else context.limits.head_timeout_s)

    def data_received(self, data: bytes) -> None:
        if self._held:
            data = self._held + data
            self._held = b""
        self._receive(data)
        if self._eof:
            self._end_after_eof()

    def eof_received(self) -> bool:
        """A client may close its side and still read the answer to a complete request.

        Most that do are gone, though: an answer that has not begun in `HALF_CLOSED_S` is given up.
        """
        mode = self._mode
        if mode is Mode.WAIT or (mode is Mode.HEAD and self._held):
            self._eof = True
            self._arm(HALF_CLOSED_S)
            if mode is Mode.HEAD:
                self._soon()
            return True
        if mode is Mode.TUNNEL and self._exchange is not None:
            self._eof = True
            self._moved()
            try:
                self._exchange.request_data(b"", True)
            except Exception as error:
                self._crashed(error)
            return True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        context = self._context
        context.lost(self, self.peer[0])
        context.deadlines.forget(self)
        self._reads(None)
        self._mode = Mode.CLOSED
        self._form = Form.GONE
        self._held = b""
        self._fail_exchange(DownstreamClosed("the client closed the connection"))

    def shutdown(self) -> None:
        """Close now if idle, else after the exchange under way or the first one to come."""
        if self._mode is not Mode.HEAD or self._held:
            self._close = True
        elif self._fresh:
            self._arm(FIRST_REQUEST_S)
        else:
            self._finish_connection()

    # ---- flow control

    def pause_writing(self) -> None:
        """The client reads more slowly than upstream writes; for ever is an attack."""
        self._write_paused = True
        self._arm(self._context.limits.body_idle_timeout_s)
        self._reads(ReadingPace(self._context, self._taken, self._read_slowly, -unsent(self._transport)))
        if self._exchange is not None:
            try:
                self._exchange.pause_response()
            except Exception as error:
                self._crashed(error)

    def resume_writing(self) -> None:
        self._write_paused = False
        self._reads(None)
        if not self._roomy:
            self._roomy = True
            widen(self._transport)
        self._moved()
        if self._exchange is not None:
            try:
                self._exchange.resume_response()
            except Exception as error:
                self._crashed(error)
        if self._postponed:
            self._soon()

    def _reads(self, pace: Pace | None) -> None:
        """Watch how the client reads what waits for it, or no longer."""
        if self._reading_pace is not None:
            self._reading_pace.over()
        self._reading_pace = pace

    def _taken(self) -> int | None:
        return None if self._mode is Mode.TUNNEL else -unsent(self._transport)

    def _read_slowly(self) -> None:
        self._cut(DownstreamTimeout("the client reads the response too slowly"))

    def pause_request(self) -> None:
        """Stop reading until `resume_request`."""
        self._request_paused = True
        self._update_reading()

    def resume_request(self) -> None:
        self._request_paused = False
        self._update_reading()

    def _update_reading(self) -> None:
        wanted = not self._request_paused and len(self._held) <= HELD_BYTES
        if wanted is self._reading or self._transport.is_closing():
            return
        self._reading = wanted
        if wanted:
            self._transport.resume_reading()
            if self._mode in (Mode.LENGTH, Mode.CHUNKED):
                self._arm(self._context.limits.body_idle_timeout_s)
        else:
            self._transport.pause_reading()

    # ---- turns

    def _must_close(self, final: bool) -> bool:
        mode = self._mode
        if mode is Mode.WAIT:
            return False
        if mode is Mode.HOLD or self._awaits_continue:
            # Whether the client still sends what it announced nobody can know.
            return True
        return final and self._body_left > DRAIN_BYTES

    def _switch(self, head: ResponseHead) -> None:
        if self._mode is not Mode.HOLD:
            self._break_off()
            return
        self._mode = Mode.TUNNEL
        self._form = Form.RAW
        self._moved()
        self._transport.write(render_response(head, False, False, False))
        if self._held:
            self._soon()

    def _moved(self) -> None:
        if self._mode is Mode.TUNNEL:
            limits = self._context.limits
            self._arm(limits.body_idle_timeout_s if self._eof else limits.idle_timeout_s)

    def _end(self) -> None:
        self._form = Form.GONE
        self._exchange = None
        self._sends_no_more()
        mode = self._mode
        if mode is Mode.WAIT:
            self._turn_over()
        elif mode in (Mode.LENGTH, Mode.CHUNKED) and not self._close and self._body_left <= DRAIN_BYTES:
            self._request_paused = False
            self._update_reading()
        elif mode is Mode.TUNNEL:
            self._finish_connection()
        else:
            self._linger()

    def _turn_over(self) -> None:
        if self._close:
            self._finish_connection()
            return
        self._mode = Mode.HEAD
        self._fresh = False
        self._http10 = self._to_head = self._request_paused = False
        if not self._write_paused:
            self.deadline = self._context.clock() + self._context.limits.idle_timeout_s
        if self._held:
            self._soon()
        elif self._eof and not self._busy:
            self._finish_connection()
            return
        if not self._reading:
            self._update_reading()

    def _soon(self) -> None:
        """Go on with what is held at the end of this turn of the loop, never inside a callback."""
        (self._context.call_soon or asyncio.get_running_loop().call_soon)(self._next)

    def _next(self) -> None:
        if self._held and self._mode in (Mode.HEAD, Mode.TUNNEL):
            self._scanned = 0
            data, self._held = self._held, b""
            self._receive(data)
            if self._eof:
                self._end_after_eof()
            self._update_reading()

    def _end_after_eof(self) -> None:
        mode = self._mode
        if mode in _CUT_SHORT or (mode is Mode.HEAD and not self._postponed):
            self._finish_connection()

    # ---- endings

    def _finish_connection(self) -> None:
        self._mode = Mode.CLOSED
        self._held = b""
        self._transport.close()
        self._arm(self._context.limits.body_idle_timeout_s)

    def _linger(self) -> None:
        """Close our side and go on reading for a moment: a RST would eat the answer."""
        self._mode = Mode.LINGER
        self._held = b""
        self._dropped = 0
        self._request_paused = False
        self._update_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._arm(LINGER_S)

    def _gone(self) -> None:
        self._mode = Mode.CLOSED
        self._held = b""

    def reset(self, error: EdgeError) -> None:
        """Close so that the client cannot take what it got for a whole answer."""
        self._exchange = None
        super().reset(error)

    def _refuse(self, error: DownstreamError) -> None:
        answerable = self._form is Form.OPEN or self._mode is Mode.HEAD
        if self._exchange is None and self._mode is Mode.HEAD and self._context.refused is not None:
            self._context.refused(error, self.client, "HTTP/1.1")
        if answerable:
            self._form = Form.GONE
            self._write_refusal(error.status)
            self._linger()
        else:
            self._break_off()
        self._fail_exchange(error)

    def _write_refusal(self, status: int) -> None:
        head, body = refusal(status)
        rendered = render_response(head, False, True, False, self._to_head)
        self._transport.write(rendered if self._to_head else rendered + body)

    def _fail_exchange(self, error: EdgeError) -> None:
        exchange, self._exchange = self._exchange, None
        self._sends_no_more()
        if exchange is not None:
            try:
                exchange.downstream_failed(error)
            except Exception as unexpected:
                self._context.unhandled(unexpected)

    def _crashed(self, error: Exception) -> None:
        self._context.unhandled(error)
        self._form = Form.GONE
        self._gone()
        self._transport.abort()
        self._fail_exchange(DownstreamClosed("the connection failed inside edge"))

    def expired(self) -> None:
        """A deadline passed: what that means depends on what the connection waits for."""
        mode = self._mode
        if mode is Mode.CLOSED or mode is Mode.LINGER:
            self._transport.abort()
        elif self._write_paused and mode is not Mode.TUNNEL and self._context.limits.min_rate_bytes_s:
            self._arm(self._context.limits.body_idle_timeout_s)  # its pace is judged elsewhere
        elif self._write_paused:
            self._cut(DownstreamTimeout("the client does not read the response"))
        elif mode is Mode.HEAD:
            if self._held:
                self._refuse(DownstreamTimeout("the head did not arrive in time"))
            else:
                self._finish_connection()
        elif mode in (Mode.LENGTH, Mode.CHUNKED) and not self._request_paused:
            if self._may_begin_late():
                self._arm(self._context.limits.body_idle_timeout_s)
            else:
                self._refuse(DownstreamTimeout("the body did not arrive in time"))
        elif mode is Mode.TUNNEL:
            self._cut(DownstreamTimeout("nothing moved in the tunnel"))
        elif self._eof and mode is Mode.WAIT and self._form is Form.OPEN:
            self._cut(DownstreamClosed("the client closed its side and no answer came"))
        else:
            self._arm(self._context.limits.idle_timeout_s)

    def _cut(self, error: DownstreamError) -> None:
        self._form = Form.GONE
        self._gone()
        self._transport.abort()
        self._fail_exchange(error)


def _address(name: object) -> tuple[str, int]:
    if isinstance(name, tuple) and len(name) >= 2:
        return name[0], name[1]
    return "", 0
