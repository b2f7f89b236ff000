"""A general run that goes on where an express run leaves off: the same walks, put where they would be."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edge.chain.filter import Action, Filter
from edge.chain.hold import HEAD
from edge.chain.place import Place
from edge.chain.request import RequestWalk
from edge.chain.response import ResponseWalk
from edge.chain.run import ChainRun
from edge.chain.walk import Walk
from edge.head import RequestHead, ResponseHead


class AdoptedRun(ChainRun):
    """A `ChainRun` over filters that are open already.

    `adopt_*` say what has happened; `end_*_callback` takes up the answer of the one callback that
    the express run could not deal with. On sampled exchanges `records` is set before them.
    """

    __slots__ = ()

    def adopt_request(
        self, head: RequestHead, end: bool, whole: bool, filters: Sequence[Filter], waits: Sequence[int]
    ) -> list[Place]:
        """The first filters of the chain have been opened and asked about `head`, which has not left yet."""
        self._request = walk = RequestWalk(self, head, end)
        walk.whole = whole
        for (bound, phases), opened, waiting in zip(self.plan.steps, filters, waits, strict=False):
            place = Place(self, bound, phases, len(walk.places), head)
            place.filter = opened
            place.waits = waiting
            walk.places.append(place)
            walk.holds.append(None)
        walk.skip(len(filters))
        self._take_records(walk)
        return walk.places

    def adopt_request_left(self) -> None:
        """The request's head has gone upstream, and all that came after it."""
        walk = self._request
        assert walk is not None
        walk.head_left = self.request_head_left = True
        walk.ended = walk.whole

    def adopt_response(self, head: ResponseHead, end: bool, whole: bool) -> None:
        """The response's head has gone to the client, and all that came after it."""
        walk = self._begin_response(head, end, len(self.plan) - 1)
        walk.head_left = True
        walk.whole = walk.ended = whole

    def _begin_response(self, head: ResponseHead, end: bool, asked: int) -> ResponseWalk:
        request = self._request
        assert request is not None
        self._response = walk = ResponseWalk(self, request.places[::-1], head, end)
        for place in walk.places[: asked + 1]:
            place.response = head
        walk.go_to(asked)
        self._take_records(walk)
        return walk

    def _take_records(self, walk: Walk) -> None:
        """Of what was recorded so far, `walk` goes on with its own."""
        recorder = walk.recorder
        if recorder is not None:
            own = {record.position: record for record in self.records if record.direction is walk.direction}
            for place in walk.places:
                if place.position in own:
                    recorder.adopt(walk.index(place), own[place.position])

    def begin(self, busy: bool) -> None:
        """`busy`: the host is being called, what it brings meanwhile waits for `go_on`."""
        self._busy = busy

    def go_on(self) -> None:
        """Take up what waits."""
        if self.unsettled:
            self._settle()
        self._busy = False

    def end_request_callback(self, answer: Callable[[], Action]) -> None:
        """`answer` ends the request head callback of the last filter adopted, and says what it gave."""
        walk = self._request
        assert walk is not None
        self._busy = True
        k = len(walk.places) - 1
        self.current = walk.places[k]
        action = answer()
        self.current = None
        if walk.recorder is not None:
            walk.recorder.leave(k, action)
        if not (action or self.halted) or walk.answered(k, action, HEAD):
            walk.walk_head(k + 1)
        self.go_on()

    def end_response_callback(
        self, head: ResponseHead, end: bool, slot: int, answer: Callable[[], Action]
    ) -> None:
        """The same for the response head callback of filter `slot`; those behind it have continued."""
        self._busy = True
        k = len(self.plan) - 1 - slot
        walk = self._begin_response(head, end, k)
        walk.take_answer(k, answer)
        self.go_on()
