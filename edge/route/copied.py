"""One copy of a request on its way to a mirror, and what feeds it. Sans-io."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

from edge.errors import EdgeError
from edge.exchange.seams import UpstreamRequest
from edge.head import Fields, ResponseHead
from edge.route.site import Clocked, MirrorTrace

HELD_MAX_BYTES: Final = 64 << 10
"""Body one copy keeps while its upstream takes no more, beside the 64 KiB a request may hold itself."""

PATIENCE_S: Final = 30.0
"""How long after its last byte went out a copy may take for its whole answer."""


class Copy:
    """One request on its way to a mirror; takes the answer and drops it."""

    __slots__ = (
        "_done", "_ended", "_held", "_held_bytes", "_paused", "_services", "_status", "_trace", "_upstream",
        "deadline", "filed", "over",
    )  # fmt: skip

    def __init__(
        self, services: Clocked, done: Callable[[str], None], trace: MirrorTrace | None = None
    ) -> None:
        self._services = services
        self._done = done
        self._trace = trace
        self._status = 0
        self._upstream: UpstreamRequest | None = None
        self._ended = False
        self._paused = False
        self._held: list[tuple[bytes, bool]] = []
        self._held_bytes = 0
        self.deadline = self.filed = inf
        self.over = False

    def start(self, upstream: UpstreamRequest) -> None:
        if not self.over:
            self._upstream = upstream
            self._moved()
            self._services.deadlines.watch(self)

    def _moved(self) -> None:
        self.deadline = self._services.clock() + PATIENCE_S

    # ---- called by the exchange, through `Tee`

    def send_data(self, data: bytes, end: bool) -> None:
        if self.over or self._upstream is None:
            return
        self._moved()
        self._ended = end
        if not self._paused:
            self._upstream.send_data(data, end)
            return
        self._held.append((data, end))
        self._held_bytes += len(data)
        if self._held_bytes > HELD_MAX_BYTES:
            self.cut()

    def send_trailers(self, fields: Fields) -> None:
        """A copy that is behind ends without them."""
        if self.over or self._upstream is None:
            return
        if self._held:
            self.send_data(b"", True)
        else:
            self._ended = True
            self._upstream.send_trailers(fields)

    def request_over(self) -> None:
        """The request came to its end elsewhere: half a copy is of no use to anybody."""
        if not self._ended:
            self.cut()

    def cut(self) -> None:
        """Give it up."""
        if not self.over:
            upstream = self._upstream
            self._end("cut")
            if upstream is not None:
                upstream.cancel()

    # ---- called by upstream

    def response_informational(self, head: ResponseHead) -> None:
        pass

    def response_head(self, head: ResponseHead, end: bool) -> None:
        self._status = head.status
        if end:
            self._end("answered")

    def response_whole(self, head: ResponseHead, body: bytes, trailers: Fields | None = None) -> None:
        self._status = head.status
        self._end("answered")

    def response_data(self, data: bytes, end: bool) -> None:
        if end:
            self._end("answered")

    def response_trailers(self, fields: Fields) -> None:
        self._end("answered")

    def upstream_failed(self, error: EdgeError) -> None:
        self._end("failed")

    def pause_request(self) -> None:
        self._paused = True

    def resume_request(self) -> None:
        self._paused = False
        while self._held and not self._paused and self._upstream is not None:
            data, end = self._held.pop(0)
            self._held_bytes -= len(data)
            self._upstream.send_data(data, end)

    def expired(self) -> None:
        """Called by `Deadlines`."""
        self.cut()

    def _end(self, outcome: str) -> None:
        if self.over:
            return
        self.over = True
        self._held.clear()
        upstream, self._upstream = self._upstream, None
        if self._trace is not None:
            address, reused = (upstream.address, upstream.reused) if upstream is not None else ("", False)
            self._trace.ended(outcome, address, reused, self._status)
        if self.filed != inf:
            self._services.deadlines.forget(self)
        self._done(outcome)


class Tee:
    """The upstream side of an exchange whose body is copied too; implements `seams.UpstreamRequest`."""

    __slots__ = ("_copies", "_main")

    def __init__(self, main: UpstreamRequest, copies: list[Copy]) -> None:
        self._main = main
        self._copies = copies

    @property
    def address(self) -> str:
        return self._main.address

    @property
    def reused(self) -> bool:
        return self._main.reused

    @property
    def attempts(self) -> int:
        return self._main.attempts

    @property
    def failures(self) -> tuple[tuple[str, bool, str, int], ...]:
        return self._main.failures

    def send_data(self, data: bytes, end: bool) -> None:
        self._main.send_data(data, end)
        for copy in self._copies:
            copy.send_data(data, end)

    def send_trailers(self, fields: Fields) -> None:
        self._main.send_trailers(fields)
        for copy in self._copies:
            copy.send_trailers(fields)

    def cancel(self) -> None:
        self._main.cancel()
        for copy in self._copies:
            copy.request_over()

    def pause_response(self) -> None:
        self._main.pause_response()

    def resume_response(self) -> None:
        self._main.resume_response()
