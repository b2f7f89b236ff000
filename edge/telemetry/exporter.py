"""Batches of spans on their way to a collector: OTLP http/protobuf, never in anybody's way.

Runs in the supervisor. A dead or hanging collector costs a bounded queue and a counter, nothing
else; the end of the process waits for it no longer than its own deadline.
"""

from __future__ import annotations

import asyncio
import gzip
from collections import deque
from collections.abc import Callable
from random import random
from typing import Final

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from edge.telemetry.environment import ExportSettings
from edge.telemetry.framing import request_body
from edge.telemetry.poster import Answer, Poster, PostFailed
from edge.wire import Spans

SHUTDOWN_S: Final = 0.9
"""The process ends within its grace and one second, also when the collector is dead."""
QUEUE_BYTES: Final = 16 << 20
_RETRYABLE: Final = frozenset((429, 502, 503, 504))
"""Spec: OTLP 1.x, retryable response codes."""
_BACKOFF_S: Final = 0.1
_BACKOFF_LIMIT_S: Final = 2.0


class Exporter:
    """Posts what `submit` takes. `report(line)` hears of the first failure and of recovery.

    `framing` is `resource.frame(...)`. `dropped` and `exported` count spans. Call `start` inside
    the loop; `shutdown` once.
    """

    def __init__(
        self, settings: ExportSettings, framing: tuple[bytes, bytes], report: Callable[[str], None]
    ) -> None:
        self.dropped = 0
        self.exported = 0
        self._settings = settings
        self._framing = framing
        self._report = report
        gzipped = settings.compression == "gzip"
        self._compress = gzipped
        self._headers = "content-type: application/x-protobuf\r\n" + (
            "content-encoding: gzip\r\n" if gzipped else ""
        )
        self._poster = Poster(settings.url, settings.headers, settings.ca_file)
        self._queue: deque[Spans] = deque()
        self._queued = 0
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._closing = False
        self._failing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to post."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="otlp exporter")

    def submit(self, batch: Spans) -> None:
        """Queue a batch that is sound, or drop and count it. Never blocks, never raises."""
        full = self._queued + batch.count > self._settings.queue_spans
        if full or self._queued_bytes + len(batch.payload) > QUEUE_BYTES or self._closing:
            self.dropped += batch.count
            return
        self._queue.append(batch)
        self._queued += batch.count
        self._queued_bytes += len(batch.payload)
        self._wake.set()

    async def shutdown(self, timeout_s: float = SHUTDOWN_S) -> None:
        """Post what is queued within `timeout_s`, then drop and count the rest."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait((self._task,), timeout=timeout_s)
            if not self._task.done():
                self._task.cancel()
                await asyncio.wait((self._task,), timeout=0.1)
        self.dropped += self._queued
        self._queue.clear()
        self._queued = self._queued_bytes = 0
        self._poster.close()

    async def _run(self) -> None:
        while True:
            while not self._queue:
                if self._closing:
                    return
                self._wake.clear()
                await self._wake.wait()
            batches, count = self._take()
            try:
                body = request_body(self._framing, [batch.payload for batch in batches])
                if self._compress:
                    body = await asyncio.to_thread(gzip.compress, body, 1)
                taken = await self._deliver(body, count)
            except asyncio.CancelledError:
                self.dropped += count
                raise
            self.exported += taken
            self.dropped += count - taken

    def _take(self) -> tuple[list[Spans], int]:
        batches: list[Spans] = []
        count = 0
        while self._queue and (not batches or count + self._queue[0].count <= self._settings.batch_spans):
            batch = self._queue.popleft()
            batches.append(batch)
            count += batch.count
            self._queued_bytes -= len(batch.payload)
        self._queued -= count
        return batches, count

    async def _deliver(self, body: bytes, count: int) -> int:
        """How many of the `count` spans the collector took within the one deadline of a batch."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.timeout_s
        backoff = _BACKOFF_S
        while True:
            delay = backoff
            try:
                async with asyncio.timeout_at(deadline):
                    answer = await self._poster.post(body, self._headers)
            except TimeoutError:
                self._failed("no answer in time")
                return 0
            except PostFailed as error:
                self._failed(str(error))
            else:
                if answer.status < 300:
                    return self._accepted(answer, count)
                self._failed(f"status {answer.status}")
                if answer.status not in _RETRYABLE:
                    return 0
                delay = max(backoff, _retry_after_s(answer))
            delay *= 0.5 + random() / 2
            if loop.time() + delay >= deadline:
                return 0
            await asyncio.sleep(delay)
            backoff = min(2 * backoff, _BACKOFF_LIMIT_S)

    def _accepted(self, answer: Answer, count: int) -> int:
        if self._failing:
            self._failing = False
            self._report(f"spans are exported again; {self.dropped} were dropped so far")
        if not answer.body:
            return count
        try:
            rejected: int = ExportTraceServiceResponse.FromString(answer.body).partial_success.rejected_spans
        except DecodeError:  # the collector took the batch all the same
            return count
        return count - min(max(rejected, 0), count)

    def _failed(self, reason: str) -> None:
        if not self._failing:
            self._failing = True
            self._report(f"spans cannot be exported to {self._settings.url}: {reason}")


def _retry_after_s(answer: Answer) -> float:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isdigit() else 0.0
