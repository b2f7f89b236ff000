"""The way of one direction's events past the filters: rules that hold for both directions.

| at a place is held | data comes | trailers come | resume |
|---|---|---|---|
| nothing | the filter is asked | the filter is asked (as end of data where it wants no trailers) | - |
| the head | kept unread | kept unread | head goes on; what was kept meets this filter now |
| data | the filter is asked about all of it | the filter is asked | all of it goes on |
| trailers | (nothing can come) | (nothing can come) | data kept here, then trailers go on |
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from edge.chain.filter import Action, Direction, Filter
from edge.chain.hold import DATA, HEAD, NOTHING, TRAILERS, Hold
from edge.chain.place import Place
from edge.chain.records import Recorder
from edge.errors import FilterError, FilterReset, LimitExceeded
from edge.head import Fields, RequestHead, ResponseHead

if TYPE_CHECKING:
    from edge.chain.course import Course

UNREAD_BYTES: Final = 64 << 10
"""Body lying unread behind a held head at which its source is paused."""

_PAUSE: Final = Action.PAUSE
_RESET: Final = Action.RESET
_FAIL: Final = Action.FAIL


class Walk(ABC):
    """One direction of a `ChainRun`. `places` and `holds` are parallel, in the order of walking.

    Every method that moves events stops, and drops the event, once `ChainRun.halted` is set:
    the exchange then takes another course.
    """

    __slots__ = ("closed", "ended", "head_end", "head_left", "holds", "passed", "places", "recorder",
                 "resized", "run", "source_paused", "whole")  # fmt: skip

    bit: int
    direction: Direction
    wants_data: int
    wants_trailers: int
    overflow_status: int

    def __init__(self, run: Course, places: list[Place], end: bool) -> None:
        self.run = run
        self.places = places
        self.holds: list[Hold | None] = [None] * len(places)
        self.head_end = end
        self.head_left = False
        self.closed = False
        """Given up: another course was taken."""
        self.whole = end
        """Everything came in."""
        self.ended = False
        """Everything went out."""
        self.resized = False
        self.passed = 0
        """Body bytes that went out."""
        self.source_paused = False
        self.recorder = Recorder(run, self) if run.sampled else None

    # ---- what the directions do differently

    @abstractmethod
    def walk_head(self, start: int) -> None:
        """Show the head to the places from `start` on, then let it out."""

    @abstractmethod
    def index(self, place: Place) -> int:
        """Of `place` in `places`; negative or too large when it takes no part."""

    @abstractmethod
    def head_is_at(self, place: Place) -> bool:
        """Whether the filter at `place` may edit the head now."""

    @abstractmethod
    def message(self) -> RequestHead | ResponseHead: ...
    @abstractmethod
    def _ask_data(self, asked: Filter, size: int, end: bool) -> Action: ...
    @abstractmethod
    def _ask_trailers(self, asked: Filter) -> Action: ...
    @abstractmethod
    def _trailers_of(self, place: Place) -> Fields | None: ...
    @abstractmethod
    def _set_trailers(self, place: Place, fields: Fields) -> None: ...
    @abstractmethod
    def _let_data_out(self, data: bytes, end: bool) -> None: ...
    @abstractmethod
    def _let_trailers_out(self, fields: Fields) -> None: ...
    @abstractmethod
    def switch_source(self, pause: bool) -> None:
        """Pause or resume whoever reads this direction."""

    # ---- events

    def walk_data(self, k: int, data: bytes, end: bool) -> None:
        """Body bytes arrive at place `k`."""
        places = self.places
        created: Fields | None = None
        while k < len(places):
            hold = self.holds[k]
            if hold is not None and hold.stage == HEAD:
                self._keep_unread(hold, data, end)
                return
            if places[k].phases & self.wants_data:
                hold = self._meet(k)
                hold.body.append(data)
                hold.end = end
                if not self._data_goes_on(k, hold, end):
                    return
                data = hold.body.take()
                if end:
                    created = self._trailers_of(places[k])
                    if created is not None:
                        break
                elif not data:
                    return
            k += 1
        if created is None:
            self._leave(data, end)
            return
        if data:
            self.walk_data(k + 1, data, False)
        if not self.run.halted:
            self.walk_trailers(k + 1, created)

    def walk_trailers(self, k: int, fields: Fields) -> None:
        """Trailers, the end of the message, arrive at place `k`."""
        places = self.places
        while k < len(places):
            place = places[k]
            hold = self.holds[k]
            if hold is not None and hold.stage == HEAD:
                hold.trailers = fields
                self._keep_unread(hold, b"", True)
                return
            if place.phases & (self.wants_data | self.wants_trailers):
                hold = self._meet(k)
                hold.end = True
                self._set_trailers(place, fields)
                if not self._trailers_go_on(k, hold):
                    return
                fields = self._trailers_of(place) or fields
                self._flush(k, hold)
                if self.run.halted:
                    return
            k += 1
        if not self._length_kept(b"", True):
            return
        self.ended = True
        self._let_trailers_out(fields)

    def resume(self, k: int) -> None:
        """What place `k` holds goes on to the next place. Nothing held: nothing happens."""
        hold = self.holds[k]
        if hold is None or hold.stage == NOTHING:
            return
        stage = hold.stage
        self._release(k, hold)
        if stage == HEAD:
            self._resume_head(k, hold)
            return
        self._note_splices(k, hold)
        if self.run.halted:
            return
        fields = self._trailers_of(self.places[k])
        if stage == DATA and fields is None:
            data = hold.body.take()
            if data or hold.end:
                self.walk_data(k + 1, data, hold.end)
            return
        self._flush(k, hold)
        if fields is not None and not self.run.halted:
            self.walk_trailers(k + 1, fields)

    def _resume_head(self, k: int, hold: Hold) -> None:
        self.walk_head(k + 1)
        if self.run.halted:
            return
        data = hold.body.take()
        fields = hold.trailers
        if data or (hold.end and fields is None):
            self.walk_data(k, data, hold.end and fields is None)
        if fields is not None and not self.run.halted:
            self.walk_trailers(k, fields)

    def _flush(self, k: int, hold: Hold) -> None:
        """What is buffered at `k` goes on, as the end is not in it."""
        data = hold.body.take()
        if data:
            self.walk_data(k + 1, data, False)

    def _leave(self, data: bytes, end: bool) -> None:
        if not self._length_kept(data, end):
            return
        self.passed += len(data)
        self.ended = end
        self._let_data_out(data, end)

    # ---- asking a filter

    def _data_goes_on(self, k: int, hold: Hold, end: bool) -> bool:
        """Ask the filter at `k` about what is in `hold`; False = it stays, or the exchange turned."""
        place = self.places[k]
        run = self.run
        place.wished &= ~self.bit
        run.current = place
        if self.recorder is not None:
            self.recorder.enter(k)
        action = self._ask_data(place.filter, len(hold.body), end)
        run.current = None
        if self.recorder is not None:
            self.recorder.leave(k, action)
        if hold.body.growth or hold.body.overflowed:
            self._note_splices(k, hold)
        if (action or run.halted) and not self.answered(k, action, DATA):
            return False
        if hold.stage != NOTHING:
            self._release(k, hold)
        return True

    def _trailers_go_on(self, k: int, hold: Hold) -> bool:
        place = self.places[k]
        if not place.phases & self.wants_trailers:
            if self._data_goes_on(k, hold, True):
                return True
            if hold.stage == DATA:
                hold.stage = TRAILERS
            return False
        run = self.run
        place.wished &= ~self.bit
        run.current = place
        if self.recorder is not None:
            self.recorder.enter(k)
        action = self._ask_trailers(place.filter)
        run.current = None
        if self.recorder is not None:
            self.recorder.leave(k, action)
        self._note_splices(k, hold)
        if (action or run.halted) and not self.answered(k, action, TRAILERS):
            return False
        if hold.stage != NOTHING:
            self._release(k, hold)
        return True

    def answered(self, k: int, action: int, stage: int) -> bool:
        """Take an answer other than a plain CONTINUE; True = the event goes on all the same."""
        run = self.run
        place = self.places[k]
        if action == _FAIL:
            run.filter_failed(place, place.filter.failure or FilterError("failed", place.bound.name))
        elif action == _RESET:
            run.reset(FilterReset("the filter reset the stream", place.bound.name))
        if run.halted:
            return False
        if action != _PAUSE:
            return True  # a reply that came too late, or a filter that is bypassed from now on
        if place.wished & self.bit:
            place.wished &= ~self.bit
            return True
        self._hold(k, stage)
        return False

    # ---- holding

    def _meet(self, k: int) -> Hold:
        hold = self.holds[k]
        if hold is None:
            hold = self.holds[k] = Hold(self.run.plan.body_bytes)
        return hold

    def _hold(self, k: int, stage: int) -> None:
        run = self.run
        hold = self._meet(k)
        hold.begin(stage, run.clock_ns() if run.sampled else 0)
        run.unsettled = True
        if stage == HEAD:
            return
        held = sum(len(other.body) for other in self.holds if other is not None)
        if held > run.plan.body_bytes:
            detail = f"{held} bytes of body are held, {run.plan.body_bytes} allowed"
            self._overflow(k, LimitExceeded(detail, self.overflow_status))
        elif stage == DATA and not hold.end:
            run.body_is_needed(self)

    def _keep_unread(self, hold: Hold, data: bytes, end: bool) -> None:
        hold.body.append(data)
        hold.end = end
        self.run.unsettled = True

    def _release(self, k: int, hold: Hold) -> None:
        hold.stage = NOTHING
        self.run.unsettled = True
        if self.recorder is not None:
            self.recorder.released(k, hold)

    def source_should_wait(self) -> bool:
        """Too much lies unread behind a held head."""
        if self.whole:
            return False
        mark = min(UNREAD_BYTES, self.run.plan.body_bytes)
        return any(h is not None and h.stage == HEAD and len(h.body) >= mark for h in self.holds)

    def close(self) -> None:
        """Give up: nothing goes on in this direction any more, what is held is dropped."""
        self.closed = self.whole = self.ended = True
        if self.recorder is not None:
            self.recorder.finish()
        self.holds = [None] * len(self.places)

    # ---- limits and framing

    def _overflow(self, k: int, error: LimitExceeded) -> None:
        self.run.fail(error, self.reply_before(k), self.places[k].bound.name)

    def reply_before(self, k: int) -> int:
        """Which places the reply to a failure of edge's own at `k` passes, see `verdict`."""
        return self.places[k].position

    def _note_splices(self, k: int, hold: Hold) -> None:
        """A body of another size: the head loses its length while it can."""
        body = hold.body
        if body.overflowed:
            place = self.places[k]
            error = LimitExceeded(f"{place.bound.name} made the body too large", 500)
            self.run.fail(error, place.position, place.bound.name)
        elif body.growth:
            self.resized = True
            head = self.message()
            if not self.head_left and head.length is not None:
                head.length = None
                head.touch()

    def _length_kept(self, data: bytes, end: bool) -> bool:
        """Whether what goes out still fits the length that the head promised when it left."""
        length = self.message().length
        if not self.resized or length is None:
            return True
        passed = self.passed + len(data)
        if passed > length or (end and passed != length):
            detail = f"body changed to {passed} bytes after its head left with content-length {length}"
            self.run.reset(FilterError(detail))
            return False
        return True
