"""One upstream HTTP/1.1 connection: one request at a time, reused only when nothing is in doubt."""

from __future__ import annotations

import re
from typing import Final, cast

from edge.codec.h1.body import ChunkedReader
from edge.codec.h1.head import Framing, ResponseParse, parse_response
from edge.codec.h1.render import chunk, last_chunk, render_request
from edge.errors import BadResponse, EdgeError
from edge.exchange.seams import ExchangeResponse
from edge.head import Fields, RequestHead
from edge.upstream.connection import CHUNKED, CLOSE, CLOSED, HEAD, IDLE, LENGTH, TUNNEL, Caller, Connection

INFORMATIONAL_MAX: Final = 16
"""1xx heads one response may have before its final head; more is a flood."""

_HEAD_START: Final = b"HTTP/1."
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")


class H1Client(Connection):
    """The bytes of it: begin, send, receive."""

    __slots__ = ("_chunked_out", "_left", "_left_out", "_reader", "_request_head")

    # -- the request's way ---------------------------------------------------------------

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
