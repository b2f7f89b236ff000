"""A worker of one filter: services without a loop, and an exchange without sockets."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from edge.abi import services
from edge.abi.services import CalloutDone, Callouts, MetricSink, Warm
from edge.abi.shared_data import SharedData
from edge.chain.filter import LocalReply, Port
from edge.errors import EdgeError
from edge.head import Fields, RequestHead, ResponseHead

T = TypeVar("T")
TURNS_LIMIT = 10_000
LEVELS = ("trace", "debug", "info", "warn", "error", "critical")


class InlineWarm:
    """Instances start in the calling thread, one after the other."""

    def __init__(self, soon: Callable[[Callable[[], None]], object]) -> None:
        self._soon = soon

    def submit(self, job: Callable[[], T], done: Callable[[T | Exception], None]) -> None:
        def run() -> None:
            try:
                result: T | Exception = job()
            except Exception as error:  # given to `done`, which tells the user
                result = error
            done(result)

        self._soon(run)


class UnsentCallouts:
    """Callouts are noted and fail: this command talks to nobody."""

    def __init__(self, soon: Callable[[Callable[[], None]], object]) -> None:
        self.made: list[str] = []
        self._soon = soon
        self._cancelled: set[int] = set()

    def start(
        self,
        cluster: str,
        head: RequestHead,
        body: bytes,
        trailers: Fields,
        timeout_s: float,
        done: CalloutDone,
    ) -> int:
        self.made.append(f"{head.method.decode('latin-1')} {head.path.decode('latin-1')} to {cluster}")
        token = len(self.made)
        self._soon(lambda: None if token in self._cancelled else done(None, b"", []))
        return token

    def cancel(self, token: int) -> None:
        self._cancelled.add(token)


class Series:
    """Metrics of the guest, by name."""

    def __init__(self) -> None:
        self.names: list[tuple[str, int, str]] = []
        self.values: list[int] = []

    def define(self, filter_name: str, kind: int, name: str) -> int:
        key = (filter_name, kind, name)
        if key not in self.names:
            self.names.append(key)
            self.values.append(0)
        return self.names.index(key)

    def add(self, series: int, by: int) -> None:
        self.values[series] += by

    def set(self, series: int, value: int) -> None:
        self.values[series] = value

    def observe(self, series: int, value: int) -> None:
        self.values[series] = value

    def value(self, series: int) -> int:
        return self.values[series]


class LoneServices:
    """Implements `edge.abi.services.HostServices`. Timers are noted and never fire."""

    def __init__(self) -> None:
        self.first = True
        self.log_level = 0
        self.lines: list[tuple[str, str]] = []
        self.timers = 0
        self._turns: deque[Callable[[], None]] = deque()
        self.unsent = UnsentCallouts(self.call_soon)
        self.series = Series()
        self.callouts: Callouts = self.unsent
        self.metrics: MetricSink = self.series
        sharing = SharedData(self, alone=True)
        self.shared: services.SharedData = sharing
        self.queues: services.Queues = sharing
        self.warm: Warm = InlineWarm(self.call_soon)

    def now_ns(self) -> int:
        return time.time_ns()

    def clock(self) -> float:
        return time.monotonic()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> object:
        self.timers += 1
        return None

    def call_soon(self, callback: Callable[[], None]) -> object:
        self._turns.append(callback)
        return None

    def log(self, filter_name: str, level: int, text: str, port: Port | None) -> None:
        self.lines.append((LEVELS[min(max(level, 0), 5)], text))

    def settle(self) -> None:
        """Run what waits for the end of the turn, until nothing does."""
        for _ in range(TURNS_LIMIT):
            if not self._turns:
                return
            self._turns.popleft()()


class LoneExchange:
    """Implements `ChainHost`: what leaves the filter is kept for the report."""

    def __init__(self, services: LoneServices, properties: dict[bytes, bytes]) -> None:
        self.request: RequestHead | None = None
        self.request_body = b""
        self.request_ended = False
        self.response: ResponseHead | None = None
        self.response_body = b""
        self.response_ended = False
        self.reply: LocalReply | None = None
        self.error: EdgeError | None = None
        self.backend = ""
        self._services = services
        self._properties = properties

    def forward_request_head(self, head: RequestHead, end: bool) -> None:
        self.request = head
        self.request_ended = end

    def forward_request_data(self, data: bytes, end: bool) -> None:
        self.request_body += data
        self.request_ended = end

    def forward_request_trailers(self, fields: Fields) -> None:
        self.request_ended = True

    def forward_response_head(self, head: ResponseHead, end: bool) -> None:
        self.response = head
        self.response_ended = end

    def forward_response_data(self, data: bytes, end: bool) -> None:
        self.response_body += data
        self.response_ended = end

    def forward_response_trailers(self, fields: Fields) -> None:
        self.response_ended = True

    def reply_won(self, reply: LocalReply) -> None:
        self.reply = reply

    def reset_exchange(self, error: EdgeError) -> None:
        self.error = error

    def pause_request_source(self) -> None:
        """The whole body is there already."""

    def resume_request_source(self) -> None:
        """See `pause_request_source`."""

    def pause_response_source(self) -> None:
        """See `pause_request_source`."""

    def resume_response_source(self) -> None:
        """See `pause_request_source`."""

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._services.call_soon(callback)

    def set_pause_deadline(self, deadline_in_s: float | None) -> None:
        """A filter that waits is reported as paused; nobody waits with it."""

    def now(self) -> float:
        return time.monotonic()

    def property(self, path: bytes) -> bytes | None:
        return self._properties.get(path)

    def set_backend(self, cluster: str) -> bool:
        self.backend = cluster
        return True

    def request_needs_body(self) -> None:
        """The whole body is there already."""
