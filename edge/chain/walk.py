"""The way of one direction's events past the filters: rules that hold for both directions.

| at a place is held | data comes | trailers come | resume |
|---|---|---|---|
| nothing | the filter is asked | the filter is asked (as end of data where it wants no trailers) | - |
| the head | kept unread | kept unread | head goes on; what was kept meets this filter now |
| data | the filter is asked about all of it | the filter is asked | all of it goes on |
| trailers | (nothing can come) | (nothing can come) | data kept here, then trailers go on |
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Final

from edge.chain.filter import Action, Filter
from edge.chain.hold import DATA, HEAD, NOTHING, TRAILERS, Hold
from edge.chain.holding import Holding
from edge.chain.place import Place
from edge.errors import FilterError, FilterReset
from edge.head import Fields

_PAUSE: Final = Action.PAUSE
_REPLY: Final = Action.REPLY
_RESET: Final = Action.RESET
_FAIL: Final = Action.FAIL


class Walk(Holding):
    """One direction of a `ChainRun`.

    Every method that moves events stops, and drops the event, once `ChainRun.halted` is set:
    the exchange then takes another course.
    """

    __slots__ = ()

    # ---- what the directions do differently

    @abstractmethod
    def walk_head(self, start: int) -> None:
        """Show the head to the places from `start` on, then let it out."""

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
                replaced = self._trailers_of(place)
                fields = fields if replaced is None else replaced
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
            return self._data_goes_on(k, hold, True)
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
            # A reply that came too late, or a filter that is bypassed from now on.
            if place.record is not None and action == _REPLY:
                place.record.decision = "continue"
            return True
        if place.wished & self.bit:
            place.wished &= ~self.bit
            return True
        self._hold(k, stage)
        return False
