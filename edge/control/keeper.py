"""Keeps one worker alive; what it serves is its handover's affair.

| state | becomes | when |
|---|---|---|
| starting | serving | it answered Prepared and got Activate |
| starting, serving | waiting | it died, was silent, lied, or refused what it must serve |
| serving | serving | a revision is proposed, adopted or withdrawn (`handover`) |
| waiting | starting | the back-off is over |
| starting, serving | draining | `drain` |
| draining, waiting | ended | it is gone; or it cannot be kept alive, and then with a reason |
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from enum import Enum

from edge import wire
from edge.control.group import Group
from edge.control.handover import Handover, Revision
from edge.control.link import SupervisorLink
from edge.control.process import WorkerProcess

log = logging.getLogger("edge.supervisor")

SILENCE_LIMIT_S = 5.0
START_LIMIT_S = 60.0
"""From the start to Prepared: imports and the instances of every filter are in it."""
CHECK_PERIOD_S = 0.5
CALM_S = 10.0
"""A worker that served this long has ended the row of crashes."""
CRASHES_LIMIT = 10
BACKOFF_FIRST_S = 0.05
BACKOFF_MOST_S = 1.0

REASONS_LIMIT = 20
REASON_CHARS = 500


class State(Enum):
    STARTING = "starting"
    SERVING = "serving"
    WAITING = "waiting"
    DRAINING = "draining"
    ENDED = "ended"


class Keeper:
    """`ready` is set while the worker serves. `ended` resolves to None after a drain, or to the
    reason why the worker cannot be kept alive. `on_exit(number)` hears of every death.

    Every process is told of its `group` before its first revision. A keeper whose processes keep
    dying asks `needed` whether others serve: while they do it goes on trying, as traffic goes on.
    """

    def __init__(
        self,
        number: int,
        revision: Revision,
        on_message: Callable[[wire.Up], None],
        on_exit: Callable[[int], None] | None = None,
        group: Group | None = None,
    ) -> None:
        self.number = number
        self.state = State.WAITING
        self.restarts = 0
        self.crashes = 0
        """In a row, without calm between them."""
        self.health: wire.Health | None = None
        self.ready = asyncio.Event()
        self._group = group if group is not None else Group(1)
        self.handover = Handover(number, revision, self._group.areas)
        self.needed: Callable[[], bool] = bool
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[str | None] = self._loop.create_future()
        self._on_message = on_message
        self._on_exit = on_exit
        self._process: WorkerProcess | None = None
        self._link: SupervisorLink | None = None
        self._refused: list[str] = []
        self._killed = False
        self._quiet_s = 0.0
        self._age_s = 0.0
        self._checked = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int:
        """Of the running worker, 0 when there is none."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start the worker and hand it the revision that was adopted last."""
        self.state = State.STARTING
        self._killed = False
        self._quiet_s = self._age_s = 0.0
        self._checked = self._loop.time()
        self._process = WorkerProcess(self.number, len(self._group.bells), self._exited)
        self._link = SupervisorLink(self._process.wire, self._received, self._wire_closed)
        self._link.send(self._group.keys, self._group.bells)
        for message in self._group.greeting:
            self._link.send(message)
        self.handover.begin(self._link.send)
        self._timer = self._loop.call_later(CHECK_PERIOD_S, self._check)

    def tell(self, message: wire.Down) -> None:
        """To the running worker; the next one hears it in its greeting, if it is there."""
        if self._link is not None and self._process is not None:
            self._link.send(message)

    def drain(self, grace_s: float) -> None:
        """Let it finish what runs; it is killed one second after `grace_s`."""
        if self.state is State.WAITING:
            self._end(None)
        elif self.state is not State.ENDED and self._link is not None:
            self.state = State.DRAINING
            self.ready.clear()
            self._link.send(wire.Drain(grace_s))
            self._loop.call_later(grace_s + 1, self.kill)

    def kill(self) -> None:
        """Now, whatever it does."""
        self._killed = True
        if self._process is not None:
            self._process.kill()
        elif self.state is not State.ENDED:
            self._end(None)

    def _received(self, message: wire.Up) -> None:
        if self._is_lie(message):
            log.error("worker %d (pid %d) spoke for another; it is killed", self.number, self.pid)
            self.kill()
            return
        self._quiet_s = 0.0
        if isinstance(message, wire.Prepared):
            self.handover.prepared(message.revision)
            if self.state is State.STARTING and self.handover.serving is not None:
                self.state = State.SERVING
                self._age_s = 0.0
                self.ready.set()
        elif isinstance(message, wire.Refused):
            errors = [_printable(error) for error in message.errors[:REASONS_LIMIT]]
            if self.handover.refused(message.revision, errors):
                self._refused = errors
                self.kill()
        elif isinstance(message, wire.Health):
            self.health = message
        else:
            self._on_message(message)

    def _is_lie(self, message: wire.Up) -> bool:
        """What names another worker or revision: tables kept by number must not grow by it."""
        if isinstance(message, wire.Health | wire.Counters):
            return message.worker != self.number
        if isinstance(message, wire.Prepared | wire.Refused):
            return not self.handover.expects(message.revision)
        return False

    def _wire_closed(self, reason: str) -> None:
        if self.state is not State.DRAINING and not self._killed:
            log.error("worker %d (pid %d): %s", self.number, self.pid, reason)
            self.kill()

    def _check(self) -> None:
        # Time counts at most twice the period a turn: when this process itself stood still
        # (a suspended machine), the worker is not to blame.
        now = self._loop.time()
        passed = min(now - self._checked, 2 * CHECK_PERIOD_S)
        self._checked = now
        self._quiet_s += passed
        self._age_s += passed
        starting = self.state is State.STARTING
        if (
            self._quiet_s > (START_LIMIT_S if starting else SILENCE_LIMIT_S)
            and self.state is not State.DRAINING
        ):
            log.error("worker %d (pid %d) is silent; it is killed", self.number, self.pid)
            self.kill()
        elif starting and self._age_s > START_LIMIT_S:
            log.error("worker %d (pid %d) did not prepare in %.0f s", self.number, self.pid, START_LIMIT_S)
            self.kill()
        elif self.state is State.SERVING and self._age_s > CALM_S:
            self.crashes = 0
        self._timer = self._loop.call_later(CHECK_PERIOD_S, self._check)

    def _exited(self, code: int) -> None:
        state, self.state = self.state, State.WAITING
        self.ready.clear()
        self._process = None
        self.health = None
        self.handover.end()
        if self._on_exit is not None:
            self._on_exit(self.number)
        if self._timer is not None:
            self._timer.cancel()
        if self._link is not None:
            self._link.close()
        if state is State.DRAINING:
            self._end(None)
            return
        if self._refused and self.restarts == 0:
            self._end("the worker refused the configuration: " + "; ".join(self._refused))
            return
        self.crashes += 1
        how = f"signal {-code}" if code < 0 else f"code {code}"
        if self.crashes >= CRASHES_LIMIT and not self.needed():
            self._end(f"worker {self.number} died {self.crashes} times in a row, last with {how}")
            return
        delay_s = min(BACKOFF_FIRST_S * 2 ** min(self.crashes - 1, 10), BACKOFF_MOST_S)
        log.error("worker %d ended with %s; it is started again in %.2f s", self.number, how, delay_s)
        self._loop.call_later(delay_s, self._restart)

    def _restart(self) -> None:
        if self.state is State.WAITING:
            self.restarts += 1
            self.start()

    def _end(self, reason: str | None) -> None:
        self.state = State.ENDED
        self.handover.withdraw()
        if not self.ended.done():
            self.ended.set_result(reason)


def _printable(text: str) -> str:
    """A worker's words for the terminal: bounded, without control characters."""
    return text[:REASON_CHARS].encode("unicode_escape").decode("ascii")
