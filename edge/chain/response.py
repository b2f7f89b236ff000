"""The response's walk: from the last filter that takes part to the first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from edge.chain.filter import Action, Direction, Filter, Phase
from edge.chain.hold import HEAD
from edge.chain.place import Place
from edge.chain.walk import Walk
from edge.errors import FilterError
from edge.head import Fields, ResponseHead

if TYPE_CHECKING:
    from edge.chain.course import Course

SWITCHING: Final = 101
_WANTS_HEAD = int(Phase.RESPONSE_HEAD)


class ResponseWalk(Walk):
    """One response, upstream's or a local reply. A reply that replaces it is another walk:
    filters before the sender then see a second response head.
    """

    __slots__ = ("_at", "_head")

    bit = 1 << Direction.RESPONSE
    direction = Direction.RESPONSE
    wants_data = int(Phase.RESPONSE_DATA)
    wants_trailers = int(Phase.RESPONSE_TRAILERS)
    overflow_status = 500

    def __init__(self, run: Course, places: list[Place], head: ResponseHead, end: bool) -> None:
        super().__init__(run, places, end)
        self._head = head
        self._at = 0

    def walk_head(self, start: int) -> None:
        run = self.run
        recorder = self.recorder
        head = self._head
        end = self.head_end
        status = head.status
        k = start
        for place in self.places[start:] if start else self.places:
            place.response = head
            if place.phases & _WANTS_HEAD:
                self._at = k
                run.current = place
                if recorder is None:
                    action = place.filter.response_head(end)
                else:
                    recorder.enter(k)
                    action = place.filter.response_head(end)
                    recorder.leave(k, action)
                run.current = None
                if (action or run.halted) and not self.answered(k, action, HEAD):
                    return
                if head.status != status and not self._status_allowed(place):
                    return
            k += 1
        self.head_left = True
        self.ended = end
        run.host.forward_response_head(head, end)

    def go_to(self, k: int) -> None:
        """The filter at `k` has the head."""
        self._at = k

    def take_answer(self, k: int, answer: Callable[[], Action]) -> None:
        """The head callback at `k` ends by `answer`; then on behind it."""
        run = self.run
        status = self._head.status
        run.current = place = self.places[k]
        action = answer()
        run.current = None
        if self.recorder is not None:
            self.recorder.leave(k, action)
        if (action or run.halted) and not self.answered(k, action, HEAD):
            return
        if self._head.status == status or self._status_allowed(place):
            self.walk_head(k + 1)

    def _status_allowed(self, place: Place) -> bool:
        """A filter may not make a response informational, a tunnel, or a number nobody knows."""
        status = self._head.status
        if 200 <= status <= 599:
            return True
        error = FilterError(f"the filter set status {status}", place.bound.name)
        error.status = 500
        self.run.fail(error, place.position, place.bound.name)
        return False

    def head_is_at(self, place: Place) -> bool:
        return not self.head_left and not self.closed and self.index(place) == self._at

    def index(self, place: Place) -> int:
        return len(self.places) - 1 - place.position

    def message(self) -> ResponseHead:
        return self._head

    def switch_source(self, pause: bool) -> None:
        self.source_paused = pause
        if pause:
            self.run.host.pause_response_source()
        else:
            self.run.host.resume_response_source()

    def _ask_data(self, asked: Filter, size: int, end: bool) -> Action:
        return asked.response_data(size, end)

    def _ask_trailers(self, asked: Filter) -> Action:
        return asked.response_trailers()

    def _trailers_of(self, place: Place) -> Fields | None:
        return place.response_trailers

    def _set_trailers(self, place: Place, fields: Fields) -> None:
        place.response_trailers = fields

    def _let_data_out(self, data: bytes, end: bool) -> None:
        self.run.host.forward_response_data(data, end)

    def _let_trailers_out(self, fields: Fields) -> None:
        self.run.host.forward_response_trailers(fields)


class TunnelWalk(ResponseWalk):
    """A 101: filters see its head; what the tunnel carries is no body, and passes them by."""

    __slots__ = ()

    wants_data = 0
    wants_trailers = 0
