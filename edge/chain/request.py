"""The request's walk: filters are opened as the head reaches them, first to last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.chain.filter import Action, BoundFilter, Direction, Filter, FilterRecord, Phase
from edge.chain.hold import HEAD
from edge.chain.place import Place
from edge.chain.verdict import ALL
from edge.chain.walk import Walk
from edge.errors import FilterError, FilterUnavailable
from edge.head import Fields, RequestHead

if TYPE_CHECKING:
    from edge.chain.course import Course

_WANTS_HEAD = int(Phase.REQUEST_HEAD)


class RequestWalk(Walk):
    """`places` grows: a filter whose place is in it is open, and its request head ran."""

    __slots__ = ("_head", "_opened")

    bit = 1 << Direction.REQUEST
    direction = Direction.REQUEST
    wants_data = int(Phase.REQUEST_DATA)
    wants_trailers = int(Phase.REQUEST_TRAILERS)
    overflow_status = 413

    def __init__(self, run: Course, head: RequestHead, end: bool) -> None:
        super().__init__(run, [], end)
        self._head = head
        self._opened = 0
        """Steps of the plan already taken."""

    def walk_head(self, start: int) -> None:
        run = self.run
        places = self.places
        recorder = self.recorder
        end = self.head_end
        steps = run.plan.steps
        for bound, phases in steps[self._opened :] if start else steps:
            self._opened += 1
            place = Place(run, bound, phases, len(places), self._head)
            run.current = place
            opened = bound.open(place)
            if isinstance(opened, FilterError):
                run.current = None
                if self._bypassed(bound, opened):
                    continue
                run.fail(opened, place.position, bound.name)
                return
            place.filter = opened
            places.append(place)
            self.holds.append(None)
            action: int = 0
            if phases & _WANTS_HEAD:
                if recorder is None:
                    action = opened.request_head(end)
                else:
                    recorder.enter(place.position)
                    action = opened.request_head(end)
                    recorder.leave(place.position, action)
            run.current = None
            if (action or run.halted) and not self.answered(place.position, action, HEAD):
                return
        self.head_left = run.request_head_left = True
        self.ended = end
        run.host.forward_request_head(self._head, end)

    def skip(self, opened: int) -> None:
        """The first filters of the chain are open already."""
        self._opened = opened

    def _bypassed(self, bound: BoundFilter, error: FilterError) -> bool:
        """Whether the chain may go on without a filter that could not be had."""
        if not (bound.fail_open and isinstance(error, FilterUnavailable)):
            return False
        run = self.run
        if run.sampled:
            record = FilterRecord(bound.name, self._opened - 1, Direction.REQUEST, run.clock_ns())
            record.decision = "bypass"
            record.error = error.detail
            run.add_record(record)
        return True

    def message(self) -> RequestHead:
        return self._head

    def index(self, place: Place) -> int:
        return place.position

    def head_is_at(self, place: Place) -> bool:
        """True from the filter's opening on: places behind it do not exist yet."""
        return not self.head_left and not self.closed and place.position >= len(self.places) - 1

    def reply_before(self, k: int) -> int:
        """Edge's own 413 and 504 pass all filters: none of them has seen a response yet."""
        return ALL

    def switch_source(self, pause: bool) -> None:
        self.source_paused = pause
        if pause:
            self.run.host.pause_request_source()
        else:
            self.run.host.resume_request_source()

    def _ask_data(self, asked: Filter, size: int, end: bool) -> Action:
        return asked.request_data(size, end)

    def _ask_trailers(self, asked: Filter) -> Action:
        return asked.request_trailers()

    def _trailers_of(self, place: Place) -> Fields | None:
        return place.request_trailers

    def _set_trailers(self, place: Place, fields: Fields) -> None:
        place.request_trailers = fields

    def _let_data_out(self, data: bytes, end: bool) -> None:
        self.run.host.forward_request_data(data, end)

    def _let_trailers_out(self, fields: Fields) -> None:
        self.run.host.forward_request_trailers(fields)
