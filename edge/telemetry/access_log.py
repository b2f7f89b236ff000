"""One JSON line for each request, from pieces made ready when the revision was built.

Fields, in this order: time, request_id, client, method, authority, path, protocol, status,
flags, bytes_in, bytes_out, duration_ms, route, cluster, upstream, attempts, trace_id, span_id,
sampled, user_agent, filter.
"""

from __future__ import annotations

from binascii import hexlify
from collections.abc import Callable
from functools import lru_cache
from time import gmtime, strftime
from typing import Final

from edge.telemetry.sink import LineSink
from edge.telemetry.text import PLAIN, TEXT_LIMIT_BYTES, json_inner, json_string

_LINE: Final = (
    b'{"time":"%b","request_id":"%b","client":"%b","method":"%b","authority":"%b","path":"%b",%b,'
    b'"bytes_in":%d,"bytes_out":%d,"duration_ms":%b,%b,%b,"user_agent":"%b",%b}\n'
)
_ANSWER: Final = b'"protocol":"%b","status":%d,"flags":"%b"'
_WAY: Final = b'"route":%b,"cluster":%b,"upstream":"%b","attempts":%d'
_TRACE: Final = b'"trace_id":"%b","span_id":"%b","sampled":%b'
_FILTER: Final = b'"filter":%b'

UNTRACED: Final = _TRACE % (b"", b"", b"false")
_EMPTY: Final = b'""'
_AGENTS: Final = 1024
_AGENT_BYTES: Final = 512
_DURATIONS: Final = 1024


def ready(name: str) -> bytes:
    """A configured name (route, cluster, filter) as `AccessLog.write` takes it; empty allowed."""
    return json_string(name)


def traced(trace_id: bytes, span_id: bytes, sampled: bool) -> bytes:
    """The context of a request, ids as raw bytes, as `AccessLog.write` takes it."""
    return _TRACE % (hexlify(trace_id), hexlify(span_id), b"true" if sampled else b"false")


class Alike:
    """What the lines of many requests have in common, made ready once.

    `route`, `cluster` and `filter_name` come from `ready`; `protocol`, `flags` and `upstream`
    are edge's own words and go as they are.
    """

    __slots__ = ("answer", "filter", "way")

    def __init__(
        self,
        protocol: bytes,
        status: int,
        flags: bytes = b"",
        route: bytes = _EMPTY,
        cluster: bytes = _EMPTY,
        upstream: bytes = b"",
        attempts: int = 0,
        filter_name: bytes = _EMPTY,
    ) -> None:
        self.answer = _answer(protocol, status, flags)
        self.way = _WAY % (route, cluster, upstream, attempts)
        self.filter = _filter(filter_name)


@lru_cache(maxsize=256)
def _answer(protocol: bytes, status: int, flags: bytes) -> bytes:
    """The same few for all rules, however many there are."""
    return _ANSWER % (protocol, status, flags)


@lru_cache(maxsize=256)
def _filter(name: bytes) -> bytes:
    return _FILTER % name


class _Milliseconds(dict[float, bytes]):
    """Seconds → the number as it is shown. By a clock read once a turn most are one of a few."""

    def __missing__(self, seconds: float) -> bytes:
        if len(self) >= _DURATIONS:
            self.clear()
        shown = self[seconds] = b"%.3f" % (seconds * 1000)
        return shown


class AccessLog:
    """Writes request lines through a `LineSink`. Never raises; `dropped` counts lost lines."""

    def __init__(self, target: str | int, call_later: Callable[[float, Callable[[], None]], object]) -> None:
        """`target`: path, `stdout` or a descriptor. OSError if it cannot be opened."""
        self._sink = LineSink(target, call_later)
        self._line = self._sink.line
        self._milliseconds = _Milliseconds()
        self._second = -1
        self._until_second = b""
        self._time_s = -1.0
        self._stamp = b""
        self._agents: dict[bytes, bytes] = {}

    @property
    def dropped(self) -> int:
        """Lines lost since the start."""
        return self._sink.dropped

    @property
    def fault(self) -> str:
        """Why the latest lines were lost; empty when they were not."""
        return self._sink.fault

    def write(
        self,
        alike: Alike,
        time_s: float,
        request_id: bytes,
        client: bytes,
        method: bytes,
        authority: bytes,
        path: bytes,
        bytes_in: int,
        bytes_out: int,
        duration_s: float,
        user_agent: bytes,
        trace: bytes = UNTRACED,
    ) -> None:
        """Queue one line.

        `time_s` is the wall clock at the request's start. `request_id` and `client` (`ip:port`) are
        edge's own words and go as they are; `method`, `authority`, `path` and `user_agent` come
        from strangers and are escaped. `trace` comes from `traced`.
        """
        agent = self._agents.get(user_agent)
        if agent is None:
            agent = self._remember(user_agent)
        if (method + authority + path).translate(None, PLAIN) or len(path) > TEXT_LIMIT_BYTES:
            method, authority, path = map(json_inner, (method, authority, path[:TEXT_LIMIT_BYTES]))
        if time_s != self._time_s:
            self._tell_time(time_s)
        self._line(
            _LINE
            % (
                self._stamp,
                request_id,
                client,
                method,
                authority,
                path,
                alike.answer,
                bytes_in,
                bytes_out,
                self._milliseconds[duration_s],
                alike.way,
                trace,
                agent,
                alike.filter,
            )
        )

    def _tell_time(self, time_s: float) -> None:
        """All requests of one turn of the loop began at the same time."""
        self._time_s = time_s
        second = int(time_s)
        if second != self._second:
            self._second = second
            self._until_second = strftime("%Y-%m-%dT%H:%M:%S.", gmtime(second)).encode()
        self._stamp = b"%b%03dZ" % (self._until_second, (time_s - second) * 1000)

    def _remember(self, user_agent: bytes) -> bytes:
        """Few agents make most requests: their JSON is made once."""
        if len(self._agents) >= _AGENTS:
            self._agents.clear()
        agent = json_inner(user_agent[:TEXT_LIMIT_BYTES])
        if len(user_agent) <= _AGENT_BYTES:
            self._agents[user_agent] = agent
        return agent

    def flush(self) -> None:
        """Write what waits now."""
        self._sink.flush()

    def reopen(self) -> str:
        """After SIGUSR1: open the path anew. When that fails the old file stays; the answer is why."""
        return self._sink.reopen()

    def close(self) -> None:
        """Flush and close."""
        self._sink.close()
