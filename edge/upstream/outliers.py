"""Endpoints that fail are left alone for a while. Sans-io; told of what every try ended in."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

from edge import model
from edge.exchange.deadlines import Deadlines

SERVER_ERROR: Final = 500
GATEWAY_ERRORS: Final = frozenset((502, 503, 504))


class _Record:
    """One endpoint: errors in a row, and its ejections."""

    __slots__ = ("ended", "errors", "gateway", "local", "times", "until")

    def __init__(self) -> None:
        self.errors = self.gateway = self.local = 0
        self.times = 0
        self.until = inf
        """When it comes back, `inf` = it is not ejected."""
        self.ended = 0.0


class Outliers:
    """`mask` holds the bits of ejected endpoints; `changed` is called after it changed.

    `total()` = how many endpoints there are. At least one may be ejected, however few they are:
    the panic threshold of the cluster decides what that means.
    """

    def __init__(
        self,
        settings: model.Outliers,
        deadlines: Deadlines,
        clock: Callable[[], float],
        total: Callable[[], int],
        changed: Callable[[], None],
    ) -> None:
        self.mask = 0
        self.ejections = 0
        self.deadline = self.filed = inf
        self._settings = settings
        self._deadlines = deadlines
        self._clock = clock
        self._total = total
        self._changed = changed
        self._records: dict[int, _Record] = {}

    def answered(self, index: int, status: int) -> None:
        """A final response head came from endpoint `index`."""
        record = self._records.get(index)
        if status < SERVER_ERROR:
            if record is not None:
                record.errors = record.gateway = record.local = 0
            return
        if record is None:
            record = self._records[index] = _Record()
        record.local = 0
        record.errors += 1
        record.gateway = record.gateway + 1 if status in GATEWAY_ERRORS else 0
        self._judge(index, record)

    def unanswered(self, index: int) -> None:
        """No response: not connected, closed, reset, or out of time. A 5xx for the client as well."""
        record = self._records.get(index)
        if record is None:
            record = self._records[index] = _Record()
        record.local += 1
        record.errors += 1
        record.gateway += 1
        self._judge(index, record)

    def forget(self, index: int) -> None:
        """The endpoint is gone; another may get its index."""
        self._records.pop(index, None)
        self.mask &= ~(1 << index)

    def stop(self) -> None:
        """Nothing more will be told; let go of the timer."""
        self._deadlines.forget(self)

    def _judge(self, index: int, record: _Record) -> None:
        settings = self._settings
        for count, limit in (
            (record.errors, settings.consecutive_5xx),
            (record.gateway, settings.consecutive_gateway),
            (record.local, settings.consecutive_local),
        ):
            if limit and count >= limit:
                self._eject(index, record)
                return

    def _eject(self, index: int, record: _Record) -> None:
        settings = self._settings
        record.errors = record.gateway = record.local = 0
        if record.until != inf:
            return  # it was used in a panic, or a try from before has ended
        allowed = max(1, self._total() * settings.max_ejection_percent // 100)
        if self.mask.bit_count() >= allowed:
            return
        now = self._clock()
        if record.times:
            record.times = max(0, record.times - int((now - record.ended) / settings.interval_s))
        record.times += 1
        record.until = now + min(settings.base_ejection_s * record.times, settings.max_ejection_s)
        self.mask |= 1 << index
        self.ejections += 1
        self.deadline = min(self.deadline, record.until)
        self._deadlines.watch(self)
        self._changed()

    def expired(self) -> None:
        """Some ejection is over."""
        now = self._clock()
        self.deadline = inf
        for index, record in self._records.items():
            if record.until <= now:
                record.until = inf
                record.ended = now
                self.mask &= ~(1 << index)
            else:
                self.deadline = min(self.deadline, record.until)
        self._deadlines.watch(self)
        self._changed()
