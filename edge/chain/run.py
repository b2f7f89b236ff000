"""One exchange's run through its filter chain: what comes in, and what the filters decide.

Events are walked past the filters by plain calls (`walk`); whatever needs the slow road is noted
(`unsettled`) and worked off when that walk is over, so that no callback is ever entered
from inside another: verdicts first, then resumes, then what the host brought meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable

from edge.chain.course import Course
from edge.chain.filter import BoundFilter, LocalReply
from edge.chain.host import ChainHost
from edge.chain.place import Place
from edge.chain.plan import ChainPlan
from edge.chain.request import RequestWalk
from edge.chain.response import SWITCHING, ResponseWalk, TunnelWalk
from edge.chain.verdict import ALL, Failed, Replied, Reset, message_of
from edge.chain.walk import Walk
from edge.head import Fields, RequestHead, ResponseHead


class ChainRun(Course):
    """The chain of one exchange. The host calls the entries below; see `ChainHost` for its side.

    `records` is filled on sampled exchanges only. `failure` is what ended the exchange, if the
    chain or a filter did. `request_head_left` says that the head is on its way upstream.
    """

    __slots__ = ("_done", "_told")

    def __init__(
        self,
        filters: tuple[BoundFilter, ...],
        host: ChainHost,
        sampled: bool,
        clock_ns: Callable[[], int],
    ) -> None:
        plan = filters if isinstance(filters, ChainPlan) else ChainPlan(filters)
        super().__init__(plan, host, sampled, clock_ns)
        self._told = False
        self._done = False

    @property
    def flag(self) -> str:
        """For the access log; empty when nothing failed."""
        return "" if self.failure is None else self.failure.flag

    # ---- entries, in the order in which an exchange lives

    def request_head(self, head: RequestHead, end: bool) -> None:
        """The beginning; once."""
        if self._request is not None or self.ended:
            return
        self._busy = True
        self._request = walk = RequestWalk(self, head, end)
        walk.walk_head(0)
        if self.unsettled:
            self._settle()
        self._busy = False

    def request_data(self, data: bytes, end: bool) -> None:
        if self._busy or self._asked:
            self._queue(self._take_request_data, data, end)
            return
        self._busy = True
        self._take_request_data(data, end)
        if self.unsettled:
            self._settle()
        self._busy = False

    def request_trailers(self, fields: Fields) -> None:
        """Ends the request."""
        self._queue(self._take_request_trailers, fields)

    def response_head(self, head: ResponseHead, end: bool) -> None:
        """Upstream's final head. Ignored once a reply won."""
        if self._busy or self._asked:
            self._queue(self._take_response_head, head, end)
            return
        self._busy = True
        self._take_response_head(head, end)
        if self.unsettled:
            self._settle()
        self._busy = False

    def response_passes(self, head: ResponseHead) -> bool:
        """As `response_head`, of a response whose body is at hand.

        True = every filter has let it pass and wants nothing of what follows: the host sends both, and
        calls nothing but `done` any more. False = the host goes on with `response_data`.
        """
        self.response_head(head, False)
        return False

    def response_data(self, data: bytes, end: bool) -> None:
        if self._busy or self._asked:
            self._queue(self._take_response_data, data, end)
            return
        self._busy = True
        self._take_response_data(data, end)
        if self.unsettled:
            self._settle()
        self._busy = False

    def response_trailers(self, fields: Fields) -> None:
        """Ends the response."""
        self._queue(self._take_response_trailers, fields)

    def reply(self, reply: LocalReply) -> bool:
        """Edge's own answer: passes every filter whose request head ran, last to first.

        False when no answer can be given any more (the response head is out, or the run is over):
        then the host resets. True also when another reply has won already and goes out instead.
        """
        if self.unsettled and not self._busy:
            self._queue(_nothing)
        if self.ended or self._request is None or (self._response is not None and self._response.head_left):
            return False
        if self.won is None and self._verdict is None:
            self.won = reply
            self._verdict = Replied(reply, ALL)
            self.halted = True
            self._queue(_nothing)
        return True

    def pause_expired(self) -> None:
        """The time of `set_pause_deadline` has come."""
        self._queue(self._expire)

    def done(self) -> None:
        """The exchange is over: every opened filter's `done`, in request order; once."""
        if self._done:
            return
        self._done = self.ended = self.halted = True
        request = self._request
        response = self._response
        if request is not None:
            self._close(request, response)
            for place in request.places:
                if response is not None and response.head_left:
                    place.response = response.message()  # what the client got, for access logs of guests
                place.record = None  # the end belongs to neither direction
                place.filter.done()
                del place.filter
        self.gone = True
        self._let_go(request, response)

    def _let_go(self, *walks: Walk | None) -> None:
        """Leave no reference cycles: exchanges must not wait for the garbage collector."""
        for walk in walks:
            if walk is not None:
                walk.recorder = None
        self._request = self._response = self._clock = self._wishers = self._backlog = None

    # ---- what came in

    def _take_request_data(self, data: bytes, end: bool) -> None:
        walk = self._request
        if walk is None or walk.whole or not (data or end):
            return
        walk.whole = end
        walk.walk_data(0, data, end)

    def _take_request_trailers(self, fields: Fields) -> None:
        walk = self._request
        if walk is not None and not walk.whole:
            walk.whole = True
            walk.walk_trailers(0, fields)

    def _take_response_head(self, head: ResponseHead, end: bool) -> None:
        request = self._request
        if request is not None and self._response is None and self.won is None and not self.ended:
            kind = TunnelWalk if head.status == SWITCHING else ResponseWalk
            self._response = walk = kind(self, request.places[::-1], head, end)
            walk.walk_head(0)

    def _take_response_data(self, data: bytes, end: bool) -> None:
        walk = self._response
        if walk is None or walk.whole or not (data or end):
            return
        walk.whole = end
        walk.walk_data(0, data, end)

    def _take_response_trailers(self, fields: Fields) -> None:
        walk = self._response
        if walk is not None and not walk.whole:
            walk.whole = True
            walk.walk_trailers(0, fields)

    # ---- working off

    def _carry_out(self) -> None:
        verdict = self._verdict
        self._verdict = None
        self.halted = False
        out = self._response is not None and self._response.head_left
        if isinstance(verdict, Reset):
            self._reset_now(verdict)
        elif isinstance(verdict, Failed):
            self.failure = verdict.error
            if out:
                self._reset_now(Reset(verdict.error))
            else:
                self._reply_now(verdict.reply(), verdict.before)
        elif verdict is not None:
            self._reply_now(verdict.reply, verdict.before)

    def _reset_now(self, verdict: Reset) -> None:
        self.failure = verdict.error
        self.ended = self.halted = True
        self._close(self._request, self._response)
        self.host.reset_exchange(verdict.error)

    def _reply_now(self, reply: LocalReply, before: int) -> None:
        """Give up what is under way, and send `reply` the onion's way back."""
        request = self._request
        assert request is not None
        self.won = reply
        self._close(request, self._response)
        if not self._told and not self.ended:
            self._told = True
            self.host.reply_won(reply)
        if self.ended:
            return
        places = request.places[::-1] if before < 0 else request.places[:before][::-1]
        for place in places:
            place.wished &= ~ResponseWalk.bit
            place.response_trailers = None
        self._send(reply, places, request.message().method == b"HEAD")

    def _close(self, *walks: Walk | None) -> None:
        """Give up what is under way; a source paused here reads on, into nothing, if the run lives."""
        for walk in walks:
            if walk is not None:
                walk.close()
                if walk.source_paused and not self.ended:
                    walk.switch_source(False)

    def _expire(self) -> None:
        if self._clock is not None:
            self._clock.expire()

    def _send(self, reply: LocalReply, places: list[Place], to_head: bool) -> None:
        head, body = message_of(reply)
        end = not body or to_head
        self._response = walk = ResponseWalk(self, places, head, end)
        walk.whole = True
        walk.walk_head(0)
        if not end and not self.halted:
            walk.walk_data(0, body, True)


def _nothing() -> None:
    """An entry that only settles what is open."""
