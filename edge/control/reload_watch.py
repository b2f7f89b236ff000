"""Sees that files of the configuration changed: written in place, renamed over, or reached by another link.

Asked every fifth of a second, which works on every file system and for Kubernetes' ConfigMaps and
Secrets, whose files are links into a folder that is swapped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from edge.control.config.files import Files, files_now

PERIOD_S: Final = 0.2
STILL_S: Final = 0.05
"""Files that are still being written are let be until they are the same for so long."""
RESTLESS: Final = 40
"""So often; what changes without end is read as it is."""


class Watcher:
    """Calls `on_change` when a file differs from what `watch` was told, until it is told anew."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._known: Files = {}
        self._seen: Files = {}
        self._times = 0
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, files: Files) -> None:
        """From now on these, as they were when they were read; none = the same as before."""
        self.pause()
        if files:
            self._known = dict(files)
        self._seen = {}
        self._times = 0
        self._later(PERIOD_S)

    def pause(self) -> None:
        """Ask no more until `watch`: what changes meanwhile is seen then."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _later(self, delay_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._look)

    def _look(self) -> None:
        now = files_now(self._known)
        if now == self._known:
            self._seen, self._times = {}, 0
            self._later(PERIOD_S)
        elif now == self._seen or self._times >= RESTLESS:
            self._known, self._seen, self._times = now, {}, 0
            self._later(PERIOD_S)
            self._on_change()
        else:
            self._seen = now
            self._times += 1
            self._later(STILL_S)
