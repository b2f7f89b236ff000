"""What one direction of a run keeps: its places, what lies at them, limits and framing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from edge.chain.filter import Direction
from edge.chain.hold import DATA, HEAD, NOTHING, Hold
from edge.chain.place import Place
from edge.chain.records import Recorder
from edge.errors import FilterError, LimitExceeded
from edge.head import RequestHead, ResponseHead

if TYPE_CHECKING:
    from edge.chain.course import Course

UNREAD_BYTES: Final = 64 << 10
"""Body lying unread behind a held head at which its source is paused."""


class Holding(ABC):
    """The part of a `Walk` that stays. `places` and `holds` are parallel, in the order of walking."""

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

    @abstractmethod
    def index(self, place: Place) -> int:
        """Of `place` in `places`; negative or too large when it takes no part."""

    @abstractmethod
    def head_is_at(self, place: Place) -> bool:
        """Whether the filter at `place` may edit the head now."""

    @abstractmethod
    def message(self) -> RequestHead | ResponseHead: ...
    @abstractmethod
    def switch_source(self, pause: bool) -> None:
        """Pause or resume whoever reads this direction."""

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
