"""Long work on the loop, cut into slices between which traffic goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

SLICE_S: Final = 0.003
"""How long requests may have to wait for a slice of work on tables."""


class Slices:
    """Ask `due` often, and await `turn` when it says so."""

    __slots__ = ("_clock", "_until", "turns")

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` must be exact: loops that read theirs once a turn would never see a slice end."""
        self._clock = clock
        self._until = clock() + SLICE_S
        self.turns = 0

    def due(self) -> bool:
        """Whether this slice is over."""
        return self._clock() >= self._until

    async def turn(self) -> None:
        """Let the loop do what waits, then begin the next slice."""
        await asyncio.sleep(0)
        self.turns += 1
        self._until = self._clock() + SLICE_S
