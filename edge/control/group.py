"""What the workers of one group have in common, whatever revision they serve."""

from __future__ import annotations

import os
from typing import Final

from edge import wire
from edge.control.shared_areas import SharedAreas

KEY_BYTES: Final = 32


class Group:
    """Made once, so that a worker that comes back finds everything as its predecessor left it."""

    def __init__(self, workers: int) -> None:
        self.keys = wire.GroupKeys(os.urandom(KEY_BYTES), os.urandom(KEY_BYTES))
        self.bells = [os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK) for _ in range(workers)]
        """By which workers wake each other; see `edge.worker.bells`."""
        self.areas = SharedAreas()
        self.greeting: list[wire.Down] = []
        """What every new worker is told after the keys; it may change."""

    def close(self) -> None:
        """When the last worker is gone."""
        for bell in self.bells:
            os.close(bell)
        self.areas.close()
