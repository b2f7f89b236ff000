"""Waiting for a condition with a deadline far beyond what is typical."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic


def until(condition: Callable[[], bool], timeout_s: float = 60.0) -> bool:
    """True as soon as `condition` holds, False after `timeout_s`."""
    pause = threading.Event()
    end = monotonic() + timeout_s
    while not condition():
        if monotonic() > end:
            return False
        pause.wait(0.002)
    return True
