"""How workers of a group wake each other: an eventfd for each, made by the supervisor, never waited for."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence


class Bells:
    """`rung()` comes on the loop after anybody rang for this worker; many rings may be one call."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        worker: int,
        descriptors: Sequence[int],
        rung: Callable[[], None],
    ) -> None:
        """`descriptors` do not block, in order of the workers' numbers, and are kept."""
        self._bells = descriptors
        self._rung = rung
        self._mine = descriptors[worker]
        loop.add_reader(self._mine, self._heard)

    def ring(self, workers: Iterable[int]) -> None:
        """For workers of these numbers, this one too; any thread. A bell that rings already is enough."""
        for worker in workers:
            if worker < len(self._bells):
                try:
                    os.eventfd_write(self._bells[worker], 1)
                except BlockingIOError:
                    pass

    def _heard(self) -> None:
        try:
            os.eventfd_read(self._mine)
        except BlockingIOError:
            return
        self._rung()
