"""One stream of an HTTP/2 connection: the client's side of one exchange."""

from __future__ import annotations

from enum import IntEnum
from math import inf
from typing import Final, Protocol

from edge.codec.h2.codes import Code
from edge.codec.h2.engine import Engine
from edge.codec.h2.fields import response_fields
from edge.codec.pace import Pace
from edge.codec.parts import send_in_parts
from edge.codec.websocket import ACCEPT, KEY, accept_of, new_key
from edge.errors import EdgeError
from edge.exchange.seams import ExchangeRequest
from edge.head import Fields, RequestHead, ResponseHead

LARGE_BYTES: Final = 16 << 10
"""Of body at once: whoever sends as much may send as much again before the turn is over."""

_SWITCHING: Final = 101
_CONTINUE: Final = 100
_FIRST_FINAL: Final = 200
_FIRST_REDIRECT: Final = 300
_BODILESS: Final = frozenset((204, 304))
_HANDSHAKE: Final = frozenset((b"upgrade", ACCEPT))


class Form(IntEnum):
    """What becomes of the body bytes of the answer."""

    GONE = 0
    """The answer is queued whole, or will never come."""
    OPEN = 1
    """The head is not out yet."""
    LENGTH = 2
    FREE = 3
    """Without a length, and tunnels."""
    DROP = 4
    """Ended with its head; what follows is dropped."""


_OPEN: Final = Form.OPEN
_GONE: Final = Form.GONE
_FREE: Final = Form.FREE
_LENGTH: Final = Form.LENGTH

Held = tuple[bytes, int, bool] | Fields
"""Request body not yet delivered: bytes, their credit and whether they end it; or trailers."""


class StreamServer(Protocol):
    """What a stream asks of its connection."""

    engine: Engine

    def wake(self) -> None:
        """Send what is queued at the end of this turn of the loop."""

    def answered(self, stream: Stream) -> None:
        """The stream has queued body or its end."""

    def piled(self, stream: Stream) -> None:
        """The stream has queued much, and more may come in the same turn."""

    def resumed(self, stream: Stream) -> None:
        """What the stream holds may go on at the end of the turn."""

    def abandoned(self, stream: Stream) -> None:
        """The stream is answered without its exchange, which must be told."""

    def reset_stream(self, stream: Stream, code: int) -> None:
        """Reset the stream now; its exchange is told at the end of the turn."""

    def stream_expired(self, stream: Stream) -> None:
        """The deadline of the stream has passed."""


