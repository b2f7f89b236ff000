"""Edge's own log lines and those of guests: JSON on stderr, bounded in rate.

A guest cannot flood the log, forge a line or colour a terminal, and each of its lines names the
filter and the trace it belongs to.
"""

from __future__ import annotations

import logging
from binascii import hexlify
from collections.abc import Callable
from datetime import UTC, datetime
from math import isfinite
from threading import get_ident
from typing import Final

from edge.telemetry.sink import LineSink
from edge.telemetry.text import TEXT_LIMIT_BYTES, json_inner, json_string

GUEST_LINES_S: Final = 100
"""Lines a second one filter may write; more are counted and told with the next line."""
OWN_LINES_S: Final = 1000
_SOURCES: Final = 1024

LEVELS: Final = ("trace", "debug", "info", "warn", "error", "critical")
"""By Proxy-Wasm's numbers."""


_WORDS: Final = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warn",
    logging.ERROR: "error",
    logging.CRITICAL: "critical",
}


class _Allowance:
    """Lines a source may still write in the current second."""

    __slots__ = ("left", "lost", "second")

    def __init__(self) -> None:
        self.second = -1
        self.left = 0
        self.lost = 0

    def take(self, now_s: float, limit: int) -> bool:
        second = int(now_s)
        if second != self.second:
            self.second = second
            self.left = limit
        if self.left <= 0:
            self.lost += 1
            return False
        self.left -= 1
        return True


class Log:
    """Structured lines to `target` (stderr by default). Never raises, never blocks.

    `clock` gives the wall clock in seconds. `dropped` counts lines lost to rate or to the target.
    """

    def __init__(
        self,
        call_later: Callable[[float, Callable[[], None]], object],
        clock: Callable[[], float],
        target: str | int = "stderr",
        process: str = "",
        call_threadsafe: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        """`call_threadsafe` is the loop's `call_soon_threadsafe`: with it, lines may come from any
        thread; those of others than the one that made the log pass through it."""
        self._thread = get_ident()
        self._call_threadsafe = call_threadsafe
        self._sink = LineSink(target, call_later)
        self._clock = clock
        self._process = b',"process":%b' % json_string(process) if process else b""
        self._sources: dict[str, _Allowance] = {}
        self._lost = 0

    @property
    def dropped(self) -> int:
        """Lines lost since the start."""
        return self._lost + self._sink.dropped

    def write(self, level: str, message: str, **fields: str | int | float) -> None:
        """A line of edge's own; `fields` follow the message."""
        now_s = self._clock()
        pieces = [b',"%b":%b' % (json_inner(key.encode()), _value(value)) for key, value in fields.items()]
        self._emit(
            "", OWN_LINES_S, now_s, level, message.encode("utf-8", "backslashreplace"), b"".join(pieces)
        )

    def guest(
        self, filter_name: str, level: int, message: bytes | str, trace_id: bytes = b"", span_id: bytes = b""
    ) -> None:
        """A line of a filter; `level` by Proxy-Wasm's numbers, the message's bytes are anything."""
        if isinstance(message, str):
            message = message.encode("utf-8", "backslashreplace")
        word = LEVELS[level] if 0 <= level < len(LEVELS) else "info"
        extra = b',"filter":%b' % json_string(filter_name)
        if trace_id:
            extra += b',"trace_id":"%b","span_id":"%b"' % (hexlify(trace_id), hexlify(span_id))
        self._emit(filter_name, GUEST_LINES_S, self._clock(), word, message, extra)

    def flush(self) -> None:
        """Write what waits now."""
        self._sink.flush()

    def _emit(self, source: str, limit: int, now_s: float, level: str, message: bytes, extra: bytes) -> None:
        if self._call_threadsafe is None or get_ident() == self._thread:
            self._line(source, limit, now_s, level, message, extra)
            return
        try:
            self._call_threadsafe(lambda: self._line(source, limit, now_s, level, message, extra))
        except RuntimeError:  # the loop is closed
            self._lost += 1

    def _line(self, source: str, limit: int, now_s: float, level: str, message: bytes, extra: bytes) -> None:
        allowance = self._sources.get(source)
        if allowance is None:
            if len(self._sources) >= _SOURCES:
                self._sources.clear()
            allowance = self._sources[source] = _Allowance()
        if not allowance.take(now_s, limit):
            self._lost += 1
            return
        if allowance.lost:
            extra += b',"dropped_before":%d' % allowance.lost
            allowance.lost = 0
        stamp = datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds").encode()
        self._sink.line(
            b'{"time":"%b","level":%b,"message":"%b"%b%b}\n'
            % (
                stamp.replace(b"+00:00", b"Z"),
                json_string(level),
                json_inner(message[:TEXT_LIMIT_BYTES]),
                self._process,
                extra,
            )
        )


class LogHandler(logging.Handler):
    """Takes what edge's modules say through `logging` into a `Log`, tracebacks included."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """One record, one line; a record that cannot be formatted shows its raw message."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = str(record.msg)
        fields = {"logger": record.name}
        if record.exc_info:
            fields["exception"] = logging.Formatter().formatException(record.exc_info)
        self._log.write(_WORDS.get(record.levelno, "info"), message, **fields)


def _value(value: str | float) -> bytes:
    if isinstance(value, str):
        return json_string(value[:TEXT_LIMIT_BYTES])
    if isinstance(value, bool):
        return b"true" if value else b"false"
    return repr(value).encode() if isfinite(value) else b"null"
