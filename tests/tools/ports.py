"""Loopback ports for servers that cannot bind port 0 themselves, and for servers that are not there."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_LOWEST = 10_000
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_chance = random.SystemRandom()


def free_port() -> int:
    """A TCP port on 127.0.0.1 that was free a moment ago and is likely to stay so.

    It is below those that the kernel gives away: nobody who connects, or binds port 0, can get it.
    """
    end = int(_RANGE.read_text().split()[0])
    while True:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", _chance.randrange(_LOWEST, end) if end > 2 * _LOWEST else 0))
            except OSError:
                continue
            return int(probe.getsockname()[1])
