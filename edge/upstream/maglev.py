"""Consistent hashing: the same key goes to the same host, and few keys move when hosts change.

Spec: Maglev (Eisenbud et al., NSDI 2016), §3.4.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from edge.upstream.balancer import Host

PROBES_PER_HOST: Final = 16
"""Other places of the table that are looked at for each host before all hosts are."""
_NOBODY: Final = -1


def hash_bytes(data: bytes) -> int:
    """64 bits, the same in every process and on every machine."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")


class Maglev:
    """A table of `size` places, a prime number; each host has as many as its weight says.

    It holds all hosts there are, and `out` are the bits of those not to be chosen now: only the
    keys of these move, and they come back with their host.
    """

    __slots__ = ("_hosts", "_size", "_table", "out")

    def __init__(self, hosts: Sequence[Host], size: int, out: int = 0) -> None:
        self._hosts = sorted(hosts, key=lambda host: host.name)
        self._size = size
        self._table: array[int] | None = None
        """Filled by who asks first: to prepare a revision of many clusters must not hold up requests."""
        self.out = out

    @property
    def hosts(self) -> Sequence[Host]:
        """Those of the table."""
        return self._hosts

    def pick(self, tried: int, key: int) -> int:
        table = self._table
        if table is None:
            table = self._table = _fill(self._hosts, self._size)
        if not table:
            return -1
        size = self._size
        tried |= self.out
        at = key % size
        index = table[at]
        if not tried >> index & 1:
            return index
        step = 1 + (key >> 32) % (size - 1)
        for _ in range(PROBES_PER_HOST * len(self._hosts)):
            at = (at + step) % size
            index = table[at]
            if not tried >> index & 1:
                return index
        return next((host.slot for host in self._hosts if not tried >> host.slot & 1), -1)


def _fill(hosts: Sequence[Host], size: int) -> array[int]:
    """Hosts take turns, each the next free place of its own order; the heaviest takes every turn."""
    table = array("i", [_NOBODY]) * (size if hosts else 0)
    if not hosts:
        return table
    heaviest = max(host.weight for host in hosts)
    places = []
    steps = []
    for host in hosts:
        mixed = hash_bytes(host.name.encode())
        places.append((mixed & 0xFFFFFFFF) % size)
        steps.append(1 + (mixed >> 32) % (size - 1))
    credit = [0] * len(hosts)
    left = size
    while True:
        for number, host in enumerate(hosts):
            credit[number] += host.weight
            if credit[number] < heaviest:
                continue
            credit[number] -= heaviest
            place = places[number]
            step = steps[number]
            while table[place] != _NOBODY:
                place += step
                if place >= size:
                    place -= size
            table[place] = host.slot
            places[number] = place
            left -= 1
            if not left:
                return table
