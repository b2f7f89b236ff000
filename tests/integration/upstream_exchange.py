"""An exchange that collects one response, and how tests of upstream wait and run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import uvloop

from edge.errors import EdgeError
from edge.head import Fields, ResponseHead

LIVENESS_S = 60.0


class Exchange:
    """Collects a response; `over` is set at its end."""

    def __init__(self) -> None:
        self.status = 0
        self.body = bytearray()
        self.trailers: Fields = []
        self.error: EdgeError | None = None
        self.paused = False
        self.over = asyncio.Event()
        self.began = asyncio.Event()

    def response_informational(self, head: ResponseHead) -> None: ...

    def response_head(self, head: ResponseHead, end: bool) -> None:
        self.status = head.status
        self.began.set()
        if end:
            self.over.set()

    def response_whole(self, head: ResponseHead, body: bytes, trailers: Fields | None = None) -> None:
        self.response_head(head, False)
        self.response_data(body, trailers is None)
        if trailers is not None:
            self.response_trailers(trailers)

    def response_data(self, data: bytes, end: bool) -> None:
        self.body += data
        if end:
            self.over.set()

    def response_trailers(self, fields: Fields) -> None:
        self.trailers = fields
        self.over.set()

    def upstream_failed(self, error: EdgeError) -> None:
        self.error = error
        self.over.set()

    def pause_request(self) -> None:
        self.paused = True

    def resume_request(self) -> None:
        self.paused = False

    async def end(self) -> str:
        """`ok`, or the name of the error."""
        await asyncio.wait_for(self.over.wait(), LIVENESS_S)
        return type(self.error).__name__ if self.error else "ok"


async def until(condition: Callable[[], bool]) -> None:
    """Wait for `condition`; fails after LIVENESS_S."""
    end = time.monotonic() + LIVENESS_S
    while not condition():
        assert time.monotonic() < end, "never came true"
        await asyncio.sleep(0.002)


def run(case: Callable[[], Awaitable[None]]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(case())  # type: ignore[arg-type]
