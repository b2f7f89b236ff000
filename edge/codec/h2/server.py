"""One downstream HTTP/2 connection: bytes in, exchanges out, as many at once as there are streams."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import Final

from edge.codec.context import ListenerContext
from edge.codec.h2.codes import Code
from edge.codec.h2.engine import MakeEngine
from edge.codec.h2.native import NativeEngine
from edge.codec.h2.stream import Form, Stream
from edge.codec.h2.turn import Turn
from edge.codec.pace import Pace, ReadingPace
from edge.errors import BadRequest, DownstreamClosed, DownstreamTimeout, EdgeError, Flooded
from edge.outgoing import end_of_turn, in_turn, outgoing, unsent
from edge.room import HIGH_BYTES, widen

LINGER_S: Final = 1.0
LINGER_BYTES: Final = 256 << 10
"""After our last GOAWAY so much is still read and dropped: a RST would eat it, and the last answer."""
DRAIN_STEP_S: Final = 1.0
"""How long a drain waits for the answer to its PING before it names the last stream."""
FIRST_REQUEST_S: Final = 1.0
"""While we drain: how long a new connection may open streams, for requests on their way."""
_REQUEST_TIMEOUT: Final = 408


class H2Server(Turn, asyncio.Protocol):
    """A connection on a transport, with its clock, its drain and its end."""

    _transport: asyncio.Transport

    __slots__ = (
        "_drain_due",
        "_draining",
        "_dropped",
        "_end_due",
        "_head_due",
        "_idle_since",
        "_in_turn",
        "_left",
        "_named_last",
        "_read_due",
        "_reading",
        "_reading_pace",
        "_resting",
        "_roomy",
        "_transport",
    )

    def __init__(self, context: ListenerContext, make_engine: MakeEngine = NativeEngine) -> None:
        super().__init__(context, make_engine)
        self._draining = False
        self._named_last = False
        self._reading = True
        self._resting = False
        """Some of what came waits for its turn."""
        self._in_turn: Callable[[Callable[[], None]], object] | None = context.call_soon
        self._reading_pace: Pace | None = None
        self._roomy = False
        self._dropped = self._left = 0
        self._idle_since = context.clock()
        # When what the connection waits for is overdue; `deadline` is the first of them.
        self._head_due = self._read_due = self._drain_due = self._end_due = inf

    # ---- the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """After the handshake, where there is one."""
        context = self._context
        self._transport = made = outgoing(transport)
        self.peer = host, port = _address(made.get_extra_info("peername"))
        self.client = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode()
        if not context.takes(self, self.client, host):
            self._finished = True
            made.abort()
            return
        self.local = _address(made.get_extra_info("sockname"))
        tls = made.get_extra_info("ssl_object")
        if tls is not None:
            self.tls_version = tls.version() or ""
            self.sni = getattr(tls, "edge_sni", "")
            self.identity = getattr(tls, "edge_identity", None)
        self._write = made.write
        made.set_write_buffer_limits(high=HIGH_BYTES)
        if self._call_soon is None:
            self._call_soon = end_of_turn(made)
            self._in_turn = in_turn(made)
        if context.draining:
            self._drain_due = context.clock() + FIRST_REQUEST_S
        self._expect_head(True)
        self.wake()

    def data_received(self, data: bytes) -> None:
        if self._finished:
            self._dropped += len(data)
            if self._dropped > LINGER_BYTES:
                self._transport.abort()
            return
        engine = self.engine
        try:
            engine.receive(data)
        except Exception as error:
            self._crashed(error)
            return
        owed = engine.receiving_head()
        if owed is (self._head_due == inf):
            self._expect_head(owed)
        told = self._opened or self._answered or self._blocked or self._abandoned
        if not self._woken and (told or engine.stirred()):
            self.wake()

    def on_rest(self) -> None:
        """Others are served, and what was begun is sent, before this connection goes on."""
        if self._resting:
            return
        self._resting = True
        if self._reading and not self._transport.is_closing():
            self._reading = False
            self._transport.pause_reading()
        assert self._in_turn is not None
        self._in_turn(self._go_on)

    def _go_on(self) -> None:
        self._resting = False
        if not self._finished:
            self._woken = True
            self.data_received(b"")
            # At once: a request that the engine resets with this is given up before it has left.
            self._flush()
        if not self._resting and not self._reading and not self._transport.is_closing():
            self._reading = True
            self._transport.resume_reading()

    def _expect_head(self, owed: bool) -> None:
        """The client has `head_timeout_s` for what it has begun, whatever else it sends meanwhile."""
        context = self._context
        self._head_due = context.clock() + context.limits.head_timeout_s if owed else inf
        self._arm()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        context = self._context
        context.lost(self, self.peer[0])
        context.deadlines.forget(self)
        self._reads(None)
        self._finished = True
        self._fail_all(DownstreamClosed("the client closed the connection"))
        self.engine.close()

    def shutdown(self) -> None:
        """Two steps: announce, and once the client has seen that, name the last stream served."""
        if self._draining or self._finished:
            return
        self._draining = True
        self.engine.notice()
        self.engine.ping()
        self._drain_due = self._context.clock() + DRAIN_STEP_S
        self._arm()
        self.wake()

    def on_ping_answered(self) -> None:
        if self._draining and not self._named_last:
            self._named_last = True
            self._drain_due = inf
            self.engine.goaway(Code.NO_ERROR)
            self.wake()

    def idle(self) -> None:
        self._idle_since = self._context.clock()

    def pause_writing(self) -> None:
        """The client reads more slowly than upstreams write: what they write stays in the streams."""
        self._write_paused = True
        self._watch_reading()
        self._arm()

    def _watch_reading(self) -> None:
        context = self._context
        if not context.limits.min_rate_bytes_s:
            self._read_due = context.clock() + context.limits.body_idle_timeout_s
        self._left = unsent(self._transport)
        self._reads(ReadingPace(context, self._taken, self._unread, -self._left))

    def resume_writing(self) -> None:
        self._write_paused = False
        if self._finished:
            return  # the last of it may still be unread
        self._read_due = inf
        self._reads(None)
        if not self._roomy:
            self._roomy = True
            widen(self._transport)
        self.wake()

    def _reads(self, pace: Pace | None) -> None:
        """Watch how the client reads what waits for it, or no longer."""
        if self._reading_pace is not None:
            self._reading_pace.over()
        self._reading_pace = pace

    def _taken(self) -> int:
        return -unsent(self._transport)

    def _unread(self) -> None:
        self._finished = True
        self._transport.abort()
        self._fail_all(DownstreamTimeout("the client does not read"))

    # ---- endings

    def _arm(self) -> None:
        """File the connection under what is due first; idleness is looked at when it comes up."""
        context = self._context
        idle_due = self._idle_since + context.limits.idle_timeout_s
        if self._streams or idle_due <= context.clock():
            idle_due = context.clock() + context.limits.idle_timeout_s
        if self._finished:
            idle_due = inf
        self.deadline = min(self._head_due, self._read_due, self._drain_due, self._end_due, idle_due)
        context.deadlines.watch(self)

    def _connection_over(self) -> None:
        """The last GOAWAY is written: end, but let the client read all it was sent first."""
        self._finished = True
        code = self.engine.over
        if code:
            flood = code == Code.ENHANCE_YOUR_CALM
            error: EdgeError = Flooded() if flood else BadRequest(f"the connection broke HTTP/2, code {code}")
            self._note_refused(error)
        else:
            error = DownstreamClosed("the connection is closed")
        self._fail_all(error)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._head_due = self._read_due = self._drain_due = inf
        if not code and unsent(self._transport):
            self._watch_reading()
        self._linger()

    def _linger(self) -> None:
        """Were it closed now, the client's next WINDOW_UPDATE would be met by a RST. Spec: RFC 9112 §9.6."""
        self._end_due = self._context.clock() + LINGER_S
        self._arm()

    def _lingered(self, now: float) -> None:
        """The client had time to read what was left, and to close; one that still reads gets more."""
        left = unsent(self._transport)
        if left < self._left and self._read_due < inf:
            self._left, self._read_due = left, now + self._context.limits.body_idle_timeout_s
        if self.engine.over or self._read_due <= now:
            self._transport.abort()
        elif left:
            self._linger()
        else:
            self._transport.close()

    def _crashed(self, error: Exception) -> None:
        self._context.unhandled(error)
        self._finished = True
        self._transport.abort()
        self._fail_all(DownstreamClosed("the connection failed inside edge"))

    def expired(self) -> None:
        """A deadline of the connection passed: what that means depends on what it waits for."""
        context = self._context
        now = context.clock()
        if self._finished:
            self._lingered(now)
        elif self._read_due <= now:
            self._unread()
        elif self._head_due <= now:
            self._fail_all(DownstreamTimeout("the head did not arrive in time"))
            self._say_goodbye()
        elif self._drain_due <= now:
            self._drain_due = inf
            if self._draining:
                self.on_ping_answered()
            else:
                self.shutdown()
            self._arm()
        elif not self._streams and self._idle_since + context.limits.idle_timeout_s <= now:
            self._say_goodbye()
        else:
            self._arm()

    def _say_goodbye(self) -> None:
        self.engine.goaway(Code.NO_ERROR)
        self._transport.write(self.engine.take())
        self._finished = True
        self._transport.close()

    def stream_unread(self, stream: Stream) -> None:
        if stream.blocked:
            self._drop(stream, Code.CANCEL)
            self._fail(stream, DownstreamTimeout("the client does not read the response"))

    def stream_slow(self, stream: Stream) -> None:
        if not stream.request_open:
            return
        open_ = stream.form is Form.OPEN
        self._fail(stream, DownstreamTimeout("the body did not arrive in time"))
        if open_:
            self._answer(stream, _REQUEST_TIMEOUT)
            self.wake()
        else:
            self._drop(stream, Code.CANCEL)

    def stream_expired(self, stream: Stream) -> None:
        """The client neither sends its body nor takes ours."""
        if stream.blocked:
            self.stream_unread(stream)
        elif stream.request_open and not stream.held_back and not stream.tunnel:
            self.stream_slow(stream)
        elif stream.request_open:
            self._arm_stream(stream)


def _address(name: object) -> tuple[str, int]:
    if isinstance(name, tuple) and len(name) >= 2:
        return name[0], name[1]
    return "", 0