class Stream:
    """Implements `Downstream`. What it sends is queued in the engine and leaves with the turn."""

    __slots__ = (
        "_key",
        "_left",
        "_server",
        "_to_head",
        "announced",
        "backlog",
        "blocked",
        "deadline",
        "exchange",
        "filed",
        "form",
        "held",
        "held_back",
        "id",
        "reading",
        "request_open",
        "sending",
        "tunnel",
    )

    _to_head: bool
    """Set by `begin`."""
    _left: int
    """Of an announced length: what has not come yet. Set with the form."""
    backlog: int
    """While `blocked`: how much waits."""

    def __init__(self, server: StreamServer, stream_id: int, request_open: bool) -> None:
        self._server = server
        self.id = stream_id
        self.exchange: ExchangeRequest | None = None
        self.form = _OPEN
        self.request_open = request_open
        self.announced = -1
        """Bytes of the request body still to come by its content-length; -1 = it has none."""
        self._key = b""
        self.tunnel = False
        self.held: list[Held] = []
        self.held_back = False
        """The exchange wants no body now; what the window lets through is held."""
        self.blocked = False
        """The response waits for the client's window."""
        self.deadline = self.filed = inf
        self.sending: Pace | None = None
        self.reading: Pace | None = None
        """How the client sends its body, and how it reads ours, while either takes longer than a turn."""

    def begin(self, head: RequestHead) -> None:
        """Note what of the request decides about the form of the answer."""
        self._to_head = head.method == b"HEAD"
        if head.length is not None:
            self.announced = head.length
        if head.upgrade is not None:
            # Nothing goes upstream before the 101. Spec: RFC 9110 §7.8.
            self.held_back = True
            self._key = new_key()
            head.add(KEY, self._key)

    # ---- what the exchange calls

    def send_informational(self, head: ResponseHead) -> None:
        if self.form is _OPEN:
            self._server.engine.send_informational(self.id, response_fields(head, False))
            self._server.wake()

    def send_head(self, head: ResponseHead, end: bool) -> None:
        if self.form is not _OPEN:
            return
        status = head.status
        if self._key:
            if status == _SWITCHING:
                self._switch(head)
                return
            if _FIRST_FINAL <= status < _FIRST_REDIRECT:
                # To this client any 2xx would mean that its tunnel is open.
                self._refuse_tunnel(end)
                return
        elif status == _SWITCHING:
            self._break(Code.INTERNAL_ERROR)
            return
        server = self._server
        if end or self._to_head or status in _BODILESS:
            with_length = self._to_head or status == 304
            server.engine.send_head(self.id, response_fields(head, with_length), True)
            self.form = Form.DROP
            server.answered(self)
            if end:
                self._end()
            return
        length = head.length
        if length is None:
            self.form = _FREE
        else:
            self.form = _LENGTH
            self._left = length
        server.engine.send_head(self.id, response_fields(head, True), False)
        server.wake()

    def send_whole(self, head: ResponseHead, body: bytes, trailers: Fields | None = None) -> None:
        status = head.status
        if (
            self.form is _OPEN
            and (head.length is None or head.length == len(body))
            and status >= _FIRST_FINAL
            and status not in _BODILESS
            and not self._to_head
            and not self._key
        ):
            server = self._server
            server.engine.send_whole(self.id, response_fields(head, True), body, trailers)
            self.form = _GONE
            self.exchange = None
            server.answered(self)
            return
        send_in_parts(self, head, body, trailers)

    def send_data(self, data: bytes, end: bool) -> None:
        """Body bytes; more or fewer than the head announced resets the stream."""
        form = self.form
        if form is _LENGTH:
            self._left -= len(data)
            if self._left < 0 or (end and self._left):
                self._break(Code.INTERNAL_ERROR)
                return
        elif form is not _FREE:
            if form is Form.DROP and end:
                self._end()
            return
        server = self._server
        server.engine.send_data(self.id, data, end)
        server.answered(self)
        if end:
            self._end()
        elif len(data) > LARGE_BYTES:
            server.piled(self)

    def send_trailers(self, fields: Fields) -> None:
        form = self.form
        if form is _LENGTH and self._left:
            self._break(Code.INTERNAL_ERROR)
        elif (form is _FREE or form is _LENGTH) and fields:
            server = self._server
            server.engine.send_trailers(self.id, fields)
            server.answered(self)
            self._end()
        else:
            self.send_data(b"", True)

    def reset(self, error: EdgeError) -> None:
        if self.form is not _GONE:
            self.exchange = None
            self._break(Code.CANCEL if self.tunnel else Code.INTERNAL_ERROR)

    def pause_request(self) -> None:
        self.held_back = True

    def resume_request(self) -> None:
        if self.held_back and (self.tunnel or not self._key):
            self.held_back = False
            self._server.resumed(self)

    # ---- inside

    def _switch(self, head: ResponseHead) -> None:
        """The upgrade of upstream is this client's 200. Spec: RFC 8441 §5."""
        if head.get(ACCEPT) != accept_of(self._key):
            self._break(Code.CONNECT_ERROR)
            return
        fields: Fields = [field for field in head.fields if field[0] not in _HANDSHAKE]
        self.tunnel = True
        self.form = _FREE
        server = self._server
        server.engine.send_head(self.id, response_fields(ResponseHead(200, fields), False), False)
        server.wake()
        self.held_back = False
        server.resumed(self)

    def _refuse_tunnel(self, end: bool) -> None:
        server = self._server
        server.engine.send_head(self.id, response_fields(ResponseHead(502, []), False), True)
        server.answered(self)
        if end:
            self._end()
        else:
            self.form = _GONE
            server.abandoned(self)

    def _end(self) -> None:
        self.form = _GONE
        self.exchange = None

    def _break(self, code: int) -> None:
        """Reset the stream so that the client cannot take what it got for a whole answer."""
        self.form = _GONE
        self._server.reset_stream(self, code)

    def rest(self) -> None:
        """Nothing is expected of the client any more."""
        for pace in (self.sending, self.reading):
            if pace is not None:
                pace.over()
        self.sending = self.reading = None

    def expired(self) -> None:
        self._server.stream_expired(self)
