"""HTTP callouts of filters to named clusters: a request with its whole body, a bounded answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import inf
from typing import Final

from edge.errors import EdgeError
from edge.exchange.deadlines import Deadlines
from edge.exchange.seams import ClusterHandle, UpstreamRequest
from edge.head import Fields, RequestHead, ResponseHead

RESPONSE_MAX_BYTES: Final = 1 << 20
"""Largest callout response body; a larger one fails the callout."""

Done = Callable[[ResponseHead | None, bytes, Fields], None]
"""Head, body, trailers; a failed callout is `(None, b"", [])`. Called exactly once, unless cancelled."""


class Callouts:
    """Starts callouts and remembers them by token.

    `call_soon(callback)` defers to the loop's next turn; the clock is monotonic, in seconds.
    """

    def __init__(
        self,
        clusters: Mapping[str, ClusterHandle],
        deadlines: Deadlines,
        clock: Callable[[], float],
        call_soon: Callable[[Callable[[], None]], object],
    ) -> None:
        self.clusters = clusters
        self._deadlines = deadlines
        self._clock = clock
        self._call_soon = call_soon
        self._running: dict[int, _Callout] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._running)

    def start(
        self,
        cluster: str,
        head: RequestHead,
        body: bytes,
        trailers: Fields,
        timeout_s: float,
        done: Done,
    ) -> int:
        """Send the request; return its token (from 1), or 0 when there is no such cluster.

        `timeout_s` (0 = none) bounds the whole callout. `head.length` is set from `body`.
        `done` is never called before this has returned, nor after `cancel(token)`.
        """
        handle = self.clusters.get(cluster)
        if handle is None:
            return 0
        self._last = token = self._last + 1
        callout = _Callout(partial(self._ended, token, done))
        self._running[token] = callout
        if timeout_s:
            callout.deadline = self._clock() + timeout_s
            self._deadlines.watch(callout)
        whole = not body and not trailers
        head.length = None if trailers or whole else len(body)
        request = handle.dispatch(callout, head, whole, 0.0)
        callout.started(request, self._call_soon)
        if trailers:
            request.send_data(body, False)
            request.send_trailers(trailers)
        elif body:
            request.send_data(body, True)
        return token

    def cancel(self, token: int) -> None:
        """Stop a callout; unknown and finished tokens are ignored."""
        callout = self._running.pop(token, None)
        if callout is not None:
            self._deadlines.forget(callout)
            callout.cancel()

    def close(self) -> None:
        """Cancel all that run."""
        for token in list(self._running):
            self.cancel(token)

    def _ended(
        self, token: int, done: Done, head: ResponseHead | None, body: bytes, trailers: Fields
    ) -> None:
        callout = self._running.pop(token, None)
        if callout is not None:
            self._deadlines.forget(callout)
            done(head, body, trailers)


class _Callout:
    """Collects one response; implements `seams.ExchangeResponse`."""

    __slots__ = ("_body", "_done", "_failed", "_head", "_over", "_request", "_size", "deadline", "filed")

    def __init__(self, done: Done) -> None:
        self._done = done
        self._head: ResponseHead | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._over = False
        self._failed = False
        self._request: UpstreamRequest | None = None
        self.deadline = inf
        self.filed = inf

    def started(self, request: UpstreamRequest, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self._request = request
        if self._failed:
            call_soon(self._report_failure)

    def response_informational(self, head: ResponseHead) -> None:
        return

    def response_head(self, head: ResponseHead, end: bool) -> None:
        if head.status == 101:
            self._fail()
            return
        self._head = head
        if end:
            self._complete([])

    def response_data(self, data: bytes, end: bool) -> None:
        self._size += len(data)
        if self._size > RESPONSE_MAX_BYTES:
            self._fail()
            return
        self._body.append(data)
        if end:
            self._complete([])

    def response_whole(self, head: ResponseHead, body: bytes, trailers: Fields | None = None) -> None:
        self.response_head(head, False)
        self.response_data(body, trailers is None)
        if trailers is not None:
            self.response_trailers(trailers)

    def response_trailers(self, fields: Fields) -> None:
        self._complete(fields)

    def upstream_failed(self, error: EdgeError) -> None:
        self._fail()

    def pause_request(self) -> None:
        """The body has been handed over whole; there is nothing to pause."""

    def resume_request(self) -> None:
        return

    def expired(self) -> None:
        self._fail()

    def cancel(self) -> None:
        self._over = True
        if self._request is not None:
            self._request.cancel()

    def _complete(self, trailers: Fields) -> None:
        if not self._over:
            self._over = True
            self._done(self._head, b"".join(self._body), trailers)

    def _fail(self) -> None:
        if self._over or self._failed:
            return
        self._failed = True
        if self._request is not None:
            self._report_failure()

    def _report_failure(self) -> None:
        if not self._over:
            self.cancel()
            self._done(None, b"", [])
