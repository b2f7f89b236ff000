"""Whether one endpoint is well, by the results of its probes. Sans-io."""

from __future__ import annotations

from enum import Enum

from edge.control.discovery.spec import Check


class State(Enum):
    UNKNOWN = "unknown"
    """Not probed yet: it is used, so that a new endpoint need not wait for its first probe."""
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class Wellness:
    """The first result decides at once; later ones need `healthy_threshold` or
    `unhealthy_threshold` in a row.
    """

    __slots__ = ("_healthy_threshold", "_row", "_unhealthy_threshold", "reason", "state")

    def __init__(self, check: Check) -> None:
        self._healthy_threshold = check.healthy_threshold
        self._unhealthy_threshold = check.unhealthy_threshold
        self._row = 0
        """Results in a row that contradict `state`."""
        self.state = State.UNKNOWN
        self.reason = ""
        """What the last failed probe said, empty after one that passed."""

    def passed(self) -> bool:
        """A probe passed; whether the state changed."""
        self.reason = ""
        return self._result(State.HEALTHY, self._healthy_threshold)

    def failed(self, reason: str) -> bool:
        """A probe failed; whether the state changed."""
        self.reason = reason
        return self._result(State.UNHEALTHY, self._unhealthy_threshold)

    def _result(self, state: State, threshold: int) -> bool:
        if state is self.state:
            self._row = 0
            return False
        self._row += 1
        if self.state is not State.UNKNOWN and self._row < threshold:
            return False
        self._row = 0
        self.state = state
        return True
