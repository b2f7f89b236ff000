"""The workers of one group: started, kept and moved from revision to revision together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from edge import model, wire
from edge.control.group import Group
from edge.control.handover import Revision
from edge.control.keeper import CRASHES_LIMIT, Keeper, State
from edge.control.tickets import TicketKeys


class Fleet:
    """N keepers. `ended` resolves to None after a drain, else to why the workers cannot be kept alive.

    A new revision: `prepare`, and when nobody refused `activate`. One at a time; the caller keeps
    descriptors and sockets of a revision open until another one was activated, or this one aborted.
    """

    def __init__(
        self,
        count: int,
        revision: Revision,
        on_message: Callable[[wire.Up], None],
        on_exit: Callable[[int], None] | None = None,
    ) -> None:
        """`revision.bound` has `count` sockets for each address."""
        self.revision = revision
        self._group = Group(count)
        tickets = TicketKeys(asyncio.get_running_loop().call_later, self.share)
        self._group.greeting.append(tickets.message)
        self.keepers = [Keeper(number, revision, on_message, on_exit, self._group) for number in range(count)]
        self.ended: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._has_served = False
        self._reason: str | None = None
        for keeper in self.keepers:
            keeper.needed = self._others_serve
            keeper.ended.add_done_callback(self._keeper_ended)

    def start(self) -> None:
        """Every worker, with the revision."""
        for keeper in self.keepers:
            keeper.start()

    async def served(self) -> None:
        """Until every worker has served."""
        for keeper in self.keepers:
            await keeper.ready.wait()
        self._has_served = True

    @property
    def ready(self) -> bool:
        """Every worker has served, and one does now: connections of a dead one wait for the next."""
        return self._has_served and any(keeper.state is State.SERVING for keeper in self.keepers)

    @property
    def restarts(self) -> int:
        return sum(keeper.restarts for keeper in self.keepers)

    def introduce(self, about: Callable[[model.Model], Sequence[wire.Down]]) -> None:
        """Tell every worker `about(model)` before it serves it."""
        for keeper in self.keepers:
            keeper.handover.introduce = about

    def tell(self, message: wire.Down) -> None:
        """To all that serve."""
        for keeper in self.keepers:
            if keeper.state is State.SERVING:
                keeper.tell(message)

    # ---- revisions

    async def prepare(self, revision: Revision) -> list[str]:
        """Get it ready in every worker beside what is served. Refusals, each once; [] = `activate` it.

        Answered when every worker has answered, one that died meanwhile included. Whatever goes
        wrong, the caller's cancellation too, has been aborted everywhere.
        """
        answers = [keeper.handover.propose(revision) for keeper in self.keepers]
        try:
            answered = await asyncio.gather(*answers)
        except asyncio.CancelledError:
            self.abort()
            raise
        refusals = list(dict.fromkeys(error for errors in answered for error in errors))
        if refusals:
            self.abort()
        return refusals

    def activate(self, revision: Revision) -> None:
        """Serve it; workers that are gone get it when they are back."""
        self.revision = revision
        for keeper in self.keepers:
            keeper.handover.adopt(revision)
        self._group.areas.keep(revision.model)

    def abort(self) -> None:
        """Forget what was prepared."""
        for keeper in self.keepers:
            keeper.handover.withdraw()

    def amend(self, revision: Revision, messages: Sequence[wire.Down]) -> None:
        """`revision` has the number of the one that is served; `messages` say what is different."""
        self.revision = revision
        for keeper in self.keepers:
            keeper.handover.amend(revision, messages)

    # ---- the end

    def drain(self, grace_s: float) -> None:
        """Let all finish what runs; they are killed one second after `grace_s`."""
        for keeper in self.keepers:
            keeper.drain(grace_s)

    def kill(self) -> None:
        """Now, whatever they do."""
        for keeper in self.keepers:
            keeper.kill()

    def share(self, message: wire.Down) -> None:
        """To all, and in place of the last one of its kind to those that come."""
        others = [each for each in self._group.greeting if type(each) is not type(message)]
        self._group.greeting[:] = [*others, message]
        for keeper in self.keepers:
            keeper.tell(message)

    def _others_serve(self) -> bool:
        return any(
            keeper.state is State.SERVING and keeper.crashes < CRASHES_LIMIT for keeper in self.keepers
        )

    def _keeper_ended(self, ended: asyncio.Future[str | None]) -> None:
        reason = None if ended.cancelled() else ended.result()
        if reason is not None and self._reason is None:
            self._reason = reason
            self.drain(0)  # what one worker cannot serve the others cannot either
        if not self.ended.done() and all(keeper.ended.done() for keeper in self.keepers):
            self._group.close()
            self.ended.set_result(self._reason)
