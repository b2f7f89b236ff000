"""The request side of a downstream HTTP/1.x connection: one request at a time, taken apart."""

from __future__ import annotations

import re
from enum import IntEnum
from math import inf
from typing import Final

from edge.codec.context import ListenerContext
from edge.codec.h1.answer import Answer, Form
from edge.codec.h1.body import ChunkedReader
from edge.codec.h1.head import Framing, Repeat, parse_request
from edge.codec.h1.request_line import parse_request_line
from edge.codec.pace import Pace
from edge.errors import BadRequest, DownstreamError, DownstreamTimeout
from edge.exchange.identity import ClientIdentity
from edge.exchange.seams import ExchangeRequest
from edge.syntax import TOKEN

HELD_BYTES: Final = 64 << 10
"""Reading pauses while more than this waits behind the request under way."""
DRAIN_BYTES: Final = 64 << 10
"""Of a request body nobody wants any more; a longer one costs the connection."""
HEADS_PER_TURN: Final = 16
"""Pipelined requests begun in one turn of the loop; other connections run before the next."""

_line_start: Final = re.compile(TOKEN + rb"++(?: [\x21-\x7e]*+(?: [HTP/0-9.]*+)?)?\r?").fullmatch
_bare_lf: Final = re.compile(rb"(?<!\r)\n").search


class Mode(IntEnum):
    """What the next bytes from the client are."""

    HEAD = 0
    LENGTH = 1
    CHUNKED = 2
    WAIT = 3
    """The request is complete, its answer is not: bytes are held, unparsed."""
    HOLD = 4
    """An upgrade was asked for: bytes are held until the 101. Spec: RFC 9110 §7.8."""
    TUNNEL = 5
    LINGER = 6
    """Refused or closing: bytes are dropped."""
    CLOSED = 7


_HEAD: Final = Mode.HEAD
_WAIT: Final = Mode.WAIT
_OPEN: Final = Form.OPEN
_NO_BODY: Final = Framing.NONE


