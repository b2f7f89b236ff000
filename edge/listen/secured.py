"""TLS on an accepted connection: uvloop's protocol, and the alert when a handshake fails.

By itself uvloop cuts such a connection without a word, and a client cannot tell a version that is
refused from a server that died.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvloop.loop import SSLProtocol  # type: ignore[attr-defined]

from edge.listen.context import ServerContext

ENCRYPTED_HIGH_BYTES: Final = 16 << 10
"""With more than this unsent, uvloop encrypts no further than for one write of ours."""


class Secured(SSLProtocol):  # type: ignore[misc]
    """Hands the decrypted connection to `protocol` once its handshake is done."""

    under_way = 0
    """Handshakes that have begun and not ended, of all listeners of this process."""
    _arriving = False

    def __init__(self, protocol: asyncio.Protocol, context: ServerContext, timeout_s: float) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(loop, protocol, context, None, server_side=True, ssl_handshake_timeout=timeout_s)
        self._context = context

    def connection_made(self, transport: Any) -> None:
        """The handshake begins in here, so its session learns where to send an alert."""
        Secured.under_way += 1
        self._arriving = True
        self._context.arriving = transport
        # What is encrypted waits once, not twice: for a slow reader nothing is encrypted beforehand.
        transport.set_write_buffer_limits(high=ENCRYPTED_HIGH_BYTES)
        try:
            super().connection_made(transport)
        finally:
            self._context.arriving = None

    def _get_app_transport(self, *arguments: Any) -> Any:
        """Asked for once, when the handshake is done."""
        self._arrived()
        return super()._get_app_transport(*arguments)

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrived()
        super().connection_lost(exc)

    def _arrived(self) -> None:
        if self._arriving:
            self._arriving = False
            Secured.under_way -= 1
