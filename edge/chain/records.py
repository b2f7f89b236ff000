"""Records of what each filter did, on sampled exchanges only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.chain.filter import FilterRecord
from edge.chain.hold import NOTHING, Hold

if TYPE_CHECKING:
    from edge.chain.course import Course
    from edge.chain.holding import Holding

_DECISIONS: Final = ("continue", "pause", "local_reply", "reset", "trap")
"""By the value of `Action`."""


class Recorder:
    """Times one direction's callbacks and pauses. Start = first callback, end = last event."""

    __slots__ = ("_records", "_run", "_walk")

    def __init__(self, run: Course, walk: Holding) -> None:
        self._run = run
        self._walk = walk
        self._records: dict[int, FilterRecord] = {}

    def enter(self, k: int) -> None:
        """A callback of the filter at `k` begins."""
        place = self._walk.places[k]
        record = self._records.get(k)
        if record is None:
            position = self._run.plan.index(place.bound)
            start_ns = self._run.clock_ns()
            record = FilterRecord(place.bound.name, position, self._walk.direction, start_ns)
            self._records[k] = record
            self._run.add_record(record)
        place.record = record

    def adopt(self, k: int, record: FilterRecord) -> None:
        """The callback at `k` began, and may have ended, before this recorder was there."""
        self._records[k] = record
        self._walk.places[k].record = record

    def leave(self, k: int, action: int) -> None:
        """It has returned `action`."""
        record = self._records[k]
        record.end_ns = self._run.clock_ns()
        if action:
            record.decision = _DECISIONS[action]
            failure = self._walk.places[k].filter.failure
            if failure is not None:
                record.error = failure.detail

    def released(self, k: int, hold: Hold, dropped: bool = False) -> None:
        """What was held at `k` goes on, or is dropped."""
        record = self._records.get(k)
        if record is not None:
            record.end_ns = self._run.clock_ns()
            record.wait_ns += record.end_ns - hold.held_ns
            if record.decision == "pause" and not dropped:
                record.decision = "continue"

    def finish(self) -> None:
        """The exchange ends: what is still held will not go on."""
        for k, hold in enumerate(self._walk.holds):
            if hold is not None and hold.stage != NOTHING:
                self.released(k, hold, dropped=True)