class Intake(Answer):
    """Turns bytes into calls on exchanges.

    Bytes behind the request under way stay bytes: a queue of parsed heads would have to be
    bounded a second time, and heads parsed early see limits and a draining state of the past.
    """

    __slots__ = (
        "_body_left",
        "_busy",
        "_chunks",
        "_dropped",
        "_exchange",
        "_held",
        "_mode",
        "_pace",
        "_postponed",
        "_repeat",
        "_scanned",
        "_skipped_line",
        "_write_paused",
        "client",
        "deadline",
        "filed",
        "id",
        "identity",
        "local",
        "peer",
        "sni",
        "tls_version",
    )

    def __init__(self, context: ListenerContext) -> None:
        super().__init__(context)
        self.id = context.next_id()
        self._pace: Pace | None = None
        self.peer: tuple[str, int] = ("", 0)
        self.local: tuple[str, int] = ("", 0)
        self.client = b""
        self.tls_version = ""
        self.sni = ""
        self.identity: ClientIdentity | None = None
        self.deadline = self.filed = inf
        self._exchange: ExchangeRequest | None = None
        self._mode = Mode.HEAD
        self._held = b""
        self._scanned = 0
        self._skipped_line = False
        self._body_left = 0
        self._dropped = 0
        self._chunks: ChunkedReader | None = None
        self._busy = False
        self._postponed = False
        """A head may be held that could begin, but not yet."""
        self._write_paused = False
        self._repeat = Repeat()

    def _receive(self, data: bytes) -> None:
        """Take `data` apart until it ends or must wait. Never runs inside itself."""
        self._busy = True
        self._postponed = False
        heads = 0
        try:
            while data:
                mode = self._mode
                if mode is _HEAD:
                    if heads == HEADS_PER_TURN or self._write_paused:
                        self._postpone(data)
                        break
                    heads += 1
                    data = self._head(data)
                elif mode is Mode.LENGTH:
                    data = self._length_body(data)
                elif mode is Mode.CHUNKED:
                    data = self._chunked_body(data)
                else:
                    self._beyond_request(mode, data)
                    break
        except DownstreamError as error:
            self._refuse(error)
        except Exception as error:
            self._crashed(error)
        finally:
            self._busy = False

    def _beyond_request(self, mode: Mode, data: bytes) -> None:
        if mode is Mode.TUNNEL:
            if self._exchange is not None:
                self._moved()
                self._exchange.request_data(data, False)
        elif mode is Mode.LINGER:
            self._drop(len(data))
        elif mode is not Mode.CLOSED:
            self._held = data
            if len(data) > HELD_BYTES:
                self._update_reading()

    def _postpone(self, data: bytes) -> None:
        """Begin no request now: too many were begun this turn, or answers before it are not read."""
        self._held = data
        self._postponed = True
        if not self._write_paused:
            self._soon()
        if len(data) > HELD_BYTES:
            self._update_reading()

    # ---- the head

    def _head(self, data: bytes) -> bytes:
        """Parse one head and start its exchange; returns the bytes behind it."""
        if data[0] == 13 and not self._skipped_line and data.startswith(b"\r\n"):
            # One empty line before a request line is tolerated. Spec: RFC 9112 §2.2.
            self._skipped_line = True
            data = data[2:]
        context = self._context
        end = data.find(b"\r\n\r\n", self._scanned)
        if end < 0:
            self._incomplete_head(data)
            return b""
        self._scanned = 0
        self._skipped_line = False
        parsed = parse_request(
            data[:end], context.scheme, context.limits, self._repeat, context.keep_forwarding
        )
        head = parsed.head
        framing = parsed.framing
        self._close = not parsed.keep_alive
        self._http10 = head.protocol == "HTTP/1.0"
        self._to_head = head.method == b"HEAD"
        self._awaits_continue = head.expect_continue
        self._form = _OPEN
        if framing is _NO_BODY:
            self._mode = _WAIT
        else:
            self._begin_body(framing, head.length or 0)
        exchange = context.accept(self, self, head, framing is _NO_BODY)
        if self._form is not Form.GONE:
            self._exchange = exchange
        return data[end + 4 :]

    def _begin_body(self, framing: Framing, length: int) -> None:
        self._dropped = 0
        if framing is Framing.LENGTH:
            self._mode = Mode.LENGTH
            self._body_left = length
        elif framing is Framing.CHUNKED:
            self._mode = Mode.CHUNKED
            self._chunks = ChunkedReader(BadRequest)
        else:
            self._mode = Mode.HOLD
        self._arm(self._context.limits.first_body_s)

    def _incomplete_head(self, data: bytes) -> None:
        """Refuse early what cannot become a head, else keep it for the next bytes."""
        if not data:
            return
        limits = self._context.limits
        line_end = data.find(b"\r\n")
        if line_end >= 0:
            if line_end + 1 >= self._scanned:  # else it was judged when it came
                parse_request_line(data[:line_end], limits)
        elif len(data) > limits.target_bytes:
            raise BadRequest("target too long", 414)
        elif data != b"\r" and not _line_start(data):
            raise BadRequest("malformed request line")
        if len(data) > limits.head_bytes:
            raise BadRequest("head too large", 431)
        if _bare_lf(data, max(self._scanned - 1, 0)):
            raise BadRequest("line ended by a bare LF")
        if not self._scanned:
            self._arm(limits.head_timeout_s)
        self._scanned = max(len(data) - 3, 1)
        self._held = data

    # ---- the body

    def _length_body(self, data: bytes) -> bytes:
        size = len(data)
        left = self._body_left
        if size < left:
            self._body_left = left - size
            self._pass_on(data, size)
            return b""
        self._mode = Mode.WAIT
        self._body_left = 0
        if self._pace is not None:
            self._sends_no_more()
        rest = b"" if size == left else data[left:]
        if self._exchange is None:
            self._turn_over()
        else:
            self._exchange.request_data(data[:left] if rest else data, True)
        return rest

    def _chunked_body(self, data: bytes) -> bytes:
        chunks = self._chunks
        assert chunks is not None
        body, done = chunks.feed(data)
        if not done:
            self._pass_on(body, len(data))
            return b""
        self._mode = Mode.WAIT
        self._chunks = None
        if self._pace is not None:
            self._sends_no_more()
        exchange = self._exchange
        if exchange is None:
            self._turn_over()
        elif chunks.trailers:
            if body:
                exchange.request_data(body, False)
            if self._exchange is not None:
                exchange.request_trailers(chunks.trailers)
        else:
            exchange.request_data(body, True)
        return chunks.rest

    def _pass_on(self, data: bytes, size: int) -> None:
        """Body bytes to the exchange, or to nobody when its answer is complete."""
        if self._exchange is None:
            self._drop(size)
            return
        self._arm(self._context.limits.body_idle_timeout_s)
        if self._pace is None:
            self._pace = Pace(self._context, self._exchange.body_progress, self._sends_slowly)
        if data:
            self._exchange.request_data(data, False)

    def _sends_slowly(self) -> None:
        self._refuse(DownstreamTimeout("the body comes too slowly"))

    def _sends_no_more(self) -> None:
        """The body is complete, or nobody waits for the rest of it."""
        if self._pace is not None:
            self._pace.over()
            self._pace = None

    def _may_begin_late(self) -> bool:
        """Of a body of which nothing came within the time of its first bytes: whether more is given."""
        if self._pace is not None or self._exchange is None:
            return False
        return self._awaits_continue or self._exchange.body_progress() is None

    def _drop(self, size: int) -> None:
        self._dropped += size
        if self._dropped > DRAIN_BYTES:
            if self._mode is Mode.LINGER:
                self._finish_connection()
            else:
                self._linger()

    # ---- what the connection adds

    def _arm(self, seconds: float) -> None:
        self.deadline = self._context.clock() + seconds
        self._context.deadlines.watch(self)

    def expired(self) -> None:
        """A deadline of the connection passed."""
        raise NotImplementedError

    def shutdown(self) -> None:
        """Close when the exchange under way is done."""
        raise NotImplementedError

    def pause_request(self) -> None:
        """Stop reading until `resume_request`."""
        raise NotImplementedError

    def resume_request(self) -> None:
        """Undo `pause_request`."""
        raise NotImplementedError

    def _update_reading(self) -> None:
        """Pause or resume the transport by what is held and who asked."""
        raise NotImplementedError

    def _soon(self) -> None:
        """Go on with what is held at the end of this turn of the loop."""
        raise NotImplementedError

    def _turn_over(self) -> None:
        """Request and answer are complete: the next one, or the end."""
        raise NotImplementedError

    def _finish_connection(self) -> None:
        """Send what is written, then close."""
        raise NotImplementedError

    def _linger(self) -> None:
        """Close our side and go on reading for a moment: a RST would eat the answer."""
        raise NotImplementedError

    def _refuse(self, error: DownstreamError) -> None:
        """The client broke a rule: answer where that is still possible, and close."""
        raise NotImplementedError

    def _crashed(self, error: Exception) -> None:
        """Something of ours failed: this connection ends, and no other."""
        raise NotImplementedError
