"""What steers a run: verdicts and wishes of filters, and how they are worked off after a walk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from edge.chain.filter import Direction, FilterRecord, LocalReply
from edge.chain.hold import HEAD, NOTHING, Hold
from edge.chain.holding import Holding
from edge.chain.host import ChainHost
from edge.chain.pause import PauseClock
from edge.chain.place import Place
from edge.chain.plan import ChainPlan
from edge.chain.request import RequestWalk
from edge.chain.response import ResponseWalk
from edge.chain.verdict import Failed, Replied, Reset, Verdict
from edge.chain.walk import Walk
from edge.errors import EdgeError, FilterError, FilterReset, FilterUnavailable


class Course(ABC):
    """The state of a run, and what places and walks ask of it.

    `_busy` is set while a walk or the working off is under way: whatever comes then is queued.
    `halted` tells walks to stop where they are: a verdict is out, or the run has ended.
    """

    __slots__ = ("_asked", "_backlog", "_busy", "_clock", "_request", "_response", "_verdict", "_wishers",
                 "clock_ns", "current", "ended", "failure", "gone", "halted", "host", "needed_body", "plan",
                 "records", "request_head_left", "sampled", "unsettled", "won")  # fmt: skip

    def __init__(self, plan: ChainPlan, host: ChainHost, sampled: bool, clock_ns: Callable[[], int]) -> None:
        self.plan = plan
        self.host = host
        self.sampled = sampled
        self.clock_ns = clock_ns
        self.records: Sequence[FilterRecord] = ()
        self.failure: EdgeError | None = None
        self.request_head_left = False
        self.won: LocalReply | None = None
        self.current: Place | None = None
        """Whose callback is under way."""
        self.halted = False
        self.ended = False
        self.gone = False
        """Every filter's `done` has been called."""
        self.unsettled = False
        self.needed_body = False
        self._request: RequestWalk | None = None
        self._response: ResponseWalk | None = None
        self._verdict: Verdict | None = None
        self._wishers: list[Place] | None = None
        self._backlog: list[tuple[Callable[..., None], tuple[Any, ...]]] | None = None
        self._clock: PauseClock | None = None
        self._busy = False
        self._asked = False

    @property
    def kept(self) -> Sequence[FilterRecord]:
        """As `ExpressRun.kept`."""
        return self.records

    # ---- what a place may know

    def walk_of(self, direction: Direction) -> Walk | None:
        return self._response if direction else self._request

    def hold_of(self, place: Place, direction: Direction) -> Hold | None:
        walk = self.walk_of(direction)
        if walk is None:
            return None
        k = walk.index(place)
        return walk.holds[k] if 0 <= k < len(walk.holds) else None

    def head_is_open(self, place: Place, direction: Direction) -> bool:
        walk = self.walk_of(direction)
        return walk is not None and walk.head_is_at(place)

    def trailers_may_start(self, place: Place, direction: Direction) -> bool:
        """In the last data callback, in the trailers' own, and while either is held."""
        hold = self.hold_of(place, direction)
        if hold is None or not hold.end or hold.stage == HEAD:
            return False
        return hold.stage != NOTHING or self.current is place

    def held(self) -> list[tuple[Walk, int, Hold]]:
        """Every hold there is now."""
        found: list[tuple[Walk, int, Hold]] = []
        for walk in (self._request, self._response):
            if walk is not None:
                for k, hold in enumerate(walk.holds):
                    if hold is not None and hold.stage != NOTHING:
                        found.append((walk, k, hold))
        return found

    # ---- what a place may ask for

    def wish(self, place: Place) -> None:
        """`place.wished` says what is to be resumed."""
        if not self.ended:
            if self._wishers is None:
                self._wishers = []
            self._wishers.append(place)
            self._note()

    def filter_replies(self, place: Place, reply: LocalReply) -> bool:
        """See `Port.reply`. A reply after the response head left resets the exchange."""
        if self.ended or self.won is not None or self._verdict is not None:
            return False
        name = place.bound.name
        response = self._response
        if response is not None and response.head_left:
            if not response.ended:
                self.reset(FilterReset("the filter replied when the response was under way", name))
            return False
        if not 200 <= reply.status <= 599 or len(reply.body) > self.plan.body_bytes:
            error = FilterError(f"local reply with status {reply.status}, {len(reply.body)} bytes", name)
            error.status = 500
            self.fail(error, place.position, name)
            return False
        self.won = reply
        if place.record is not None:
            place.record.decision = "local_reply"
        self._decide(Replied(reply, place.position))
        return True

    def filter_failed(self, place: Place, failure: FilterError) -> None:
        """Starting failures may be passed over where the filter says so, anything else never."""
        passed_over = place.bound.fail_open and isinstance(failure, FilterUnavailable)
        if place.record is not None and not self.ended:
            place.record.decision = "bypass" if passed_over else "trap"
            place.record.error = failure.detail
        if passed_over:
            place.phases = 0
            place.wished = 3
            self.wish(place)
        else:
            self.fail(failure, place.position, place.bound.name)

    def fail(self, error: EdgeError, before: int, name: str) -> None:
        """End by `error`, unless everything is through; overrides a reply not yet under way."""
        if not self.ended and not self._through() and not isinstance(self._verdict, Failed | Reset):
            self._verdict = None
            self._decide(Failed(error, before, name))

    def reset(self, error: EdgeError) -> None:
        """End by resetting both sides, unless something else was decided first."""
        if not self.ended and not self._through():
            self._decide(Reset(error))

    def waits_changed(self) -> None:
        if self._busy:
            self.unsettled = True
        elif not self.ended and self._clock is not None:
            self._clock.retime()

    def body_is_needed(self, walk: Holding) -> None:
        """A filter waits for the rest of a body."""
        if walk is self._request and not self.needed_body:
            self.needed_body = True
            self.host.request_needs_body()

    def add_record(self, record: FilterRecord) -> None:
        self.records = [*self.records, record]

    def _through(self) -> bool:
        request = self._request
        response = self._response
        if request is None or response is None:
            return False
        return request.ended and response.ended

    # ---- working off

    def _decide(self, verdict: Verdict) -> None:
        if self._verdict is None:
            self._verdict = verdict
            self.halted = True
            self._note()

    def _note(self) -> None:
        self.unsettled = True
        if not self._busy and not self._asked:
            self._asked = True
            self.host.call_soon(self._turn)

    def _turn(self) -> None:
        if self._asked and not self._busy and not self.ended:
            self._busy = True
            self._settle()
            self._busy = False

    def _queue(self, entry: Callable[..., None], *args: Any) -> None:
        """Take `entry` up as soon as nothing is under way, after what is still open: now, if possible."""
        if self.ended:
            return
        if self._backlog is None:
            self._backlog = []
        self._backlog.append((entry, args))
        self.unsettled = True
        if not self._busy:
            self._busy = True
            self._settle()
            self._busy = False

    def _settle(self) -> None:
        """Work off everything open. Only called with `_busy` set, and with no callback under way."""
        while self.unsettled and not self.ended:
            self.unsettled = self._asked = False
            while not self.ended:
                if self._verdict is not None:
                    self._carry_out()
                elif self._wishers:
                    self._grant(self._wishers.pop(0))
                elif self._backlog:
                    entry, args = self._backlog.pop(0)
                    entry(*args)
                else:
                    break
            for walk in (self._request, self._response):
                if walk is not None:
                    self._balance(walk)
            self._retime()

    def _balance(self, walk: Walk) -> None:
        if not self.ended and walk.source_should_wait() != walk.source_paused:
            walk.switch_source(not walk.source_paused)

    def _retime(self) -> None:
        if not self.ended:
            if self._clock is None:
                self._clock = PauseClock(self)
            self._clock.retime()

    def _grant(self, place: Place) -> None:
        """Resume what the filter asked for; the other direction waits when the first one turns."""
        for walk in (self._request, self._response):
            if walk is not None and place.wished & walk.bit:
                place.wished &= ~walk.bit
                k = walk.index(place)
                if 0 <= k < len(walk.holds):
                    walk.resume(k)
                if self.halted:
                    return
        place.wished = 0

    @abstractmethod
    def _carry_out(self) -> None:
        """Do what `_verdict` says."""
