"""Says when an access log loses lines, and when it takes them again: the one place is edge's own log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final

from edge.telemetry.access_log import AccessLog

AGAIN_S: Final = 60.0
"""A disk stays full for hours: it is said at once, and then no more often than this."""

_log: Final = logging.getLogger("edge.worker")


class LostLines:
    """Looks at the access logs of a worker now and then. `clock` is monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[str, int] = {}
        """By target: lines lost when it was last said."""
        self._quiet_until = 0.0

    def look(self, logs: Mapping[str, AccessLog]) -> None:
        """Call it about once a second, with every log that is open."""
        now = self._clock()
        for target in self._known.keys() - logs.keys():
            del self._known[target]
        due = now >= self._quiet_until
        for target, log in logs.items():
            known = self._known.get(target, 0)
            if log.fault and log.dropped > known and due:
                _log.error("access log %s: %d lines lost so far: %s", target, log.dropped, log.fault)
                self._known[target] = log.dropped
                self._quiet_until = now + AGAIN_S
            elif known and not log.fault:
                _log.warning("access log %s takes lines again; %d were lost", target, log.dropped)
                self._known[target] = 0
