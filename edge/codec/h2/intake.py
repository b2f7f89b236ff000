"""What the engine tells becomes calls on exchanges: requests, bodies, trailers and how streams end."""

from __future__ import annotations

from math import inf
from typing import Final

from edge.codec.context import ListenerContext
from edge.codec.h2.codes import Code
from edge.codec.h2.engine import Engine, MakeEngine
from edge.codec.h2.fields import Malformed, parse_trailers, response_fields
from edge.codec.h2.head import Repeat, parse_request
from edge.codec.h2.stream import Form, Stream
from edge.codec.refusal import refusal
from edge.errors import BadRequest, DownstreamClosed, EdgeError, LimitExceeded
from edge.exchange.identity import ClientIdentity
from edge.head import Field, Fields

_GONE: Final = Form.GONE
_TO_HEAD: Final[Field] = (b":method", b"HEAD")


class Intake:
    """Implements `Connection` and `EngineSink`; `edge.codec.h2.turn.Turn` adds what goes out."""

    __slots__ = (
        "_abandoned",
        "_answered",
        "_blocked",
        "_context",
        "_opened",
        "_repeat",
        "_resumed",
        "_streams",
        "_woken",
        "client",
        "deadline",
        "engine",
        "filed",
        "id",
        "identity",
        "local",
        "peer",
        "sni",
        "tls_version",
    )

    def __init__(self, context: ListenerContext, make_engine: MakeEngine) -> None:
        self._context = context
        self.id = context.next_id()
        self.peer: tuple[str, int] = ("", 0)
        self.local: tuple[str, int] = ("", 0)
        self.client = b""
        self.tls_version = ""
        self.sni = ""
        self.identity: ClientIdentity | None = None
        self.deadline = self.filed = inf
        self.engine: Engine = make_engine(self, context.limits, context.clock)
        self._streams: dict[int, Stream] = {}
        self._repeat = Repeat()
        self._woken = False
        self._opened: list[Stream] = []
        """Their bodies have begun; the clock runs for those that have not ended with this turn."""
        self._answered: list[Stream] = []
        self._resumed: list[Stream] = []
        self._abandoned: list[Stream] = []
        self._blocked: set[Stream] = set()

    def on_request(self, stream_id: int, fields: tuple[Field, ...], end: bool) -> None:
        context = self._context
        stream = Stream(self, stream_id, not end)
        self._streams[stream_id] = stream
        try:
            head = parse_request(
                fields, end, context.scheme, context.limits, self._repeat, context.keep_forwarding
            )
        except Malformed as error:
            self._note_refused(error)
            self._refuse(stream)
            return
        except BadRequest as error:
            self._note_refused(error)
            self._answer(stream, error.status, _TO_HEAD in fields)
            return
        tunnelling = head.upgrade is not None
        stream.begin(head)
        try:
            exchange = context.accept(self, stream, head, end and not tunnelling)
        except Exception as error:
            self._stream_crashed(stream, error)
            return
        if stream.form is not _GONE:
            stream.exchange = exchange
        if not end:
            self._opened.append(stream)
        elif tunnelling:
            stream.held.append((b"", 0, True))

    def on_data(self, stream_id: int, data: bytes, credit: int, end: bool) -> None:
        stream = self._streams.get(stream_id)
        if stream is None or stream.exchange is None:
            # Nobody wants it: the connection's window must not shrink by it.
            self.engine.credit(stream_id, credit)
            if stream is not None and end:
                stream.request_open = False
            return
        if not end:
            context = self._context
            stream.deadline = context.clock() + context.limits.body_idle_timeout_s
        elif self._opened and self._opened[-1] is stream:
            self._opened.pop()
        if stream.announced >= 0:
            stream.announced -= len(data)
            if stream.announced < 0 or (end and stream.announced):
                self._break_request(stream, Malformed("body other than its content-length"))
                self.engine.credit(stream_id, credit)
                return
        if stream.held_back or stream.held:
            stream.held.append((data, credit, end))
        else:
            self._deliver(stream, data, credit, end)

    def _deliver(self, stream: Stream, data: bytes, credit: int, end: bool) -> None:
        if end:
            stream.request_open = False
        exchange = stream.exchange
        if exchange is not None and (data or end):
            try:
                exchange.request_data(data, end)
            except Exception as error:
                self._stream_crashed(stream, error)
        if credit:
            self.engine.credit(stream.id, credit)

    def on_trailers(self, stream_id: int, fields: tuple[Field, ...]) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        try:
            if stream.announced > 0:
                raise Malformed("body other than its content-length")
            trailers = parse_trailers(fields)
        except Malformed as error:
            self._break_request(stream, error)
            return
        if stream.held_back or stream.held:
            stream.held.append(trailers)
        else:
            self._deliver_trailers(stream, trailers)

    def _deliver_trailers(self, stream: Stream, fields: Fields) -> None:
        stream.request_open = False
        exchange = stream.exchange
        if exchange is None:
            return
        try:
            if fields and not stream.tunnel:
                exchange.request_trailers(fields)
            else:
                exchange.request_data(b"", True)
        except Exception as error:
            self._stream_crashed(stream, error)

    def on_closed(self, stream_id: int, code: int, by_peer: bool) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        if stream.blocked or stream.filed != inf or stream.sending is not None or stream.held:
            self._forget(stream)
        else:
            del self._streams[stream_id]
        if stream.exchange is not None:
            self._cut_short(stream, code, by_peer)
        stream.form = _GONE
        if not self._streams:
            self.idle()

    def on_refused(self, count: int, code: int) -> None:
        many = code == Code.REFUSED_STREAM
        error: EdgeError = LimitExceeded("too many streams", 0) if many else Malformed("not told why")
        for _ in range(count):
            self._note_refused(error)

    def _cut_short(self, stream: Stream, code: int, by_peer: bool) -> None:
        """The stream is over and its exchange is not."""
        if by_peer:
            self._fail(stream, DownstreamClosed("the client reset the stream"))
        elif code or stream.form is not Form.DROP:
            self._fail(stream, BadRequest(f"the stream was malformed, code {code}"))

    # ---- what streams ask

    def answered(self, stream: Stream) -> None:
        """The stream has queued body or its end."""
        self._answered.append(stream)
        if not self._woken:
            self.wake()

    def resumed(self, stream: Stream) -> None:
        """What the stream holds goes on at the end of the turn, never inside a callback."""
        if stream.held:
            self._resumed.append(stream)
            self.wake()

    def abandoned(self, stream: Stream) -> None:
        """The stream is answered, its exchange does not know: it is told at the end of the turn."""
        self._abandoned.append(stream)

    def reset_stream(self, stream: Stream, code: int) -> None:
        """Reset by us, in the middle of a call of its exchange, which is told at the end of the turn."""
        if stream.exchange is not None:
            self._abandoned.append(stream)
        self._drop(stream, code)

    # ---- how streams end

    def _answer(self, stream: Stream, status: int, to_head: bool = False) -> None:
        """A refusal of ours; no exchange knows of it."""
        head, body = refusal(status)
        self.engine.send_head(stream.id, response_fields(head, True), to_head)
        if not to_head:
            self.engine.send_data(stream.id, body, True)
        stream.form = _GONE
        self._answered.append(stream)

    def _note_refused(self, error: EdgeError) -> None:
        if self._context.refused is not None:
            self._context.refused(error, self.client, "HTTP/2")

    def _fail(self, stream: Stream, error: EdgeError) -> None:
        """Tell the exchange, if it still is one, that its client is gone."""
        exchange, stream.exchange = stream.exchange, None
        if exchange is not None:
            try:
                exchange.downstream_failed(error)
            except Exception as unexpected:
                self._context.unhandled(unexpected)

    def _fail_all(self, error: EdgeError) -> None:
        for stream in list(self._streams.values()):
            self._forget(stream)
            stream.form = _GONE
            self._fail(stream, error)

    def _drop(self, stream: Stream, code: int) -> None:
        """Reset the stream; its exchange must have been told, or be told later."""
        self._forget(stream)
        stream.form = _GONE
        self.engine.reset(stream.id, code)
        self.wake()

    def _break_request(self, stream: Stream, error: Malformed) -> None:
        """What came after the head is malformed. Spec: RFC 9113 §8.1.1."""
        self._fail(stream, error)
        self._refuse(stream)

    def _refuse(self, stream: Stream) -> None:
        self._forget(stream)
        stream.form = _GONE
        self.engine.refuse(stream.id, Code.PROTOCOL_ERROR)

    def _forget(self, stream: Stream) -> None:
        self._streams.pop(stream.id, None)
        if stream.blocked:
            self._blocked.discard(stream)
        if stream.filed != inf:
            self._context.deadlines.forget(stream)
        if stream.sending is not None or stream.reading is not None:
            stream.rest()
        if stream.held:
            for part in stream.held:
                if isinstance(part, tuple) and part[1]:
                    self.engine.credit(stream.id, part[1])
            stream.held = []

    def _stream_crashed(self, stream: Stream, error: Exception) -> None:
        """Something of ours failed: this stream ends, and no other."""
        self._context.unhandled(error)
        self._drop(stream, Code.INTERNAL_ERROR)
        self._fail(stream, DownstreamClosed("the stream failed inside edge"))

    def _arm_stream(self, stream: Stream) -> None:
        stream.deadline = self._context.clock() + self._context.limits.body_idle_timeout_s
        self._context.deadlines.watch(stream)

    # ---- what the connection adds

    def wake(self) -> None:
        """Have what waits sent at the end of this turn."""
        raise NotImplementedError

    def piled(self, stream: Stream) -> None:
        """The stream has queued much, and more may come in the same turn."""
        raise NotImplementedError

    def stream_expired(self, stream: Stream) -> None:
        """The deadline of the stream has passed."""
        raise NotImplementedError

    def shutdown(self) -> None:
        """Take no more streams, and close when those that are open are done."""
        raise NotImplementedError

    def stream_slow(self, stream: Stream) -> None:
        """The request's body comes too slowly."""
        raise NotImplementedError

    def stream_unread(self, stream: Stream) -> None:
        """The client takes the answer too slowly."""
        raise NotImplementedError

    def on_ping_answered(self) -> None:
        """The client has seen what was sent before our PING."""
        raise NotImplementedError

    def on_rest(self) -> None:
        """What came goes on in a later turn."""
        raise NotImplementedError

    def idle(self) -> None:
        """No stream is left."""
        raise NotImplementedError
