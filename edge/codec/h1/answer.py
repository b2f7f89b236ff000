"""The response side of a downstream HTTP/1.x connection: one answer at a time, framed by us."""

from __future__ import annotations

import asyncio
import socket
import struct
from enum import IntEnum
from typing import Final

from edge.codec.context import ListenerContext
from edge.codec.h1.render import LAST_CHUNK, chunk, last_chunk, render_response
from edge.codec.parts import send_in_parts
from edge.errors import EdgeError
from edge.head import Fields, ResponseHead

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_SWITCHING: Final = 101
_CONTINUE: Final = 100
_FIRST_FINAL: Final = 200
_BODILESS: Final = frozenset((204, 304))
_ERRORS_FROM: Final = 400


class Form(IntEnum):
    """What becomes of the body bytes of the answer under way."""

    GONE = 0
    """No answer is under way; whatever still comes is dropped."""
    OPEN = 1
    """The head is not out yet."""
    LENGTH = 2
    CHUNKED = 3
    RAW = 4
    """Ended by closing: HTTP/1.0 without a length, and tunnels."""
    DROP = 5
    """Answers to HEAD, 204 and 304 have no body."""


_OPEN: Final = Form.OPEN


class Answer:
    """Implements `Downstream`; `edge.codec.h1.server.H1Server` adds the request side."""

    __slots__ = (
        "_awaits_continue",
        "_close",
        "_context",
        "_form",
        "_http10",
        "_left",
        "_to_head",
        "_transport",
    )

    _transport: asyncio.Transport

    def __init__(self, context: ListenerContext) -> None:
        self._context = context
        self._form = Form.GONE
        self._left = 0
        self._close = False
        self._http10 = False
        self._to_head = False
        self._awaits_continue = False

    # ---- what the exchange calls

    def send_informational(self, head: ResponseHead) -> None:
        """A 1xx other than 101; HTTP/1.0 clients know none."""
        if self._form is Form.OPEN and not self._http10:
            if head.status == _CONTINUE:
                self._awaits_continue = False
            self._transport.write(render_response(head, True, False, False))

    def send_head(self, head: ResponseHead, end: bool) -> None:
        """The final head, once; `end` = no body follows."""
        if self._form is not Form.OPEN:
            return
        status = head.status
        if status == _SWITCHING:
            self._switch(head)
            return
        if end or self._to_head or status in _BODILESS:
            self._form = Form.DROP
        elif head.length is not None:
            self._form = Form.LENGTH
            self._left = head.length
        elif self._http10:
            self._form = Form.RAW
            self._close = True
        else:
            self._form = Form.CHUNKED
        if not self._close:
            self._close = self._context.draining or self._must_close(end or status >= _ERRORS_FROM)
        self._transport.write(render_response(head, end, self._close, self._http10, self._to_head))
        if end:
            self._end()

    def send_whole(self, head: ResponseHead, body: bytes, trailers: Fields | None = None) -> None:
        """Head and whole body in one write, which saves a system call a response."""
        status = head.status
        if (
            self._form is not _OPEN
            or head.length != len(body)
            or self._to_head
            or status in _BODILESS
            or status < _FIRST_FINAL
        ):
            send_in_parts(self, head, body, trailers)
            return
        if not self._close:
            self._close = self._context.draining or self._must_close(status >= _ERRORS_FROM)
        self._form = Form.DROP
        self._transport.write(render_response(head, False, self._close, self._http10) + body)
        self._end()

    def send_data(self, data: bytes, end: bool) -> None:
        """Body bytes; more or fewer than the head announced breaks the connection off."""
        form = self._form
        if form is Form.LENGTH:
            self._left -= len(data)
            if self._left < 0 or (end and self._left):
                self._break_off()
                return
            if data:
                self._transport.write(data)
        elif form is Form.CHUNKED:
            if data:
                self._transport.write(chunk(data) + LAST_CHUNK if end else chunk(data))
            elif end:
                self._transport.write(LAST_CHUNK)
        elif form is Form.RAW:
            if data:
                self._transport.write(data)
                self._moved()
        elif form is not Form.DROP:
            return
        if end:
            self._end()

    def send_trailers(self, fields: Fields) -> None:
        """Ends the answer; only chunks can carry them."""
        if self._form is Form.CHUNKED:
            self._transport.write(last_chunk(fields))
            self._end()
        else:
            self.send_data(b"", True)

    def reset(self, error: EdgeError) -> None:
        """Close so that the client cannot take what it got for a whole answer."""
        if self._form is not Form.GONE:
            self._break_off()

    # ---- what the request side adds

    def _must_close(self, final: bool) -> bool:
        """Whether what is unread of the request forbids another; `final` = it will not be wanted."""
        raise NotImplementedError

    def _switch(self, head: ResponseHead) -> None:
        """A 101 came."""
        raise NotImplementedError

    def _moved(self) -> None:
        """Bytes crossed a tunnel, or a body without a length."""
        raise NotImplementedError

    def _end(self) -> None:
        """The answer is complete."""
        raise NotImplementedError

    def _gone(self) -> None:
        """The connection has been closed by us in the middle of an exchange."""
        raise NotImplementedError

    # ---- breaking off

    def _break_off(self) -> None:
        transport = self._transport
        if self._form is Form.RAW:
            # Here a clean end would mean a complete body: only a RST tells the client.
            raw = transport.get_extra_info("socket")
            if raw is not None:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            transport.abort()
        else:
            transport.close()
        self._form = Form.GONE
        self._gone()
