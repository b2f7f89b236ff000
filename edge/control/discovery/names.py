"""What is known of one name: its addresses, and when to ask again. Sans-io."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

TTL_LEAST_S: Final = 1.0
"""A TTL of 0 must not make us ask at every turn of the loop."""
RETRY_FIRST_S: Final = 1.0
RETRY_MOST_S: Final = 30.0
SPREAD: Final = 0.1
"""Look-ups come up to this share early, so that names asked together do not stay together."""


class Name:
    """Addresses outlive the server that told them: a failure keeps the last good ones (RFC 8767)."""

    __slots__ = ("_chance", "_refresh_s", "addresses", "error", "failures", "next_at")

    def __init__(self, refresh_s: float, chance: Callable[[], float]) -> None:
        """`chance` gives 0 ≤ x < 1."""
        self._refresh_s = refresh_s
        self._chance = chance
        self.addresses: list[str] | None = None
        """None until a look-up succeeded once."""
        self.error = ""
        """Why the last look-up failed, empty when it did not."""
        self.failures = 0
        self.next_at = 0.0

    @property
    def stale(self) -> bool:
        """Whether addresses are in use that the last look-up could not confirm."""
        return bool(self.failures and self.addresses)

    def found(self, addresses: list[str], ttl_s: float, now: float) -> bool:
        """A look-up succeeded; whether the set of addresses changed. Their order means nothing."""
        self.failures = 0
        self.error = ""
        wait_s = min(max(ttl_s, TTL_LEAST_S), self._refresh_s)
        self.next_at = now + wait_s * (1 - SPREAD * self._chance())
        addresses = sorted(set(addresses))
        changed = addresses != self.addresses
        self.addresses = addresses
        return changed

    def failed(self, error: str, now: float) -> bool:
        """A look-up failed; whether that is news. What was known stays."""
        news = error != self.error
        self.error = error
        wait_s = min(RETRY_FIRST_S * 2**self.failures, RETRY_MOST_S, max(self._refresh_s, TTL_LEAST_S))
        self.failures = min(self.failures + 1, 16)
        self.next_at = now + wait_s * (1 - SPREAD * self._chance())
        return news
