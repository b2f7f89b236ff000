"""Instance life: the one in use, its started spare, what happens on traps and failed starts.

Nothing here knows an ABI or a thread. `make(inline)` of the ABI host returns a started, configured
instance or raises; inline = inside an exchange (hook budget), else on the warm thread (start
budget). Times are seconds of `clock`.

| event | what follows |
|---|---|
| trap, a spare is ready | the spare is used at once, another is made on `warm` |
| trap, no spare yet | a fresh instance per exchange until `warm` delivers |
| `STORM_TRAPS` traps in `STORM_WINDOW_S` | fresh ones until `STORM_QUIET_S` pass without a trap |
| start fails | tried again after `BACKOFF_S`, doubling; after `QUARANTINE_FAILURES` once per `QUARANTINE_S` |
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Generic, Never, Protocol, TypeVar

from edge.errors import FilterUnavailable

I = TypeVar("I")  # noqa: E741
T = TypeVar("T")

STORM_TRAPS: Final = 3
STORM_WINDOW_S: Final = 10.0
STORM_QUIET_S: Final = 60.0
INLINE_RETRY_S: Final = 1.0
"""After an inline start of a shared filter failed: what needs longer than a hook is left to `warm`."""
BACKOFF_S: Final = (0.1, 5.0)
QUARANTINE_FAILURES: Final = 8
"""With the back-off above: about 16 s of trying."""
QUARANTINE_S: Final = 60.0


class Warm(Protocol):
    """Runs jobs beside the loop; `done` comes later on the loop with the result or the exception."""

    def submit(self, job: Callable[[], T], done: Callable[[T | Exception], None]) -> None: ...


class Timing(Protocol):
    """The loop's clock."""

    def clock(self) -> float: ...
    def call_later(self, delay_s: float, callback: Callable[[], None]) -> object: ...


class Life(Generic[I]):
    """The instances of one filter.

    `current` is read directly on the hot path: an instance all exchanges share, or None, and then
    `acquire` has to be asked. Whoever sees an instance trap says so with `trapped`, once for each
    instance, and never uses it again.
    """

    def __init__(
        self, name: str, make: Callable[[bool], I], warm: Warm, timing: Timing, shared: bool = True
    ) -> None:
        self.name = name
        self.current: I | None = None
        self.traps = 0
        self.starts = 0
        self.start_error = ""
        self._make = make
        self._warm = warm
        self._timing = timing
        self._shared = shared
        self._resting: I | None = None
        self._spare: I | None = None
        self._making = False
        self._retired = False
        self._failures = 0
        self._retry_at = 0.0
        self._recent: deque[float] = deque(maxlen=STORM_TRAPS)
        self._storm_until = 0.0
        self._inline_from = 0.0
        self._waiting: list[Callable[[Exception | None], None]] = []

    # Start

    def prepare(self, done: Callable[[Exception | None], None]) -> None:
        """Start the first instance on `warm`; `done` gets why it failed, or None.

        With Request isolation the instance is a trial and thrown away.
        """
        if self.current is not None or self._resting is not None:
            done(None)
            return
        self._waiting.append(done)
        self._order()

    def _order(self) -> None:
        if self._making or self._retired:
            return
        self._making = True
        self._warm.submit(lambda: self._make(False), self._made)

    def _made(self, result: I | Exception) -> None:
        self._making = False
        if self._retired:
            return
        if isinstance(result, Exception):
            self._start_failed(result)
            if self._shared:
                self._timing.call_later(max(0.0, self._retry_at - self._timing.clock()), self._order)
        else:
            self._started()
            if self._shared:
                self._take_in(result)
        self._answer(result if isinstance(result, Exception) else None)

    def _answer(self, error: Exception | None) -> None:
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done(error)

    def _take_in(self, instance: I) -> None:
        if self.current is None and self._resting is None:
            if self._in_storm():
                self._resting = instance
            else:
                self.current = instance
            self._order()
        else:
            self._spare = instance

    def _started(self) -> None:
        self.starts += 1
        self._failures = 0
        self._retry_at = 0.0
        self.start_error = ""

    def _start_failed(self, error: Exception) -> None:
        self._failures += 1
        self.start_error = str(error)
        first, most = BACKOFF_S
        delay = min(most, first * 2 ** min(self._failures - 1, 10))
        if self._failures >= QUARANTINE_FAILURES:
            delay = QUARANTINE_S
        self._retry_at = self._timing.clock() + delay

    # Use

    def acquire(self) -> I | FilterUnavailable:
        """An instance for one exchange, when `current` is None."""
        if self._retired:
            return FilterUnavailable("the filter is retired", self.name)
        if self._resting is not None and not self._in_storm():
            self.current, self._resting = self._resting, None
        if self.current is not None:
            return self.current
        return self._fresh()

    def keeps(self, instance: I) -> bool:
        """Whether `instance` outlives the exchange it was acquired for; a fresh one does not."""
        return instance is self.current or instance is self._resting

    def _fresh(self) -> I | FilterUnavailable:
        if self._timing.clock() < max(self._retry_at, self._inline_from):
            return self._fallback()
        try:
            instance = self._make(True)
        except Exception as error:
            if self._shared:
                self._inline_from = self._timing.clock() + INLINE_RETRY_S
                self.start_error = str(error)
            else:
                self._start_failed(error)
            return self._fallback()
        self._started()
        return instance

    def _fallback(self) -> I | FilterUnavailable:
        if self._resting is not None:
            return self._resting
        return FilterUnavailable(f"no instance could be started: {self.start_error}", self.name)

    def _in_storm(self) -> bool:
        return self._timing.clock() < self._storm_until

    # End

    def trapped(self, instance: I) -> None:
        """`instance` trapped in an exchange and is dead. Fresh ones count, too."""
        self.traps += 1
        now = self._timing.clock()
        self._note_trap(now)
        if instance is self.current:
            self.current = None
        elif instance is self._resting:
            self._resting = None
        elif instance is self._spare:
            self._spare = None
        if not self._shared or self._retired:
            return
        if now < self._storm_until and self.current is not None:
            self.current, self._resting = None, self.current
        if self.current is None and self._resting is None and self._spare is not None:
            spare, self._spare = self._spare, None
            self._take_in(spare)
        elif self._spare is None:
            self._order()

    def _note_trap(self, now: float) -> None:
        recent = self._recent
        recent.append(now)
        storm = len(recent) == STORM_TRAPS and now - recent[0] <= STORM_WINDOW_S
        if storm or now < self._storm_until:
            self._storm_until = now + STORM_QUIET_S

    @property
    def state(self) -> str:
        """`ready`, `storm`, `starting`, `backoff`, `quarantine` or `retired`, for people."""
        if self._retired:
            return "retired"
        if self._failures >= QUARANTINE_FAILURES:
            return "quarantine"
        if self._failures:
            return "backoff"
        if self._in_storm():
            return "storm"
        return "ready" if self.current is not None or not self._shared else "starting"

    def retire(self) -> None:
        """No new exchange will come. Those under way keep their instance while they need it."""
        self._retired = True
        self.current = self._resting = self._spare = None
        # These lead to whoever has this life: let go, or only the collector would free both.
        self._make = _no_more
        self._warm = _NOWHERE
        self._answer(FilterUnavailable("the filter is retired", self.name))


def _no_more(inline: bool) -> Never:
    raise FilterUnavailable("the filter is retired")


class _Nowhere:
    """The warm thread of a life that is over."""

    def submit(self, job: Callable[[], T], done: Callable[[T | Exception], None]) -> None:
        return


_NOWHERE: Final = _Nowhere()
