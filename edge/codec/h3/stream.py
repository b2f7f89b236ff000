"""One request stream: bytes in, one exchange, frames out."""

from __future__ import annotations

from enum import IntEnum
from math import inf
from typing import TYPE_CHECKING, Final

from aioquic.quic.stream import QuicStream

from edge.codec.h3.answer import CROWDED_BYTES, Answer, Form
from edge.codec.h3.qpack import decode, encode_response, lines_exceed
from edge.codec.h3.request import CRUMBS, MalformedMessage, parse_request, parse_trailers
from edge.codec.h3.wire import (
    NOT_ON_REQUEST_STREAMS,
    Code,
    ConnectionFault,
    Frame,
    headers_frame,
    read_frame_head,
)
from edge.codec.pace import Pace
from edge.codec.refusal import refusal
from edge.codec.websocket import ACCEPT, KEY, accept_of
from edge.errors import BadRequest, DownstreamClosed, DownstreamError, DownstreamTimeout
from edge.head import Fields, RequestHead, ResponseHead

if TYPE_CHECKING:
    from edge.codec.h3.server import H3Server

FREE_FRAMES: Final = 1_000
LEAST_AVERAGE_BYTES: Final = 4
"""After FREE_FRAMES a body whose frames are smaller than this on average is a flood."""
IDLE_FRAMES: Final = 100
"""Empty or unknown frames of a stream: some are sent to keep us tolerant, many are an attack."""
FRAMES_AN_IDLE: Final = 4
"""Frames with something in them allow one more such frame: a tunnel may live for days."""
COUNTED_SECTION_BYTES: Final = 1 << 10
"""Longer field sections are counted before they are decoded."""
_HEADERS: Final = Frame.HEADERS
_DATA: Final = Frame.DATA


class Phase(IntEnum):
    """What the client may send next."""

    HEAD = 0
    BODY = 1
    HOLD = 2
    """An upgrade was asked for: bytes are held until it is granted. Spec: RFC 9220 §3."""
    TUNNEL = 3
    TRAILED = 4
    DONE = 5
    """Complete, or of no interest any more."""


