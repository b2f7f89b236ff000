"""One request on an HTTP/2 connection: what it sends, what it gets, how it ends."""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING, Final

from edge.codec.h2.codes import Code
from edge.errors import (
    BadResponse,
    EdgeError,
    UpstreamClosed,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
)
from edge.exchange.seams import ExchangeResponse
from edge.head import Field, Fields, RequestHead, ResponseHead
from edge.upstream.carrier import Caller
from edge.upstream.h1 import INFORMATIONAL_MAX
from edge.upstream.h2_head import WEBSOCKET, granted, parse_response, parse_trailers, request_fields

if TYPE_CHECKING:
    from edge.upstream.multiplex import Multiplex

# What a stream is doing. Plain ints, because the look-up of an enum member costs more than the comparison.
WAITING: Final = 0
"""Its connection is being made."""
HEAD: Final = 1
BODY: Final = 2
OVER: Final = 3
"""The response is here whole; some of it may still be held."""
CLOSED: Final = 4

_BODILESS: Final = frozenset((204, 304))
_FIRST_FINAL: Final = 200
_FIRST_REDIRECT: Final = 300

Held = tuple[bytes, bool] | Fields
"""Response not yet delivered: bytes and whether they end it, or trailers."""


class H2Stream:
    """Implements `Carrier`. What it sends is queued in the engine and leaves with the loop's turn.

    While the response is paused what the window lets through is held here, and its credit with it.
    """

    __slots__ = (
        "_caller",
        "_client",
        "_held",
        "_informational",
        "_left_out",
        "_paused",
        "_read_mark",
        "_receiver",
        "_to_head",
        "deadline",
        "filed",
        "had_body",
        "id",
        "sent_all",
        "state",
        "upgrade",
        "write_paused",
    )

    # Of the request, set by `begin`:
    _to_head: bool
    _left_out: int | None
    _read_mark: int
    sent_all: bool

    def __init__(self, client: Multiplex) -> None:
        self._client = client
        self.id = 0
        self.state = WAITING
        self._caller: Caller | None = None
        self._receiver: ExchangeResponse | None = None
        self._held: deque[Held] | None = None
        self._paused = False
        self._informational = 0
        self.upgrade: RequestHead | None = None
        """Of a WebSocket: its request, unless it was answered by a plain response."""
        self.had_body = False
        self.write_paused = False
        self.deadline = self.filed = inf

    @property
    def receiver(self) -> ExchangeResponse | None:
        return self._caller.receiver if self._caller is not None else self._receiver

    # -- the request's way ---------------------------------------------------------------

    def wait(self, caller: Caller, deadline: float) -> None:
        """The connection is being made; `caller` is told of it, or that it failed."""
        self._caller = caller
        self._watch(deadline)

    def connected(self, address: str) -> None:
        caller = self._caller
        if caller is not None:
            self._caller = None
            caller.connected(address)

    def begin(self, caller: Caller, head: RequestHead, end: bool, deadline: float) -> None:
        client = self._client
        self._caller = caller
        self._receiver = caller.receiver
        self.state = HEAD
        self.sent_all = end
        self._to_head = head.method == b"HEAD"
        self._left_out = head.length
        self._read_mark = client.reads
        if self.filed != inf or head.upgrade is not None:
            self._watch(deadline)
        elif deadline != inf:
            client.watch_later(self, deadline)
        if head.upgrade is None:
            client.send_fields(self, request_fields(head, end, client.scheme), end)
        elif head.upgrade == WEBSOCKET:
            self.upgrade = head
            client.send_connect(self, head)
        else:
            self.fail(UpstreamError("only WebSocket is tunnelled to an HTTP/2 upstream"))

    def send_data(self, data: bytes, end: bool) -> None:
        if self.sent_all or self.state > BODY:
            return
        if self.upgrade is not None and self.state == HEAD:
            # The client's bytes belong to the new protocol, or to nobody.
            if data:
                self.fail(EdgeError("bytes before the upgrade was granted"))
            return
        left = self._left_out
        if left is not None:
            self._left_out = left = left - len(data)
            if left < 0 or (end and left):
                self.fail(EdgeError("request body does not match its content-length"))
                return
        self.sent_all = end
        if data or end:
            self._client.send_data(self, data, end)

    def send_trailers(self, fields: Fields) -> None:
        if not fields or self._left_out:
            self.send_data(b"", True)
        elif not self.sent_all and self.state <= BODY:
            self.sent_all = True
            self._client.send_trailers(self, fields)

    def writable(self, yes: bool) -> None:
        """What is queued passed its high or its low mark."""
        self.write_paused = not yes
        if self._caller is not None:
            self._caller.writable(yes)

    # -- the response's way --------------------------------------------------------------

    def on_informational(self, fields: tuple[Field, ...]) -> None:
        receiver = self._receiver
        if receiver is None:
            return
        self._informational += 1
        if self._informational > INFORMATIONAL_MAX:
            self.fail(BadResponse("too many 1xx responses"))
            return
        client = self._client
        try:
            head = parse_response(fields, client.limits, client.repeat)
        except BadResponse as error:
            self.fail(error)
            return
        receiver.response_informational(head)

    def on_head(self, fields: tuple[Field, ...], end: bool) -> None:
        """The head alone; what came of the body follows."""
        client = self._client
        try:
            head = parse_response(fields, client.limits, client.repeat)
        except BadResponse as error:
            self.fail(error)
            return
        if self.upgrade is not None:
            if _FIRST_FINAL <= head.status < _FIRST_REDIRECT and not end:
                self._grant(granted(self.upgrade, head))
                return
            self.upgrade = None
        if end or self._to_head or head.status in _BODILESS:
            self._deliver_whole(head, b"", None)
            return
        self.state = BODY
        if self._receiver is not None:
            self._watch(client.idle_deadline())
            self._receiver.response_head(head, False)

    def on_whole(self, fields: tuple[Field, ...], body: bytes, trailers: tuple[Field, ...] | None) -> None:
        """The whole response; `body` may be empty, and is credited."""
        client = self._client
        try:
            head = parse_response(fields, client.limits, client.repeat)
            kept = None if trailers is None else parse_trailers(trailers, client.repeat)
        except BadResponse as error:
            self.fail(error)
            return
        if self._to_head or head.status in _BODILESS:
            body, kept = b"", None
        self._deliver_whole(head, body, kept or None)

    def _grant(self, head: ResponseHead) -> None:
        self.state = BODY
        self.deadline = inf
        if self._receiver is not None:
            self._receiver.response_head(head, False)

    def _deliver_whole(self, head: ResponseHead, body: bytes, trailers: Fields | None) -> None:
        """`trailers` are None or not empty."""
        receiver, caller = self._receiver, self._caller
        self._client.response_over(self)
        self._end()
        if caller is not None:
            caller.finished()
        if receiver is None:
            return
        if body:
            receiver.response_whole(head, body, trailers)
        elif trailers is None:
            receiver.response_head(head, True)
        else:
            receiver.response_head(head, False)
            receiver.response_trailers(trailers)

    def on_data(self, data: bytes, end: bool) -> None:
        if end:
            self._over()
        if self._paused or self._held:
            self._hold((data, end))
        else:
            self._deliver(data, end)

    def on_trailers(self, fields: tuple[Field, ...]) -> None:
        try:
            trailers = parse_trailers(fields, self._client.repeat)
        except BadResponse as error:
            self.fail(error)
            return
        self._over()
        if self._paused or self._held:
            self._hold(trailers)
        else:
            self._deliver_trailers(trailers)

    def _hold(self, part: Held) -> None:
        if self._held is None:
            self._held = deque()
        self._held.append(part)

    def _deliver(self, data: bytes, end: bool) -> None:
        receiver, client = self._receiver, self._client
        if data:
            client.credit(self.id, len(data))
        if end:
            self._part()
            if receiver is not None:
                receiver.response_data(data, True)
        elif data and receiver is not None:
            if self.state == BODY and self.upgrade is None:
                self.deadline = client.idle_deadline()
            receiver.response_data(data, False)

    def _deliver_trailers(self, fields: Fields) -> None:
        receiver = self._receiver
        self._part()
        if receiver is not None:
            if fields and self.upgrade is None:
                receiver.response_trailers(fields)
            else:
                receiver.response_data(b"", True)

    def pause_response(self) -> None:
        self._paused = True

    def resume_response(self) -> None:
        if self._paused:
            self._paused = False
            if self.state == BODY and self.upgrade is None:
                self._watch(self._client.idle_deadline())
            if self._held:
                self._client.resumed(self)

    def go_on(self) -> None:
        """Deliver what was held while the response was paused, until it is paused again."""
        held = self._held
        while held and not self._paused and self._receiver is not None:
            part = held.popleft()
            if isinstance(part, tuple):
                self._deliver(*part)
            else:
                self._deliver_trailers(part)

    # -- how it ends ---------------------------------------------------------------------

    def on_closed(self, code: int, by_peer: bool) -> None:
        """The stream ended before the response was whole."""
        if code == Code.REFUSED_STREAM:
            self.lost(UpstreamRefused("the request was refused unseen"))
        elif by_peer:
            self.lost(UpstreamClosed(f"the stream was reset, code {code}"))
        else:
            self.lost(BadResponse(f"the response broke HTTP/2, code {code}"))

    def lost(self, error: EdgeError) -> None:
        """It is off its connection already; tell the caller."""
        untouched = self.state == HEAD and not self._informational
        caller = self._caller
        self._end()
        if caller is not None:
            caller.failed(error, untouched)

    def fail(self, error: EdgeError) -> None:
        """Reset the stream and tell the caller."""
        if self.state != CLOSED:
            self._client.leave(self, Code.CANCEL)
            self.lost(error)

    def give_up(self) -> None:
        if self.state != CLOSED:
            self._client.leave(self, Code.CANCEL)
            self._end()

    def expired(self) -> None:
        state = self.state
        if state == WAITING:
            self.fail(UpstreamTimeout("not connected in time"))
        elif state == HEAD:
            self._client.suspect(self._read_mark)
            self.fail(UpstreamTimeout("no response head in time"))
        elif self._paused:
            self._watch(self._client.idle_deadline())
        elif state == BODY:
            self.fail(UpstreamTimeout("no next byte in time"))

    def _over(self) -> None:
        """The peer has said its last; the stream's place on the connection is free."""
        self.state = OVER
        self._client.response_over(self)
        if self.filed != inf:
            self._client.deadlines.forget(self)

    def _part(self) -> None:
        """Called before the last bytes are delivered: whoever gets them may send the next request."""
        caller = self._caller
        self._end()
        if caller is not None:
            caller.finished()

    def _end(self) -> None:
        self.state = CLOSED
        self._caller = None
        self._receiver = None
        held, self._held = self._held, None
        if held:
            for part in held:
                if isinstance(part, tuple):
                    self._client.credit(self.id, len(part[0]))
        if self.filed != inf:
            self._client.deadlines.forget(self)

    def _watch(self, deadline: float) -> None:
        self.deadline = deadline
        self._client.deadlines.watch(self)
