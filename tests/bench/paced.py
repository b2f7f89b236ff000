"""Open-loop load: requests leave at a fixed rate, whatever the answers do.

Latency counts from the moment a request was due, so a stalled server cannot hide its queue.
`python -m tests.bench.paced PORT PATH RATE SECONDS CONNECTIONS [tls]` prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import cast

import uvloop

_TICK_S = 0.001
_LATEST_S = 10.0
_FROM = "127.0.0.2"
"""An address of its own: limits are those of a client, and a flood beside it comes from another."""
_FIELDS = Path(__file__).parent / "load" / "twelve.lua"


class _Client(asyncio.Protocol):
    """One connection; answers are small and have a content-length."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._pace.free.append(self)

    def send(self, due: float) -> None:
        self._due = due
        self._transport.write(self._pace.request)

    def data_received(self, data: bytes) -> None:
        if not data.startswith(b"HTTP/1.1 200") or not data.endswith(self._pace.body_end):
            self._pace.errors += 1
        self._pace.latencies.append(time.monotonic() - self._due)
        self._pace.free.append(self)
        self._pace.pump()

    def connection_lost(self, exc: Exception | None) -> None:
        self._pace.errors += not self._pace.over


class Pace:
    """Sends what is due on free connections; what finds none waits, and its clock runs."""

    body_end = b"hello from the upstream"

    def __init__(self, request: bytes, rate: float) -> None:
        self.request = request
        self.free: list[_Client] = []
        self.latencies: list[float] = []
        self.errors = 0
        self.over = False
        self._due: deque[float] = deque()
        self._interval_s = 1.0 / rate

    def pump(self) -> None:
        due = self._due
        free = self.free
        while due and free:
            free.pop().send(due.popleft())

    async def run(self, port: int, seconds: float, connections: int, secure: bool) -> None:
        loop = asyncio.get_running_loop()
        tls = ssl._create_unverified_context() if secure else None
        made = [
            await loop.create_connection(
                lambda: _Client(self), "127.0.0.1", port, ssl=tls, local_addr=(_FROM, 0)
            )
            for _ in range(connections)
        ]
        next_due = time.monotonic()
        end = next_due + seconds
        while (now := time.monotonic()) < end:
            while next_due <= now:
                self._due.append(next_due)
                next_due += self._interval_s
            self.pump()
            await asyncio.sleep(_TICK_S)
        # Late answers are waited for: they are what the percentile is about.
        while len(self.free) < connections and time.monotonic() < end + _LATEST_S:
            await asyncio.sleep(_TICK_S)
        self.errors += len(self._due) + connections - len(self.free)
        self.over = True
        for transport, _ in made:
            transport.close()


def _request(path: str) -> bytes:
    """The twelve fields of `twelve.lua`."""
    lines = [line.split('"') for line in _FIELDS.read_text().splitlines() if line.startswith("wrk.headers")]
    fields = "".join(f"{parts[1]}: {parts[3]}\r\n" for parts in lines)
    return f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{fields}\r\n".encode()


def main(port: str, path: str, rate: str, seconds: str, connections: str, tls: str = "") -> None:
    if tls:
        # Beside a busy hostile client on its core it must measure the server, not the scheduler.
        with suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    pace = Pace(_request(path), float(rate))
    uvloop.run(pace.run(int(port), float(seconds), int(connections), bool(tls)))
    # The first fifth is warming up.
    kept = sorted(pace.latencies[len(pace.latencies) // 5 :])
    p50, p99 = (kept[int(len(kept) * share)] * 1e3 for share in (0.5, 0.99))
    print(json.dumps({"requests": len(pace.latencies), "errors": pace.errors, "p50_ms": p50, "p99_ms": p99}))


if __name__ == "__main__":
    main(*sys.argv[1:])
