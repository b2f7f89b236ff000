"""What a connection keeps account of for its streams: credit, unsent bytes, floods, the last head."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from edge.codec.context import ListenerContext
from edge.codec.h3.transport import Transport
from edge.codec.h3.wire import Code, ConnectionFault
from edge.errors import EdgeError
from edge.head import REPEAT_BYTES, RequestHead
from edge.model import Limits

if TYPE_CHECKING:
    from edge.codec.h3.answer import Answer
    from edge.codec.h3.stream import H3Stream

CANCELLED_LIMIT: Final = 250
"""Streams that came to nothing, less those answered meanwhile and CANCELLED_DECAY a second."""
CANCELLED_DECAY: Final = 10.0
SENT_BYTES: Final = 2 << 20
"""Unacknowledged answer bytes of all streams together at which they hold back much earlier."""


class Accounts:
    """The part of `edge.codec.h3.server.H3Server` that its streams use."""

    __slots__ = (
        "_cancelled",
        "_cancelled_at",
        "_last",
        "_later",
        "_repeat",
        "_sent",
        "_served",
        "awake",
        "client",
        "context",
        "slow",
        "transport",
        "urgent",
    )

    def __init__(self, context: ListenerContext, transport: Transport) -> None:
        self.context = context
        self.transport = transport
        self.awake = False
        self.client = b""
        self.urgent = True
        self.slow: set[Answer] = set()
        self._later: list[Callable[[], None]] = []
        self._repeat: tuple[bytes, Limits, RequestHead] | None = None
        self._last = b""
        self._sent = 0
        self._served = 0
        self._cancelled = 0.0
        self._cancelled_at = 0.0

    def wake(self) -> None:
        """Something is to be done or sent at the end of this turn."""
        raise NotImplementedError

    # ---- sending

    def wrote(self, size: int) -> None:
        """Something is to be sent."""
        self._sent += size
        self.urgent = True
        if not self.awake:
            self.wake()

    def crowded(self) -> bool:
        """Whether unacknowledged bytes of all streams are too many."""
        if self._sent < SENT_BYTES:
            return False
        streams = self.transport._streams.values()
        self._sent = sum(each.sender._buffer_stop - each.sender._buffer_start for each in streams)
        return self._sent >= SENT_BYTES

    def soon(self, callback: Callable[[], None]) -> None:
        """Call at the end of this turn of the loop."""
        self._later.append(callback)
        self.wake()

    # ---- credit

    def grant(self, stream: H3Stream) -> None:
        if self.transport.grant(stream.quic, stream.held_bytes):
            self.urgent = True
            self.wake()

    def hold(self, size: int) -> int:
        """`size` bytes wait for their reader: take the credit of the connection back."""
        self.transport.consumed(-size)
        return size

    def freed(self, size: int) -> None:
        """`size` bytes that were held are gone."""
        if size and self.transport.consumed(size):
            self.urgent = True
            self.wake()

    # ---- heads

    def repeated(self, section: bytes) -> RequestHead | None:
        """The head `section` means, when the client's last one was the same, byte for byte."""
        repeat = self._repeat
        if repeat is None or repeat[0] != section or repeat[1] is not self.context.limits:
            return None
        head = repeat[2]
        return RequestHead(
            head.method, head.scheme, head.authority, head.path, head.fields.copy(), None, head.protocol
        )

    def remember(self, section: bytes, head: RequestHead) -> None:
        """Keep a plain head that came twice in a row: many clients say the same again and again.

        It stays in its connection, and is none of the longest.
        """
        if len(section) > REPEAT_BYTES:
            return
        if section != self._last:
            self._last = section
            return
        if head.length is None and head.upgrade is None and not head.expect_continue:
            copy = RequestHead(
                head.method, head.scheme, head.authority, head.path, head.fields.copy(), None, head.protocol
            )
            self._repeat = (section, self.context.limits, copy)

    def refused(self, error: EdgeError) -> None:
        """A head no exchange ever saw."""
        if self.context.refused is not None:
            self.context.refused(error, self.client, "HTTP/3")

    # ---- floods

    def served(self) -> None:
        """A request was answered."""
        self._served += 1
        if self._cancelled > 0:
            self._cancelled -= 1

    def cancelled(self) -> None:
        """A request came to nothing; too many of them, and the connection ends. Raises ConnectionFault."""
        now = self.context.clock()
        passed = now - self._cancelled_at
        self._cancelled_at = now
        self._cancelled = max(0.0, self._cancelled - passed * CANCELLED_DECAY) + 1
        if self._cancelled >= CANCELLED_LIMIT:
            raise ConnectionFault(Code.EXCESSIVE_LOAD, "too many cancelled requests")
