"""Which revision a worker serves, which it is getting ready, and what it has been told of both.

| the worker is | `propose` | `adopt` | `withdraw` |
|---|---|---|---|
| waiting, starting | kept; Prepare goes out once it serves | it starts with it, or gets it next | forgotten |
| serving | Prepare; its answer is the answer | Activate if prepared, else Prepare and then Activate | Abort |
| gone while it prepared | asked once more when it is back, then refused | as waiting | forgotten |
| gone, and not back in time | not asked: it has no say | it starts with that one | forgotten |

A worker that comes back always gets the revision that was adopted last. One that dies again and again
must not stand in the way of the revision that may mend it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from edge import model, wire
from edge.control.shared_areas import SharedAreas
from edge.control.sockets import Bound

PREPARE_LIMIT_S = 60.0
"""From a proposal to its answer."""
ABSENT_S = 5.0
"""A worker that died is waited for so long before a proposal goes on without it."""
TRIES = 2
"""A worker may die this often over a proposal before the proposal is blamed."""

Send = Callable[[wire.Down, Sequence[int]], None]


def _nothing(made: model.Model) -> Sequence[wire.Down]:
    return ()


@dataclass(frozen=True, slots=True)
class Revision:
    """What workers are to serve. Its owner keeps descriptors and sockets open while any keeper has it."""

    model: model.Model
    descriptors: Sequence[int]
    bound: Sequence[Bound] = ()

    @property
    def number(self) -> int:
        return self.model.revision


class Handover:
    """One for each keeper. `serving` is the number of the revision that the present process serves."""

    def __init__(self, worker: int, wanted: Revision, areas: SharedAreas) -> None:
        self.wanted = wanted
        self._areas = areas
        self.introduce: Callable[[model.Model], Sequence[wire.Down]] = _nothing
        """What a worker is told of a revision between its Prepared and Activate."""
        self.serving: int | None = None
        self._worker = worker
        self._send: Send | None = None
        self._next: Revision | None = None
        self._answer: asyncio.Future[list[str]] | None = None
        self._unanswered: set[int] = set()
        self._ready: set[int] = set()
        self._deaths = 0
        self._died = False
        """Since it served the last time."""
        self._timer: asyncio.TimerHandle | None = None
        self._amendments: list[wire.Down] = []

    # ---- the process

    def begin(self, send: Send) -> None:
        """A new process takes messages by `send`. Raises FrameError when the revision cannot be sent."""
        self._send = send
        self._prepare(self.wanted)

    def end(self) -> None:
        """The process is gone."""
        lost = self._unanswered
        self._died = True
        self._send = self.serving = None
        self._amendments = []
        self._unanswered, self._ready = set(), set()
        if self._next is not None and self._next.number in lost:
            self._deaths += 1
            if self._deaths >= TRIES:
                self._refuse(f"worker {self._worker} died {TRIES} times while it prepared")
        if self._next is not None:
            self._wait_for_it(self._next)

    def expects(self, number: int) -> bool:
        """Whether the process was asked about this revision and has not answered."""
        return number in self._unanswered

    def prepared(self, number: int) -> None:
        """The process is ready to serve a revision it was asked about."""
        self._unanswered.discard(number)
        proposed = self._next
        if number == self.wanted.number:
            self._activate(number)
            if proposed is not None and proposed.number not in self._unanswered:
                self._offer(proposed)
        elif proposed is not None and number == proposed.number:
            self._ready.add(number)
            self._resolve([])
        else:
            self._tell(wire.Abort(number))

    def refused(self, number: int, errors: list[str]) -> bool:
        """The process cannot serve it. Whether that was the revision it must serve."""
        self._unanswered.discard(number)
        if self._next is not None and number == self._next.number:
            self._next = None
            self._resolve(errors)
        return number == self.wanted.number

    # ---- the fleet

    def propose(self, revision: Revision) -> asyncio.Future[list[str]]:
        """Get it ready beside what is served; resolves to why not, [] = prepared. One at a time."""
        loop = asyncio.get_running_loop()
        self.withdraw()
        self._next = revision
        self._deaths = 0
        answer = self._answer = loop.create_future()
        self._timer = loop.call_later(PREPARE_LIMIT_S, self._late)
        if self.serving is not None:
            self._offer(revision)
        else:
            self._wait_for_it(revision)
        return answer

    def withdraw(self) -> None:
        """Forget what was proposed."""
        proposed, self._next = self._next, None
        if proposed is not None and proposed.number in self._ready:
            self._ready.discard(proposed.number)
            self._tell(wire.Abort(proposed.number))
        self._resolve(["it was withdrawn"])

    def adopt(self, revision: Revision) -> None:
        """Serve it from now on; what `propose` got ready, usually."""
        self.wanted = revision
        self._next = None
        self._resolve([])
        if revision.number in self._ready:
            self._ready.discard(revision.number)
            self._activate(revision.number)
        elif self._send is not None and revision.number not in self._unanswered:
            self._prepare(revision)

    # ----

    def amend(self, revision: Revision, messages: Sequence[wire.Down]) -> None:
        """What is served has changed in what makes no new revision: `messages` say so to a worker that
        has it already, `revision`, of the same number, is for those to come.
        """
        self.wanted = revision
        if self.serving == revision.number:
            for message in messages:
                self._tell(message)
        elif self._send is not None:
            self._amendments += messages

    def _wait_for_it(self, proposed: Revision) -> None:
        asyncio.get_running_loop().call_later(ABSENT_S, self._go_on_without, proposed)

    def _go_on_without(self, proposed: Revision) -> None:
        """If it died, has not been back for so long, and is waited for still."""
        if self._next is proposed and self._died and self.serving is None:
            self._resolve([])

    def _offer(self, revision: Revision) -> None:
        try:
            self._prepare(revision)
        except wire.FrameError as error:
            self._refuse(str(error))

    def _prepare(self, revision: Revision) -> None:
        sockets = [bound.sockets[self._worker].fileno() for bound in revision.bound]
        areas = self._areas.of(revision.model)
        descriptors = [*revision.descriptors, *(area.descriptor for area in areas), *sockets]
        if len(descriptors) > wire.DESCRIPTORS_LIMIT:
            needed = f"{len(descriptors)} descriptors of modules, vm ids and sockets"
            raise wire.FrameError(f"{needed}, the limit is {wire.DESCRIPTORS_LIMIT}")
        names = [bound.name for bound in revision.bound]
        shared = [(area.vm_id, area.number) for area in areas]
        try:
            made = self._tell_routes(revision.model)
            self._tell(wire.Prepare(revision.number, made, names, shared), descriptors)
        except wire.FrameError:
            self._tell(wire.Abort(revision.number))  # some of its routes may have gone ahead
            raise
        self._unanswered.add(revision.number)

    def _tell_routes(self, made: model.Model) -> model.Model:
        """All but the last part go ahead; what is left of the model."""
        at_once = wire.ROUTES_AT_ONCE
        if len(made.routes) <= at_once:
            return made
        *parts, last = [made.routes[at : at + at_once] for at in range(0, len(made.routes), at_once)]
        for part in parts:
            self._tell(wire.Routes(made.revision, part))
        return msgspec.structs.replace(made, routes=last)

    def _activate(self, number: int) -> None:
        for message in self.introduce(self.wanted.model):
            self._tell(message)
        self._tell(wire.Activate(number))
        self.serving = number
        self._died = False
        for message in self._amendments:
            self._tell(message)
        self._amendments = []

    def _tell(self, message: wire.Down, descriptors: Sequence[int] = ()) -> None:
        if self._send is not None:
            self._send(message, descriptors)

    def _late(self) -> None:
        self._refuse(f"worker {self._worker} did not prepare it in {PREPARE_LIMIT_S:.0f} s")

    def _refuse(self, reason: str) -> None:
        self._next = None
        self._resolve([reason])

    def _resolve(self, errors: list[str]) -> None:
        answer, self._answer = self._answer, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if answer is not None and not answer.done():
            answer.set_result(errors)
