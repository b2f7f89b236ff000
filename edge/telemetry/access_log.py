"""One JSON line for each request, from pieces made ready when the revision was built.

Fields, in this order: time, request_id, client, method, authority, path, protocol, status,
flags, bytes_in, bytes_out, duration_ms, route, cluster, upstream, attempts, trace_id, span_id,
sampled, user_agent, filter.
"""

from __future__ import annotations

from binascii import hexlify
from collections.abc import Callable
from time import gmtime, strftime
from typing import Final

from edge.telemetry.sink import LineSink
from edge.telemetry.text import PLAIN, TEXT_LIMIT_BYTES, json_inner, json_string

_LINE: Final = (
    b'{"time":"%b%03dZ","request_id":"%b","client":"%b","method":"%b","authority":"%b","path":"%b",'
    b'"protocol":"%b","status":%d,"flags":"%b","bytes_in":%d,"bytes_out":%d,"duration_ms":%.3f,'
    b'"route":%b,"cluster":%b,"upstream":"%b","attempts":%d,"trace_id":"%b","span_id":"%b",'
    b'"sampled":%b,"user_agent":"%b","filter":%b}\n'
)

_EMPTY: Final = b'""'
_AGENTS: Final = 1024
_AGENT_BYTES: Final = 512


def ready(name: str) -> bytes:
    """A configured name (route, cluster, filter) as `AccessLog.write` takes it; empty allowed."""
    return json_string(name)


class AccessLog:
    """Writes request lines through a `LineSink`. Never raises; `dropped` counts lost lines."""

    def __init__(self, target: str | int, call_later: Callable[[float, Callable[[], None]], object]) -> None:
        """`target`: path, `stdout` or a descriptor. OSError if it cannot be opened."""
        self._sink = LineSink(target, call_later)
        self._line = self._sink.line
        self._second = -1
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
        time_s: float,
        request_id: bytes,
        client: bytes,
        method: bytes,
        authority: bytes,
        path: bytes,
        protocol: bytes,
        status: int,
        flags: bytes,
        bytes_in: int,
        bytes_out: int,
        duration_s: float,
        route: bytes,
        cluster: bytes,
        upstream: bytes,
        attempts: int,
        trace_id: bytes,
        span_id: bytes,
        sampled: bool,
        user_agent: bytes,
        filter_name: bytes = _EMPTY,
    ) -> None:
        """Queue one line.

        `time_s` is the wall clock at the request's start. `route`, `cluster` and `filter_name`
        come from `ready`. `client` (`ip:port`), `protocol`, `flags`, `upstream` are edge's own
        words and go as they are; `request_id`, `method`, `authority`, `path` and `user_agent`
        come from strangers and are escaped. Ids are raw bytes; an empty `trace_id` shows empty.
        """
        agent = self._agents.get(user_agent)
        if agent is None:
            agent = self._remember(user_agent)
        if (request_id + method + authority + path).translate(None, PLAIN) or len(path) > TEXT_LIMIT_BYTES:
            request_id, method, authority = json_inner(request_id), json_inner(method), json_inner(authority)
            path = json_inner(path[:TEXT_LIMIT_BYTES])
        second = int(time_s)
        if second != self._second:
            self._second = second
            self._stamp = strftime("%Y-%m-%dT%H:%M:%S.", gmtime(second)).encode()
        self._line(
            _LINE
            % (
                self._stamp,
                (time_s - second) * 1000,
                request_id,
                client,
                method,
                authority,
                path,
                protocol,
                status,
                flags,
                bytes_in,
                bytes_out,
                duration_s * 1000,
                route,
                cluster,
                upstream,
                attempts,
                hexlify(trace_id) if trace_id else b"",
                hexlify(span_id) if span_id else b"",
                b"true" if sampled else b"false",
                agent,
                filter_name,
            )
        )

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
