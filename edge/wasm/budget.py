"""CPU budgets without a clock on the hot path.

Every Store's epoch deadline is one tick away and leads to a callback here. The callback compares
the thread's CPU time with the budget of the call under way (and wall time with a long one) and
extends tick by tick, so that a busy neighbour on the core does not kill an innocent guest.

All a call has to do is add one to `Budget.call`. The callback notes the CPU time at the first
tick under a new number, so a call's budget starts up to one tick late.
"""

from __future__ import annotations

from collections.abc import Callable
from ctypes import addressof, c_void_p, cast
from itertools import count
from time import monotonic_ns, thread_time_ns
from typing import Any, Final

from edge.wasm import raw
from edge.wasm.ticker import ticker

NS: Final = 1_000_000_000
START_CPU_NS: Final = 1 * NS
START_WALL_NS: Final = 10 * NS
CALL_CPU_NS: Final = NS // 100
REQUEST_CPU_NS: Final = NS // 20
SAMPLED: Final = 64
"""One call in this many is timed, for the account only; budgets are kept by the ticks."""
UNTIMED: Final = SAMPLED - 1
"""Calls whose number has any of these bits are not."""
WALL_FACTOR: Final = 10
WALL_LEAST_NS: Final = 2 * NS
"""A guest may be off the CPU: it cannot go there by itself, but neighbours and a machine that stalls can
put it there. More than that, and more than nine tenths of the time, is no accident any more."""

_keys = count(1)
_budgets: dict[int, Budget] = {}


class Budget:
    """The budget of one Store. Used by the thread that has the Store, and by nobody else.

    A new one is for starting: all calls together may use `START_CPU_NS`, until `serve`. From then
    on each call has a budget of its own, and `call` must change before every call from outside.
    `used_ns` is what the callback has measured of the call under way or just ended: 0 unless it saw
    a second tick. `exceeded` stays set.
    """

    __slots__ = (
        "__weakref__",
        "_cpu_start",
        "_noted",
        "_together",
        "_wall_start",
        "call",
        "call_ns",
        "exceeded",
        "key",
        "limit_ns",
        "request_ns",
        "spent_ns",
        "turn",
        "used_ns",
        "wall_ns",
    )

    def __init__(self, call_ns: int = CALL_CPU_NS, request_ns: int = REQUEST_CPU_NS) -> None:
        self.call_ns = call_ns
        self.request_ns = request_ns
        self.call = 1
        self.turn: memoryview | None = None
        """Where several guests take turns in one call from outside: whose turn it is. Each has a budget."""
        self._noted = 0
        self._together = True
        self._cpu_start = 0
        self._wall_start = 0
        self.used_ns = 0
        self.spent_ns = 0
        """CPU time of all calls so far: measured where a tick was seen, else from one call in 64."""
        self.exceeded = False
        self.limit_ns = START_CPU_NS
        self.wall_ns = START_WALL_NS
        self.key = next(_keys)
        _budgets[self.key] = self

    def allow(self, cpu_ns: int, wall_ns: int) -> None:
        """Set what each following call (while starting: all of them together) may use."""
        self.limit_ns = cpu_ns
        self.wall_ns = wall_ns

    def serve(self) -> None:
        """From now on each call has the budget of a hook."""
        self._together = False
        self.allow(self.call_ns, _wall_ns(self.call_ns))

    def start_inline(self) -> None:
        """Before a start inside an exchange: all its calls together have the budget of one hook."""
        self.allow(self.call_ns, _wall_ns(self.call_ns))

    def charge(self, spent_ns: int) -> None:
        """Bound the following calls by what `spent_ns` leaves of the request's budget, too.

        For exchanges that were charged something before; `serve` undoes it.
        """
        left = max(0, min(self.call_ns, self.request_ns - spent_ns))
        self.allow(left, _wall_ns(max(left, self.call_ns)))

    def take_used(self) -> int:
        """What was measured of the call just ended (while starting: of all so far), in ns, once.

        0 if `used_ns` is left from an earlier call.
        """
        used, self.used_ns = self.used_ns, 0
        if not self._together and self._noted != self._number():
            return 0
        self.spent_ns += used
        return used

    def timed(self, call: Callable[[], int]) -> int:
        """Make a call that stands for `SAMPLED` of its kind in `spent_ns`."""
        began = thread_time_ns()
        error = call()
        if not self.used_ns:
            self.spent_ns += (thread_time_ns() - began) * SAMPLED
        return error

    def _number(self) -> int:
        """Changes with every call, and with every turn in it."""
        turn = self.turn
        return self.call if turn is None else self.call << 8 | turn[0]

    def release(self) -> None:
        """The Store is gone."""
        _budgets.pop(self.key, None)

    def over(self) -> bool:
        """At a tick: whether the call under way has to end."""
        cpu = thread_time_ns()
        number = self._number()
        if self._noted != number and not (self._together and self._noted):
            self._noted = number
            self._cpu_start = cpu
            self._wall_start = monotonic_ns()
            self.used_ns = 0
            self.exceeded = self.limit_ns <= 0
            return self.exceeded
        ticker.hurry()
        self.used_ns = cpu - self._cpu_start
        self.exceeded = self.used_ns >= self.limit_ns or monotonic_ns() - self._wall_start >= self.wall_ns
        return self.exceeded


def _wall_ns(cpu_ns: int) -> int:
    return max(cpu_ns * WALL_FACTOR, WALL_LEAST_NS)


def _on_tick(_context: int | None, key: int | None, ticks: Any, kind: Any) -> int:
    """Never raises: the engine would read garbage as an error pointer."""
    try:
        ticker.seen()
        budget = _budgets.get(key or 0)
        if budget is None or budget.over():
            return raw.error_new(b"cpu budget used up") or 0
        ticks[0] = 1
        kind[0] = 0
    except BaseException:
        return raw.error_new(b"cpu budget: the tick could not be handled") or 0
    return 0


_callback = raw.EpochCallback(_on_tick)
_CALLBACK: Final = cast(_callback, c_void_p).value or 0
assert addressof(_callback)


def watch(store: int, context: int, budget: Budget) -> None:
    """Put `budget` in charge of a native store. Its first call leads to the callback at once."""
    raw.store_epoch_callback(store, _CALLBACK, budget.key, None)
    raw.set_epoch_deadline(context, 0)
