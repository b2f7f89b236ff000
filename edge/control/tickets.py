"""Keys of TLS session tickets: one set for all workers, so that each resumes what another began.

The key tickets are made with is replaced every `ROTATION_S`; the one before it is still taken for
`LIFETIME_S`, as long as a ticket lives. They are in no file, so they end with the supervisor.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from edge import wire

KEY_BYTES: Final = 80
ROTATION_S: Final = 12 * 3600.0
"""Who learns a key can read sessions of so long: RFC 5077 §5.5 asks for regular changes."""
LIFETIME_S: Final = 2 * 3600.0
"""OpenSSL's, for sessions of a server."""

CallLater = Callable[[float, Callable[[], None]], object]


class TicketKeys:
    """`tell` hears of each change after the first keys, which are in `message` at once."""

    def __init__(self, call_later: CallLater, tell: Callable[[wire.TicketKeys], None]) -> None:
        self._call_later = call_later
        self._tell = tell
        self.message = wire.TicketKeys([os.urandom(KEY_BYTES)])
        call_later(ROTATION_S, self._rotate)

    def _rotate(self) -> None:
        self._set([os.urandom(KEY_BYTES), self.message.keys[0]])
        self._call_later(LIFETIME_S, self._forget)
        self._call_later(ROTATION_S, self._rotate)

    def _forget(self) -> None:
        self._set(self.message.keys[:1])

    def _set(self, keys: list[bytes]) -> None:
        self.message = wire.TicketKeys(keys)
        self._tell(self.message)
