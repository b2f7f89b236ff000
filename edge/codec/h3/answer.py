"""The response side of a request stream: frames out, back-pressure, endings."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from aioquic.quic.stream import QuicStream

from edge.codec.h3.qpack import encode_response, encode_trailers
from edge.codec.h3.wire import Code, data_frame, headers_frame
from edge.codec.pace import Pace, ReadingPace
from edge.codec.parts import send_in_parts
from edge.codec.websocket import ACCEPT
from edge.errors import EdgeError, UpstreamTimeout
from edge.exchange.seams import ExchangeRequest
from edge.head import Fields, ResponseHead

if TYPE_CHECKING:
    from edge.codec.h3.server import H3Server

HIGH_BYTES: Final = 256 << 10
LOW_BYTES: Final = 128 << 10
"""Unacknowledged bytes of a stream at which its producer pauses, and goes on."""
CROWDED_BYTES: Final = 16 << 10
"""The same while all streams of the connection together hold too much."""
_SWITCHING: Final = 101
_FIRST_FINAL: Final = 200
_FIRST_REDIRECT: Final = 300
_BODILESS: Final = frozenset((204, 304))
_DROPPED_AT_SWITCH: Final = frozenset((ACCEPT, b"upgrade", b"connection"))


class Form(IntEnum):
    """What becomes of the body bytes of the answer."""

    GONE = 0
    """Complete, reset, or the client does not want it."""
    OPEN = 1
    """The head is not out yet."""
    LENGTH = 2
    STREAM = 3
    """No length was announced, or a tunnel."""
    DROP = 4
    """Answers to HEAD, 204 and 304 have no body."""


_OPEN: Final = Form.OPEN
_GONE: Final = Form.GONE


class Answer:
    """Implements `Downstream`; `edge.codec.h3.stream.H3Stream` adds the request side."""

    __slots__ = (
        "_exchange", "_form", "_left", "_reading", "_server", "_to_head", "_write_paused", "id", "quic",
    )  # fmt: skip

    def __init__(self, server: H3Server, stream_id: int, quic: QuicStream) -> None:
        self.id = stream_id
        self.quic = quic
        self._server = server
        self._form = Form.OPEN
        self._left = 0
        self._to_head = False
        self._write_paused = False
        self._reading: Pace | None = None
        self._exchange: ExchangeRequest | None = None

    # ---- what the exchange calls

    def send_informational(self, head: ResponseHead) -> None:
        """A 1xx other than 101."""
        if self._form is _OPEN:
            self._write(headers_frame(encode_response(head, False, False)), False)

    def send_head(self, head: ResponseHead, end: bool) -> None:
        """The final head, once; `end` = no body follows."""
        if self._form is not _OPEN:
            return
        status = head.status
        if status == _SWITCHING:
            if not self._switched(head):
                self.abort(Code.CONNECT_ERROR if self._awaits_switch() else Code.INTERNAL_ERROR)
                return
            fields = [field for field in head.fields if field[0] not in _DROPPED_AT_SWITCH]
            head = ResponseHead(_FIRST_FINAL, fields)
            self._form = Form.STREAM
        elif self._awaits_switch() and status < _FIRST_REDIRECT:
            # To this client any 2xx would mean that its tunnel is open. Spec: RFC 9220 §3, RFC 8441 §5.
            self._refuse_tunnel(end)
            return
        elif self._to_head or status in _BODILESS:
            # The stream ends with the head; what the exchange still sends has nowhere to go.
            self._form = Form.DROP
            self._write(headers_frame(encode_response(head, end, self._to_head)), True)
            if end:
                self._finish()
            return
        elif head.length is not None:
            self._form = Form.LENGTH
            self._left = head.length
        else:
            self._form = Form.STREAM
        self._write(headers_frame(encode_response(head, end, False)), end)
        if end:
            self._finish()

    def send_whole(self, head: ResponseHead, body: bytes, trailers: Fields | None = None) -> None:
        """All of it in one write."""
        status = head.status
        if (
            self._form is not _OPEN
            or (head.length is not None and head.length != len(body))
            or self._to_head
            or status in _BODILESS
            or status < _FIRST_FINAL
            or self._awaits_switch()
        ):
            send_in_parts(self, head, body, trailers)
            return
        frames = headers_frame(encode_response(head, False, False)) + data_frame(body)
        if trailers is not None:
            frames += headers_frame(encode_trailers(trailers))
        self._write(frames, True)
        self._finish()

    def send_data(self, data: bytes, end: bool) -> None:
        """Body bytes; more or fewer than the head announced resets the stream."""
        form = self._form
        if form is Form.LENGTH:
            self._left -= len(data)
            if self._left < 0 or (end and self._left):
                self.abort(Code.INTERNAL_ERROR)
                return
        elif form is Form.DROP:
            if end:
                self._finish()
            return
        elif form is not Form.STREAM:
            return
        if data or end:
            self._write(data_frame(data) if data else b"", end)
        if end:
            self._finish()

    def send_trailers(self, fields: Fields) -> None:
        """Ends the answer. None are no section: some decoders take an empty one for a broken one."""
        form = self._form
        if fields and (form is Form.STREAM or (form is Form.LENGTH and not self._left)):
            self._write(headers_frame(encode_trailers(fields)), True)
            self._finish()
        else:
            self.send_data(b"", True)

    def reset(self, error: EdgeError) -> None:
        """The client must not take what it got for a whole answer."""
        if self._form is not _GONE:
            timed_out = isinstance(error, UpstreamTimeout)
            self.abort(Code.REQUEST_CANCELLED if timed_out else Code.INTERNAL_ERROR)

    # ---- writing

    def _write(self, data: bytes, end: bool) -> None:
        sender = self.quic.sender
        if sender._reset_error_code is not None or sender._buffer_fin is not None:
            return
        sender.write(data, end)
        server = self._server
        server.wrote(len(data))
        if not end and not self._write_paused:
            held = sender._buffer_stop - sender._buffer_start
            if held >= HIGH_BYTES or (held >= CROWDED_BYTES and server.crowded()):
                self._pause()

    def _pause(self) -> None:
        """The client reads more slowly than upstream writes."""
        self._write_paused = True
        self._server.slow.add(self)
        self._arm()
        context = self._server.context
        self._reading = ReadingPace(context, self._taken, self._reads_slowly, self.quic.sender._buffer_start)
        if self._exchange is not None:
            self._exchange.pause_response()

    def _taken(self) -> int | None:
        return None if self._in_tunnel() else self.quic.sender._buffer_start

    def acknowledged(self) -> None:
        """Called after datagrams came, while paused: goes on when enough was acknowledged."""
        sender = self.quic.sender
        held = sender._buffer_stop - sender._buffer_start
        if held < CROWDED_BYTES or (held <= LOW_BYTES and not self._server.crowded()):
            self._write_paused = False
            self._server.slow.discard(self)
            if self._reading is not None:
                self._reading.over()
                self._reading = None
            if self._exchange is not None:
                self._exchange.resume_response()

    # ---- what the request side adds

    def _switched(self, head: ResponseHead) -> bool:
        """A 101 came; False when no upgrade was asked for, or this is no answer to it."""
        raise NotImplementedError

    def _awaits_switch(self) -> bool:
        """An upgrade was asked for, and no answer came yet."""
        raise NotImplementedError

    def _in_tunnel(self) -> bool:
        """An upgrade was granted."""
        raise NotImplementedError

    def _reads_slowly(self) -> None:
        """The client takes the answer too slowly."""
        raise NotImplementedError

    def _refuse_tunnel(self, end: bool) -> None:
        """Upstream did not upgrade: 502, and nothing of what it said instead."""
        raise NotImplementedError

    def _finish(self) -> None:
        """The answer is complete."""
        raise NotImplementedError

    def _arm(self) -> None:
        """Something is awaited from the client."""
        raise NotImplementedError

    def abort(self, code: Code) -> None:
        """Reset both directions with `code` and let the stream go; the exchange is not told."""
        raise NotImplementedError
