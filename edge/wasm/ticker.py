"""The tick, from a Python thread that parks while no guest runs.

A tick costs the busy loop much more than its thread: it takes the interpreter away, twice. So it comes
every `STEADY_S`, and every `TICK_S` only while a call is seen that was under way at the tick before.

Nothing on the hot path wakes it. It parks only after `IDLE_TICKS` ticks in which no epoch callback
came, so by then every Store's deadline (one tick after its last callback) has passed, and the
first call into any Store leads to the callback, which wakes the ticker. While parked it still
ticks every `PULSE_S`, should a thread have been held up between callback and deadline.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import sleep
from typing import Final

from edge.wasm.engine import core_engine

TICK_S: Final = 0.001
STEADY_S: Final = 0.004
"""Innocent calls take microseconds. One that does not is seen this much later, and closely from then on."""
IDLE_TICKS: Final = 13
PULSE_S: Final = 0.25


class Ticker:
    """One per process; the thread starts with the first Store."""

    __slots__ = ("_active", "_lock", "_long", "_started", "_wake", "parked", "ticks")

    def __init__(self) -> None:
        self._active = False
        self._long = False
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._started = False
        self.parked = False
        self.ticks = 0

    def start(self) -> None:
        """Start the thread if it does not run. Cheap to call again."""
        if self._started:
            return
        with self._lock:
            if not self._started:
                self._started = True
                threading.Thread(target=self._run, name="edge-ticker", daemon=True).start()

    def seen(self) -> None:
        """A guest runs: called by every epoch callback."""
        self._active = True
        if self.parked:
            self._wake.set()

    def hurry(self) -> None:
        """A call is long: the next tick comes after `TICK_S`."""
        self._long = True

    def _run(self) -> None:
        increment = core_engine().increment_epoch
        idle = 0
        while True:
            long, self._long = self._long, False
            sleep(TICK_S if long else STEADY_S)
            increment()
            self.ticks += 1
            if self._active:
                self._active = False
                idle = 0
                continue
            idle += 1
            if idle >= IDLE_TICKS:
                self._park(increment)
                idle = 0

    def _park(self, increment: Callable[[], None]) -> None:
        self._wake.clear()
        self.parked = True
        # A callback sets _active before it reads parked; we write parked before we read _active.
        while not self._active and not self._wake.wait(PULSE_S):
            increment()
        self.parked = False


ticker: Final = Ticker()
