"""A worker and an exchange in memory, for driving a Proxy-Wasm filter callback by callback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge import model
from edge.abi.proxy_wasm import ProxyWasmFilter, ProxyWasmModule, bind_filter
from edge.abi.services import CalloutDone
from edge.abi.shared_data import SharedData
from edge.chain.filter import Direction, FilterRecord, LocalReply, Port
from edge.errors import FilterError
from edge.head import Fields, RequestHead, ResponseHead

NOW_NS = 1_800_000_000_123_456_789


class FakeCallouts:
    def __init__(self) -> None:
        self.started: list[tuple[str, RequestHead, bytes, Fields, float]] = []
        self.done: list[CalloutDone] = []

    def start(
        self,
        cluster: str,
        head: RequestHead,
        body: bytes,
        trailers: Fields,
        timeout_s: float,
        done: CalloutDone,
    ) -> int:
        if cluster == "nowhere":
            return 0
        self.started.append((cluster, head, body, trailers, timeout_s))
        self.done.append(done)
        return len(self.done)

    def cancel(self, token: int) -> None:
        self.done[token - 1] = lambda head, body, trailers: None


class FakeMetrics:
    def __init__(self) -> None:
        self.names: dict[tuple[str, int, str], int] = {}
        self.values: list[int] = []
        self.observed: list[tuple[int, int]] = []

    def define(self, filter_name: str, kind: int, name: str) -> int:
        series = self.names.setdefault((filter_name, kind, name), len(self.values))
        if series == len(self.values):
            self.values.append(0)
        return series

    def add(self, series: int, by: int) -> None:
        self.values[series] += by

    def set(self, series: int, value: int) -> None:
        self.values[series] = value

    def observe(self, series: int, value: int) -> None:
        self.observed.append((series, value))

    def value(self, series: int) -> int:
        return self.values[series]


class FakeWarm:
    """Jobs run when the test says so."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Callable[[], Any], Callable[[Any], None]]] = []

    def submit(self, job: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self.jobs.append((job, done))

    def run(self) -> None:
        """Everything submitted so far; what that submits stays for the next time."""
        jobs, self.jobs = self.jobs, []
        for job, done in jobs:
            try:
                result = job()
            except Exception as error:
                result = error
            done(result)


class FakeServices:
    """Implements edge.abi.services.HostServices with a clock that tests move."""

    def __init__(self) -> None:
        self.first = True
        self.log_level = 0
        self.callouts = FakeCallouts()
        self.metrics = FakeMetrics()
        self.shared = self.queues = SharedData(self, alone=True)
        self.warm = FakeWarm()
        self.lines: list[tuple[int, str]] = []
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.soon: list[Callable[[], None]] = []
        self.time_s = 0.0

    def now_ns(self) -> int:
        return NOW_NS

    def clock(self) -> float:
        return self.time_s

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> object:
        self.timers.append((self.time_s + delay_s, callback))
        return None

    def call_soon(self, callback: Callable[[], None]) -> object:
        self.soon.append(callback)
        return None

    def log(self, filter_name: str, level: int, text: str, port: Port | None) -> None:
        self.lines.append((level, text))

    def advance(self, seconds: float) -> None:
        """Move the clock and fire what is due, in order; then the loop's turn."""
        self.time_s += seconds
        due = [timer for timer in self.timers if timer[0] <= self.time_s]
        self.timers = [timer for timer in self.timers if timer[0] > self.time_s]
        for _, callback in sorted(due, key=lambda timer: timer[0]):
            callback()
        self.turn()

    def turn(self) -> None:
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()


class FakeBody:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def read(self, start: int, size: int) -> bytes:
        return self.data[start : start + size]

    def splice(self, start: int, size: int, data: bytes) -> None:
        self.data = self.data[:start] + data + self.data[start + size :]


class FakePort:
    """Implements edge.chain.filter.Port and notes what was asked."""

    def __init__(self, request: RequestHead, response: ResponseHead | None = None) -> None:
        self.request = request
        self.response = response
        self.request_trailers: Fields | None = None
        self.response_trailers: Fields | None = None
        self.record: FilterRecord | None = None
        self.bodies: list[FakeBody | None] = [None, None]
        self.open = [True, True]
        self.replies: list[LocalReply] = []
        self.takes_replies = True
        self.resumed: list[Direction] = []
        self.resets = 0
        self.waits = 0
        self.failures: list[FilterError] = []
        self.backend = ""
        self.properties = {b"source\0address": b"127.0.0.1:5000", b"request\0path": request.path}

    def body(self, direction: Direction) -> FakeBody | None:
        return self.bodies[direction]

    def set_request_trailers(self, fields: Fields) -> None:
        self.request_trailers = fields

    def set_response_trailers(self, fields: Fields) -> None:
        self.response_trailers = fields

    def head_is_open(self, direction: Direction) -> bool:
        return self.open[direction]

    def resume(self, direction: Direction) -> None:
        self.resumed.append(direction)

    def reply(self, reply: LocalReply) -> bool:
        if self.takes_replies:
            self.replies.append(reply)
        return self.takes_replies

    def reset(self) -> None:
        self.resets += 1

    def waiting(self, change: int) -> None:
        self.waits += change

    def fail(self, failure: FilterError) -> None:
        self.failures.append(failure)

    def property(self, path: bytes) -> bytes | None:
        return self.properties.get(path)

    def set_backend(self, cluster: str) -> bool:
        self.backend = cluster
        return True


def request_head(*extra: tuple[bytes, bytes], length: int | None = None) -> RequestHead:
    """Twelve pairs as a browser sends them, and `extra`."""
    fields = [
        (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"),
        (b"accept", b"text/html,application/xhtml+xml,application/xml;q=0.9"),
        (b"accept-encoding", b"gzip, deflate, br"),
        (b"accept-language", b"en-US,en;q=0.5"),
        (b"cookie", b"sid=31d4d96e407aad42; theme=dark"),
        (b"x-api-key", b"k-0123456789abcdef"),
        (b"x-in", b"hello"),
        (b"x-request-id", b"6e3b0c62-7a3b-4f0e-9a3b-0c627a3b4f0e"),
        *extra,
    ]
    return RequestHead(b"GET", b"https", b"example.com", b"/api/v1/items?id=42", fields, length)


def response_head(*extra: tuple[bytes, bytes], length: int | None = 512) -> ResponseHead:
    fields = [
        (b"content-type", b"application/json"),
        (b"date", b"Mon, 23 Nov 2026 04:36:20 GMT"),
        (b"server", b"up/1.0"),
        (b"cache-control", b"max-age=60"),
        (b"etag", b'"abcdef"'),
        (b"vary", b"accept-encoding"),
        *extra,
    ]
    return ResponseHead(200, fields, length)


def started(module: ProxyWasmModule, services: FakeServices | None = None, **fields: Any) -> ProxyWasmFilter:
    """A bound filter whose first instance serves. Raises what its start raised."""
    services = services or FakeServices()
    made = model.Filter(**{"name": "f", "module": module.digest, "abi": module.abi, **fields})
    bound = bind_filter(made, module, services)
    errors: list[Exception | None] = []
    bound.prepare(errors.append)
    services.warm.run()
    (error,) = errors
    if error is not None:
        raise error
    return bound


class Output:
    """What a script of guests/script.c emitted, read in its order; takes the lines it was logged in."""

    def __init__(self, services: FakeServices) -> None:
        hexed = [text for level, text in services.lines if level == 2 and _is_hex(text)]
        services.lines = [line for line in services.lines if not (line[0] == 2 and _is_hex(line[1]))]
        self._data = bytes.fromhex("".join(hexed))
        self._at = 0

    def word(self) -> int:
        self._at += 4
        return int.from_bytes(self._data[self._at - 4 : self._at], "little")

    def bytes(self) -> bytes | None:
        """None when the script was told of memory that is not there; of more than 2 KiB a digest."""
        size = self.word()
        if size == 0xDEADBEEF:
            return None
        if size >> 31:
            size = 8
        self._at += size
        return self._data[self._at - size : self._at]

    def words(self, count: int) -> list[int]:
        return [self.word() for _ in range(count)]

    def at_end(self) -> bool:
        return self._at == len(self._data)


def _is_hex(text: str) -> bool:
    return bool(text) and all(char in "0123456789abcdef" for char in text)
