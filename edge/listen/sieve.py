"""A flood of first packets is thinned in the kernel, where dropping one costs next to nothing.

Read and dropped by us, a hundred thousand datagrams a second take the whole of a core. So when more
first packets come than anybody could shake hands with, a filter on the socket lets only a part of them
through, chosen by lot; connections that stand are not touched by it. Spec: RFC 9000 §17.2, §21.3.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol

from edge import bpf

WINDOW_S: Final = 0.05
MANY: Final = 100
"""First packets in a window: twice as many as there is time for handshakes."""
FEW: Final = 20
"""Below this in a window twice as many may pass."""
STEP: Final = 2
"""Powers of two, when there are many."""
MOST: Final = 12

_SO_ATTACH_FILTER: Final = 26
_SO_DETACH_FILTER: Final = 27
_UDP_HEADER_BYTES: Final = 8
_FIRST_AT: Final = _UDP_HEADER_BYTES
_VERSION_AT: Final = _UDP_HEADER_BYTES + 1
_ID_LENGTH_AT: Final = _UDP_HEADER_BYTES + 5
_LONG_HEADER: Final = 0x80
_NOT_FIRST: Final = 0x20
"""Of the type in a long header: set in Handshake and Retry."""
_VERSION_1: Final = 1
_ALL: Final = 0xFFFFFFFF

_log: Final = logging.getLogger("edge.listen")


class Timer(Protocol):
    """A call to come."""

    def cancel(self) -> object: ...


class Sieve:
    """Counts first packets and says of how many one passes; `thin(power)`: one of 2 ** power, 0 = all."""

    def __init__(
        self, thin: Callable[[int], None], call_later: Callable[[float, Callable[[], None]], Timer]
    ) -> None:
        self.power = 0
        self._thin = thin
        self._call_later = call_later
        self._came = 0
        self._timer: Timer | None = None

    def came(self) -> None:
        """One more first packet was read."""
        self._came += 1
        if self._timer is None:
            self._timer = self._call_later(WINDOW_S, self._look)
        if self._came >= MANY:
            self._came = 0
            self._set(min(MOST, self.power + STEP))

    def _look(self) -> None:
        came, self._came = self._came, 0
        if came < FEW and self.power:
            self._set(self.power - 1)
        self._timer = self._call_later(WINDOW_S, self._look) if came or self.power else None

    def _set(self, power: int) -> None:
        if power == self.power:
            return
        if not self.power:
            _log.warning("QUIC: more first packets than can be answered: a part of them is dropped unread")
        self.power = power
        try:
            self._thin(power)
        except OSError as error:
            _log.warning("QUIC: first packets cannot be thinned: %s", error)

    def close(self) -> None:
        """No packet comes any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def thin(raw: Any, power: int, id_bytes: int) -> None:
    """Have the kernel pass one of 2 ** `power` first packets to the UDP socket `raw`; 0 = all.

    Short headers pass, and handshake packets to ids of `id_bytes`, which is what ours have. Raises OSError.
    """
    if not power:
        raw.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
        return
    bpf.attach(raw, _SO_ATTACH_FILTER, program((_ALL >> power) + 1, id_bytes))


def begin(raw: Any) -> None:
    """Let all pass: the socket may have had an owner before, who died with its filter on it."""
    with suppress(OSError):
        thin(raw, 0, 0)


def program(below: int, id_bytes: int) -> tuple[bpf.Line, ...]:
    """Of what is thinned that passes whose lot, 32 bits, is less than `below`."""
    return (
        (bpf.LOAD_BYTE, 0, 0, _FIRST_AT),
        (bpf.JUMP_IF_SET, 0, 8, _LONG_HEADER),
        (bpf.JUMP_IF_SET, 0, 4, _NOT_FIRST),
        (bpf.LOAD_WORD, 0, 0, _VERSION_AT),
        (bpf.JUMP_IF_EQUAL, 0, 2, _VERSION_1),
        (bpf.LOAD_BYTE, 0, 0, _ID_LENGTH_AT),
        (bpf.JUMP_IF_EQUAL, 3, 0, id_bytes),
        (bpf.LOAD_WORD, 0, 0, bpf.RANDOM),
        (bpf.JUMP_IF_AT_LEAST, 0, 1, below),
        (bpf.RETURN, 0, 0, 0),
        (bpf.RETURN, 0, 0, _ALL),
    )