class H3Stream(Answer):
    """Implements `Downstream` and `Watched`."""

    __slots__ = (
        "_buffer",
        "_end_held",
        "_frames",
        "_held",
        "_idle_frames",
        "_in_frame",
        "_key",
        "_length",
        "_paused",
        "_phase",
        "_received",
        "_sending",
        "_skipping",
        "_trailers_held",
        "deadline",
        "filed",
        "held_bytes",
        "told_all",
    )

    def __init__(self, server: H3Server, stream_id: int, quic: QuicStream) -> None:
        super().__init__(server, stream_id, quic)
        self._phase = Phase.HEAD
        self._buffer = b""
        self._in_frame = 0
        self._skipping = False
        self._key = b""
        """Of a WebSocket's upgrade; ours, the client has none."""
        self._length: int | None = None
        self._received = 0
        self._frames = 0
        self._idle_frames = 0
        self._paused = False
        self._held: list[bytes] = []
        self._end_held = False
        self._trailers_held: Fields | None = None
        self._sending: Pace | None = None
        self.held_bytes = 0
        self.told_all = False
        """Whether the client's end or reset of it had its turn, behind which nothing comes."""
        self.deadline = self.filed = inf

    # ---- bytes from the client

    def receive(self, data: bytes, end: bool) -> None:
        """Take `data` apart; `end` = the client sends no more. Raises ConnectionFault."""
        try:
            self._receive(data, end)
        except MalformedMessage as error:
            self._server.cancelled()
            self.fail(error, Code.MESSAGE_ERROR)
        except DownstreamError as error:
            self.refuse(error)

    def _receive(self, data: bytes, end: bool) -> None:
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        pieces: list[bytes] = []
        at, size = 0, len(data)
        while at < size and self._phase is not Phase.DONE:
            if self._in_frame:
                stop = min(at + self._in_frame, size)
                self._in_frame -= stop - at
                if not self._skipping:
                    pieces.append(data[at:stop] if stop - at < size else data)
                at = stop
                continue
            start = at
            frame = read_frame_head(data, at)
            if frame is None:
                self._buffer = data[at:]
                break
            kind, count, at = frame
            if kind == _HEADERS:
                self._check_section(count)
                if at + count > size:
                    self._buffer = data[start:]
                    break
                if pieces:
                    self._body(pieces)
                    pieces = []
                at += count
                self._section(data[at - count : at], end and at == size)
            else:
                self._begin_frame(kind, count)
        if self._phase is not Phase.DONE:
            self._after(pieces, end)

    def _begin_frame(self, kind: int, count: int) -> None:
        """A frame other than HEADERS. Spec: RFC 9114 §4.1, §7.2.8, §9."""
        self._in_frame = count
        self._skipping = kind != _DATA
        if self._skipping:
            if kind in NOT_ON_REQUEST_STREAMS:
                raise ConnectionFault(Code.FRAME_UNEXPECTED, "a frame of the control stream")
            self._idle_frames += 1
        else:
            if self._phase is Phase.HEAD or self._phase is Phase.TRAILED:
                raise ConnectionFault(Code.FRAME_UNEXPECTED, "DATA before HEADERS or after trailers")
            self._frames += 1
            self._received += count
            if not count:
                self._idle_frames += 1
            if self._length is not None and self._received > self._length:
                raise MalformedMessage("more body than content-length")
        tiny = self._frames > FREE_FRAMES and self._received < self._frames * LEAST_AVERAGE_BYTES
        if tiny or (self._idle_frames > IDLE_FRAMES and self._idles_too_often()):
            raise ConnectionFault(Code.EXCESSIVE_LOAD, "flood of tiny, empty or unknown frames")

    def _idles_too_often(self) -> bool:
        useful = max(0, self._frames - self._idle_frames)
        return self._idle_frames > IDLE_FRAMES + useful // FRAMES_AN_IDLE

    def _check_section(self, count: int) -> None:
        if self._phase is Phase.TRAILED:
            raise ConnectionFault(Code.FRAME_UNEXPECTED, "HEADERS after trailers")
        if count > self._server.context.limits.head_bytes:
            raise BadRequest("head too large", 431)

    def _after(self, pieces: list[bytes], end: bool) -> None:
        """Pass on what was collected and see what is awaited now."""
        if end:
            if self._buffer or self._in_frame:
                raise ConnectionFault(Code.FRAME_ERROR, "a frame cut off by the end of the stream")
            if self._phase is Phase.HEAD:
                self._server.cancelled()
                self.abort(Code.REQUEST_INCOMPLETE)
                return
            self._check_length()
            if self._phase is not Phase.TRAILED:
                self._body(pieces, True)
            if self._phase is not Phase.HOLD:
                self._phase = Phase.DONE
                self.deadline = inf
            return
        if pieces:
            self._body(pieces)
        if self._phase is not Phase.DONE:
            self._arm()
            if self._sending is None and self._phase is Phase.BODY and self._exchange is not None:
                context = self._server.context
                self._sending = Pace(context, self._exchange.body_progress, self._sends_slowly)
            if not self._paused and self._phase is not Phase.HOLD:
                self._server.grant(self)

    def _check_length(self) -> None:
        if self._length is not None and self._received != self._length:
            raise MalformedMessage("less body than content-length")

    # ---- head and trailers

    def _section(self, section: bytes, end: bool) -> None:
        if self._phase is not Phase.HEAD:
            self._trailers(section)
            return
        server = self._server
        head = server.repeated(section)
        if head is None:
            limits = server.context.limits
            if len(section) > COUNTED_SECTION_BYTES and lines_exceed(section, limits.head_fields + CRUMBS):
                raise BadRequest("too many fields", 431)
            fields = decode(server.decoder, self.id, section)
            head = parse_request(fields, server.context.scheme, limits, server.context.keep_forwarding)
            server.remember(section, head)
        self._start(head, end)

    def _start(self, head: RequestHead, end: bool) -> None:
        self._to_head = head.method == b"HEAD"
        if head.upgrade is not None:
            self._key = head.get(KEY) or b""
            self._phase = Phase.HOLD
        elif end:
            self._phase = Phase.DONE
            self.deadline = inf
        else:
            self._phase = Phase.BODY
        self._length = head.length
        if end:
            self._check_length()
            head.expect_continue = False
        server = self._server
        exchange = server.context.accept(server, self, head, end and head.upgrade is None)
        if self._form is not Form.GONE:
            self._exchange = exchange

    def _trailers(self, section: bytes) -> None:
        if self._phase in (Phase.HOLD, Phase.TUNNEL):
            raise ConnectionFault(Code.FRAME_UNEXPECTED, "HEADERS in a tunnel")
        if len(section) > COUNTED_SECTION_BYTES and lines_exceed(section, CRUMBS):
            raise MalformedMessage("too many trailers")
        fields = parse_trailers(decode(self._server.decoder, self.id, section))
        self._check_length()
        self._phase = Phase.TRAILED
        if self._held or self._paused:
            self._trailers_held = fields
        elif self._exchange is not None:
            self._exchange.request_trailers(fields)

    # ---- the body

    def _body(self, pieces: list[bytes], end: bool = False) -> None:
        if self._paused or self._held or self._phase is Phase.HOLD:
            self._held += pieces
            self.held_bytes += self._server.hold(sum(map(len, pieces)))
            self._end_held = end
        elif self._exchange is not None:
            self._exchange.request_data(pieces[0] if len(pieces) == 1 else b"".join(pieces), end)

    def pause_request(self) -> None:
        """Hold what comes, and grant the client no more, until `resume_request`."""
        self._paused = True

    def resume_request(self) -> None:
        """Undo `pause_request`; what is held goes on at the end of this turn."""
        if self._paused:
            self._paused = False
            self._server.soon(self._release)

    def _switched(self, head: ResponseHead) -> bool:
        if self._phase is not Phase.HOLD or head.get(ACCEPT) != accept_of(self._key):
            return False
        self._phase = Phase.TUNNEL
        self._server.soon(self._release)
        return True

    def _awaits_switch(self) -> bool:
        return self._phase is Phase.HOLD

    def _in_tunnel(self) -> bool:
        return self._phase is Phase.TUNNEL

    def _refuse_tunnel(self, end: bool) -> None:
        exchange = self._exchange
        self._write(headers_frame(encode_response(ResponseHead(502, []), True, False)), True)
        self._finish()
        if exchange is not None and not end:
            gone = DownstreamClosed("upstream answered and did not upgrade")
            self._server.soon(lambda: exchange.downstream_failed(gone))

    def _release(self) -> None:
        if self._paused or self._exchange is None or self._phase is Phase.HOLD:
            return
        held, self._held = self._held, []
        size, self.held_bytes = self.held_bytes, 0
        self._server.freed(size)
        if held or self._end_held:
            end, self._end_held = self._end_held, False
            self._exchange.request_data(b"".join(held), end)
        trailers, self._trailers_held = self._trailers_held, None
        if trailers is not None and self._exchange is not None:
            self._exchange.request_trailers(trailers)
        if self._phase is not Phase.DONE and not self._paused:
            self._server.grant(self)

    # ---- endings

    def _finish(self) -> None:
        """The answer is complete; what the client still sends is not wanted. Spec: RFC 9114 §4.1."""
        self._form = Form.GONE
        self._exchange = None
        if not self.quic.receiver.is_finished:
            self.quic.receiver.stop(Code.NO_ERROR)
        self._let_go()
        self._server.served()
        sender = self.quic.sender
        if sender._buffer_stop - sender._buffer_start >= CROWDED_BYTES:
            self._server.left_unread()

    def _let_go(self) -> None:
        self._rest()
        self._phase = Phase.DONE
        self._held = []
        self._server.freed(self.held_bytes)
        self.held_bytes = 0
        self._server.forget(self)

    def abort(self, code: Code) -> None:
        """Reset both directions with `code` and let the stream go; the exchange is not told."""
        self._form = Form.GONE
        self._exchange = None
        self.quic.sender.reset(code)
        if not self.quic.receiver.is_finished:
            self.quic.receiver.stop(code)
        self._let_go()
        self._server.wrote(0)

    def fail(self, error: DownstreamError, code: Code) -> None:
        """Reset, and tell the exchange why."""
        exchange = self._exchange
        if exchange is None and self._form is Form.OPEN and isinstance(error, BadRequest):
            self._server.refused(error)
        self.abort(code)
        if exchange is not None:
            exchange.downstream_failed(error)

    def lose(self) -> None:
        """The connection is gone; whatever the exchange still sends is dropped."""
        self._rest()
        self._form = Form.GONE
        self._phase = Phase.DONE
        self._held = []

    def client_gone(self) -> None:
        """The client reset its side, or does not want the answer."""
        self._server.cancelled()
        self.fail(DownstreamClosed("the client reset the stream"), Code.REQUEST_CANCELLED)

    def refuse(self, error: DownstreamError) -> None:
        """Answer with the status of `error` where that is still possible, else reset."""
        exchange = self._exchange
        if self._form is not Form.OPEN:
            self.fail(error, Code.MESSAGE_ERROR)
            return
        if exchange is None:
            self._server.refused(error)
        self._exchange = None
        self.send_whole(*refusal(error.status))
        if exchange is not None:
            exchange.downstream_failed(error)

    # ---- time

    def _arm(self) -> None:
        context = self._server.context
        in_head = self._phase is Phase.HEAD
        if in_head and self.deadline != inf:
            return
        limits = context.limits
        self.deadline = context.clock() + (limits.head_timeout_s if in_head else limits.body_idle_timeout_s)
        context.deadlines.watch(self)

    def _rest(self) -> None:
        """Nothing is expected of the client any more."""
        for pace in (self._sending, self._reading):
            if pace is not None:
                pace.over()
        self._sending = self._reading = None

    def _sends_slowly(self) -> None:
        if self._phase is not Phase.BODY:
            return
        error = DownstreamTimeout("the body did not arrive in time")
        if self._form is Form.OPEN:
            self.refuse(error)
        else:
            self.fail(error, Code.REQUEST_CANCELLED)

    def _reads_slowly(self) -> None:
        self.fail(DownstreamTimeout("the client does not read the response"), Code.REQUEST_CANCELLED)

    def expired(self) -> None:
        """The client kept us waiting: for its head, its body, or for reading the answer."""
        try:
            self._expired()
        except Exception as error:
            self._server.crashed(error)

    def _expired(self) -> None:
        if self._write_paused:
            self._reads_slowly()
        elif self._phase is Phase.HEAD:
            self.refuse(DownstreamTimeout("the head did not arrive in time"))
        elif self._phase is Phase.BODY and not self._paused:
            self._sends_slowly()
        elif self._phase is not Phase.DONE:
            self._arm()
