"""Answers that are written but not acknowledged: one that nobody reads must not stay for ever."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from edge.codec.h3.answer import CROWDED_BYTES
from edge.codec.h3.wire import Code

if TYPE_CHECKING:
    from edge.codec.h3.server import H3Server


class Unread:
    """Looks at all of one connection now and then, so that nothing is kept of those that were read."""

    __slots__ = ("_seen", "_server", "deadline", "filed")

    def __init__(self, server: H3Server) -> None:
        self._server = server
        self._seen: dict[int, int] = {}
        """Streams that were large when they were looked at, and up to where they were acknowledged then."""
        self.deadline = self.filed = inf

    def watch(self) -> None:
        """Look when the client has had its time to read some of what there is, unless that is due earlier."""
        if self.filed == inf:
            context = self._server.context
            limits = context.limits
            self.deadline = context.clock() + max(limits.first_body_s, limits.stall_s)
            context.deadlines.watch(self)

    def expired(self) -> None:
        server, seen = self._server, self._seen
        limits = server.context.limits
        least = limits.min_rate_bytes_s * limits.rate_window_s
        self._seen = now = {}
        for number, stream in server.transport._streams.items():
            sender = stream.sender
            if number & 3 or sender._buffer_fin is None or sender.is_finished:
                continue
            start = sender._buffer_start
            before = seen.get(number)
            if before is not None and start - before <= least:
                sender.reset(Code.REQUEST_CANCELLED)
                server.wrote(0)
            elif before is not None or sender._buffer_stop - start >= CROWDED_BYTES:
                now[number] = start
        if now:
            self.watch()
