"""Finished sampled exchanges, on their way from a worker to the supervisor, in bounded batches."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from edge.telemetry.heap import keep_spare
from edge.telemetry.otlp import Encoder
from edge.telemetry.spans import ExchangeTrace
from edge.wire import UP_LIMIT_BYTES, Spans

QUEUE_SPANS: Final = 2048
BATCH_SPANS: Final = 512
BATCH_BYTES: Final = UP_LIMIT_BYTES - (64 << 10)
"""Room for the frame around the payload."""
DELAY_S: Final = 0.2
"""How long a span waits for others at most: traces are to be seen soon, and batches cost less."""


class Tracer:
    """Collects traces and sends batches of encoded spans.

    `send` takes a `Spans` and answers False when the channel is full (the batch is offered again
    later, while what is new waits in the queue). `call_later(seconds, callback)` is the loop's.
    Above `QUEUE_SPANS` waiting spans, whole traces are dropped and counted in `dropped`.
    """

    def __init__(
        self,
        encoder: Encoder,
        send: Callable[[Spans], bool],
        call_later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self.dropped = 0
        self._reported = 0
        self.encoder = encoder
        self._send = send
        self._call_later = call_later
        self._traces: list[tuple[ExchangeTrace, int]] = []
        """With how many spans each makes."""
        self._waiting = 0
        self._ready: list[Spans] = []
        self._ready_spans = 0
        self._timer = False
        self._urgent = False

    def finish(self, trace: ExchangeTrace) -> None:
        """Take over a finished trace; it must not change any more. Never raises, never blocks."""
        count = trace.span_count()
        if self._waiting + self._ready_spans + count > QUEUE_SPANS:
            self.dropped += count
            return
        self._traces.append((trace, count))
        self._waiting += count
        if not self._timer:
            self._timer = True
            self._call_later(DELAY_S, self._tick)
        elif self._waiting >= BATCH_SPANS and not self._urgent:
            self._urgent = True
            self._call_later(0, self._full)

    def add(self, entry: bytes) -> None:
        """One span that is encoded already and belongs to a trace that may be finished. Never blocks."""
        if self._waiting + self._ready_spans >= QUEUE_SPANS:
            self.dropped += 1
            return
        self._seal([entry], 1)
        if not self._timer:
            self._timer = True
            self._call_later(DELAY_S, self._tick)

    def flush(self) -> bool:
        """Encode and send all that waits; False when the channel took only part of it."""
        self._urgent = False
        self._encode()
        while self._ready:
            batch = self._ready[0]
            fresh = self.dropped - self._reported
            if not self._send(Spans(batch.count, fresh, batch.payload)):
                return False
            self._reported += fresh
            self._ready_spans -= batch.count
            del self._ready[0]
        return True

    def _full(self) -> None:
        keep_spare()
        self.flush()

    def _tick(self) -> None:
        self._timer = False
        if not self.flush():
            self._timer = True
            self._call_later(DELAY_S, self._tick)

    def _encode(self) -> None:
        traces, self._traces, self._waiting = self._traces, [], 0
        entries: list[bytes] = []
        count = size = 0
        for trace, fresh in traces:
            try:
                spans = self.encoder.joined(trace)
                alone = self.encoder.encode(trace) if len(spans) > BATCH_BYTES else ()
            except (ValueError, TypeError, AttributeError, struct.error):
                self.dropped += fresh  # one trace with odd values must not cost the others
                continue
            if alone:
                for entry in alone:
                    self._seal([entry], 1)
                continue
            if count + fresh > BATCH_SPANS or size + len(spans) > BATCH_BYTES:
                self._seal(entries, count)
                entries, count, size = [], 0, 0
            entries.append(spans)
            count += fresh
            size += len(spans)
        if entries:
            self._seal(entries, count)

    def _seal(self, entries: list[bytes], count: int) -> None:
        self._ready.append(Spans(count, 0, b"".join(entries)))
        self._ready_spans += count
