"""One upstream HTTP/1.1 connection: one request at a time, reused only when nothing is in doubt."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from edge import model
from edge.codec.h1.again import LastHead
from edge.codec.h1.body import ChunkedReader
from edge.codec.h1.head import Framing, ResponseParse
from edge.codec.h1.render import chunk, last_chunk, render_request
from edge.errors import BadResponse, EdgeError, StrayBytes
from edge.exchange.deadlines import Deadlines
from edge.exchange.seams import ExchangeResponse
from edge.head import Fields, RequestHead, ResponseHead
from edge.outgoing import Outgoing
from edge.upstream.carrier import Caller
from edge.upstream.connection import CHUNKED, CLOSE, HEAD, IDLE, LENGTH, TUNNEL, Connection, Owner
from edge.upstream.portions import PORTION_BYTES, Portions
from edge.upstream.upgrade import check_granted

INFORMATIONAL_MAX: Final = 16
"""1xx heads one response may have before its final head; more is a flood."""

_HEAD_START: Final = b"HTTP/1."
# The look-up of an enum member costs as much as what is decided by it.
_NO_BODY: Final = Framing.NONE
_BY_LENGTH: Final = Framing.LENGTH
_BY_TUNNEL: Final = Framing.TUNNEL

_BARE_LF: Final = re.compile(rb"(?<!\r)\n")


class H1Client(Connection):
    """The bytes of it: begin, send, receive."""

    __slots__ = (
        "_chunked_out",
        "_first_sent",
        "_last_head",
        "_left",
        "_left_out",
        "_portioned",
        "_reader",
        "_request_head",
    )

    _first_sent: bytes
    """The head of the request under way, as it was written."""
    _left: int

    def __init__(
        self, owner: Owner, deadlines: Deadlines, clock: Callable[[], float], limits: model.Limits
    ) -> None:
        super().__init__(owner, deadlines, clock, limits)
        self._last_head = LastHead()

    # -- the request's way ---------------------------------------------------------------

    def begin(self, caller: Caller, head: RequestHead, end: bool, deadline: float) -> None:
        self._caller = caller
        self._receiver = caller.receiver
        self._request_head = head
        self._state = HEAD
        self._informational = 0
        if self._doubtful and self._has_unread():
            self.fail(StrayBytes("bytes came behind an answer that has no body", unsent=True))
            return
        self._sent_all = end
        if not end:
            self._left_out = head.length
            self._chunked_out = head.length is None and head.upgrade is None
        self.requests += 1
        self.deadline = deadline
        if deadline < self.filed:
            self._deadlines.watch(self)
        self._first_sent = wire = render_request(head, end)
        self._transport.write(wire)

    def give_up(self) -> None:
        """A request of which nothing has left leaves the connection as it was."""
        untouched = self._state == HEAD and not self._buffer and not self._informational
        transport = self._transport if untouched else None
        if not isinstance(transport, Outgoing) or not transport.take_back(self._first_sent):
            self.close()
            return
        self._caller = self._receiver = None
        self.requests -= 1
        # What the answer before left in doubt was looked at once only, and some of it may still come.
        self._sent_all = self._keep_alive = self._doubtful = True
        self._finish(True)

    def send_data(self, data: bytes, end: bool) -> None:
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
            elif self._transport.can_write_eof():
                self._transport.write_eof()
            else:
                # TLS has no half-close here: the upstream ends the tunnel, or its silence does.
                self._half_open()

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
        receiver = self._receiver
        if not self._buffer and receiver is not None:
            last = self._last_head
            head = last.again(data, self._request_head.method, self._limits)
            if head is not None:
                self._final(receiver, head, last.framing, last.keep_alive, data[last.size :])
                return
        self._on_new_head(receiver, data)

    def _on_new_head(self, receiver: ExchangeResponse | None, data: bytes) -> None:
        fresh = len(data)
        if self._buffer:
            data = self._buffer + data
        caller = self._caller
        while receiver is not None:
            at = data.find(b"\r\n\r\n")
            if at < 0:
                self._keep(data, fresh)
                return
            try:
                parsed = self._last_head.parse(data[:at], self._request_head.method, self._limits)
                if parsed.head.status < 200:
                    self._check_early(parsed)
            except BadResponse as error:
                self._refuse_head(data, error)
                return
            data = data[at + 4 :]
            if parsed.head.status >= 200 or parsed.framing is _BY_TUNNEL:
                self._buffer = b""
                self._final(receiver, parsed.head, parsed.framing, parsed.keep_alive, data)
                return
            receiver.response_informational(parsed.head)
            if self._caller is not caller:
                return
            fresh = len(data)

    def _keep(self, data: bytes, fresh: int) -> None:
        """Hold an unfinished head, unless it can already be told that it is none."""
        if not data.startswith(_HEAD_START[: len(data)]):
            self._refuse_head(data, BadResponse("not an HTTP/1 response"))
            return
        self._buffer = data
        if len(data) > self._limits.head_bytes:
            self.fail(BadResponse("response head too large"))
        elif _BARE_LF.search(data, len(data) - fresh):
            self.fail(BadResponse("bare LF in the response head"))

    def _refuse_head(self, data: bytes, error: BadResponse) -> None:
        """What does not even look like an answer may be the rest of an earlier one."""
        if self.requests > 1 and not data.startswith(_HEAD_START[: len(data)]):
            error = StrayBytes(error.detail)
        self.fail(error)

    def _check_early(self, parsed: ResponseParse) -> None:
        if parsed.framing is _BY_TUNNEL:
            check_granted(self._request_head, parsed.head)
        else:
            self._informational += 1
            if self._informational > INFORMATIONAL_MAX:
                raise BadResponse("too many 1xx responses")

    def _final(
        self, receiver: ExchangeResponse, head: ResponseHead, framing: Framing, keep_alive: bool, rest: bytes
    ) -> None:
        """The final head, and what came with it."""
        length = head.length
        self._keep_alive = keep_alive and self._request_head.upgrade is None
        if framing is _NO_BODY or (framing is _BY_LENGTH and not length):
            # An upstream that sends a body all the same may do so a moment later.
            self._doubtful = framing is _NO_BODY
            self._finish(not rest)
            receiver.response_head(head, True)
            return
        if framing is _BY_LENGTH and len(rest) == length:
            self._finish(True)
            receiver.response_whole(head, rest)
            return
        caller = self._caller
        self._begin_body(framing, length)
        receiver.response_head(head, False)
        if rest and self._caller is caller:
            self.data_received(rest)
        if self._caller is caller:
            self._body_deadline()
            self._in_portions()

    def _in_portions(self) -> None:
        if self._state != LENGTH or self._left > PORTION_BYTES:
            self._portioned = True
            self._transport.set_protocol(Portions(self, self._whole_again))

    def _whole_again(self) -> None:
        """The long body is over, or wanted: what comes next is read as it was before."""
        if self._portioned:
            self._portioned = False
            self._transport.set_protocol(self)

    def _begin_body(self, framing: Framing, length: int | None) -> None:
        self._portioned = False
        if framing is _BY_LENGTH and length is not None:
            self._state = LENGTH
            self._left = length
        elif framing is Framing.CHUNKED:
            self._state = CHUNKED
            self._reader = ChunkedReader(BadResponse)
        elif framing is Framing.CLOSE:
            self._state = CLOSE
        else:
            self._state = TUNNEL
            self._sent_all = False

    def _on_length(self, data: bytes) -> None:
        receiver = self._receiver
        if receiver is None:
            return
        left = self._left - len(data)
        if left > 0:
            self._left = left
            self.deadline = self._clock() + self._limits.body_idle_timeout_s
            receiver.response_data(data, False)
        elif left == 0:
            self._whole_again()
            self._finish(True)
            receiver.response_data(data, True)
        else:
            self._finish(False)
            receiver.response_data(data[:left], True)

    def _on_chunked(self, data: bytes) -> None:
        receiver = self._receiver
        if receiver is None:
            return
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
        self._whole_again()
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
            if not self._sent_all and self._transport.can_write_eof():
                self._receiver = None
                self._half_open()
                receiver.response_data(b"", True)
                return True
            self._part()
            self.close(flush=True)
            receiver.response_data(b"", True)
        return False
