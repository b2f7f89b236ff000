"""Who may connect: what a worker has room for, in all and for one address, and how full it is."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final

from edge.errors import LimitExceeded
from edge.model import Limits

EASE: Final = 0
STRAINED: Final = 1
"""Connections are let go after the request under way."""
OVERLOADED: Final = 2
"""New requests are answered 503, new connections are turned away."""


class Admission:
    """Shared by all listeners of a worker. Limits are of the whole group: each worker has its part.

    `level` is EASE, STRAINED or OVERLOADED, set by who watches the machine.
    """

    __slots__ = ("_by_address", "_workers", "level", "total")

    def __init__(self, workers: int = 1) -> None:
        self._workers = workers
        self._by_address: dict[str, int] = {}
        self.total = 0
        self.level = EASE

    def refusal(self, host: str, limits: Limits) -> LimitExceeded | None:
        """Why a connection from `host` cannot be taken now. Status 0: the client is told nothing."""
        if self.level == OVERLOADED:
            return LimitExceeded("overloaded", 0)
        if self.total >= self._part(limits.max_connections):
            return LimitExceeded("too many connections", 0)
        most = limits.max_connections_per_address
        if most and self._by_address.get(network(host), 0) >= self._part(most):
            return LimitExceeded("too many connections of one address", 0)
        return None

    def enter(self, host: str) -> None:
        """A connection from `host` stands."""
        key = network(host)
        self.total += 1
        self._by_address[key] = self._by_address.get(key, 0) + 1

    def leave(self, host: str) -> None:
        """It is gone."""
        key = network(host)
        self.total -= 1
        left = self._by_address[key] - 1
        if left:
            self._by_address[key] = left
        else:
            del self._by_address[key]

    def _part(self, limit: int) -> int:
        return -(-limit // self._workers)


@lru_cache(maxsize=1024)
def network(host: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 that one IPv6 customer has at least."""
    if ":" not in host:
        return host
    address = IPv6Address(host.partition("%")[0])
    mapped = address.ipv4_mapped
    return str(mapped) if mapped is not None else address.packed[:8].hex()
