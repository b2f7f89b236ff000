"""What reloads came to: for the log, for metrics and for admin."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

KEPT: Final = 50
REASONS_LIMIT: Final = 20


class Result(Enum):
    """How a reload ended. The last four leave what runs as it is."""

    APPLIED = "applied"
    """A new revision serves."""
    CERTIFICATES = "certificates"
    """Only certificates changed; the revision stays."""
    UNCHANGED = "unchanged"
    """The files say what is served already."""
    INVALID = "invalid"
    """The file is wrong, or a file it names."""
    UNCOMPILED = "uncompiled"
    """A module cannot be run here."""
    REFUSED = "refused"
    """An address cannot be bound, or a worker cannot serve it."""
    FAILED = "failed"
    """Something around it went wrong."""


GOOD: Final = frozenset({Result.APPLIED, Result.CERTIFICATES, Result.UNCHANGED})


@dataclass(frozen=True, slots=True)
class Attempt:
    """One reload. `revision` is the number that serves afterwards; times are Unix time and seconds."""

    at: float
    why: str
    result: Result
    revision: int
    took_s: float = 0.0
    reasons: list[str] = field(default_factory=list)
    about_certificates: bool = False
    """Refused for a certificate or a key."""

    def shown(self) -> dict[str, Any]:
        """For admin."""
        return {
            "at": datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds"),
            "why": self.why,
            "result": self.result.value,
            "revision": self.revision,
            "tookSeconds": round(self.took_s, 3),
            "reasons": self.reasons[:REASONS_LIMIT],
        }


class History:
    """The latest attempts, and how many there were of each kind."""

    def __init__(self) -> None:
        self.last_success = time.time()
        self.counts: Counter[Result] = Counter()
        self.certificate_failures = 0
        self._attempts: deque[Attempt] = deque(maxlen=KEPT)

    def add(self, attempt: Attempt) -> None:
        """Attempts come in the order in which they ended."""
        self._attempts.append(attempt)
        self.counts[attempt.result] += 1
        self.certificate_failures += attempt.about_certificates
        if attempt.result in GOOD:
            self.last_success = attempt.at + attempt.took_s

    @property
    def last_error(self) -> Attempt | None:
        """The latest attempt, if it was refused."""
        last = self._attempts[-1] if self._attempts else None
        return last if last is not None and last.result not in GOOD else None

    def shown(self) -> dict[str, Any]:
        """For admin: newest first."""
        error = self.last_error
        return {
            "lastError": error.shown() if error is not None else None,
            "history": [attempt.shown() for attempt in reversed(self._attempts)],
        }

    def samples(self) -> list[tuple[str, list[tuple[str, str]], list[float]]]:
        """For metrics."""
        return [
            ("edge.config.last_success", [], [self.last_success]),
            ("edge.tls.certificate.failures", [], [float(self.certificate_failures)]),
            *(
                ("edge.config.reloads", [("result", result.value)], [float(self.counts[result])])
                for result in Result
            ),
        ]
