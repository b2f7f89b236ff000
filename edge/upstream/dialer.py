"""Makes TCP connections; the only slow road of upstream that is a task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from edge.upstream.tls import ClientTls


class Dialer(Protocol):
    """Connects a protocol to an address."""

    def dial(
        self,
        host: str,
        port: int,
        protocol: asyncio.Protocol,
        failed: Callable[[str], None],
        tls: ClientTls | None = None,
    ) -> Callable[[], None]:
        """Start connecting and return a function that gives up. With `tls` the handshake is part of it.

        Success is `protocol.connection_made`; failure is `failed(reason)`, once. Neither comes
        before this returned. After giving up, `failed` never comes, `connection_made` may.
        """


class TcpDialer:
    """`loop.create_connection` in a task per attempt; names are resolved at each attempt."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.tasks: set[asyncio.Task[None]] = set()

    def dial(
        self,
        host: str,
        port: int,
        protocol: asyncio.Protocol,
        failed: Callable[[str], None],
        tls: ClientTls | None = None,
    ) -> Callable[[], None]:
        task = self._loop.create_task(self._connect(host, port, protocol, failed, tls))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

        def give_up() -> None:
            task.cancel()

        return give_up

    async def _connect(
        self,
        host: str,
        port: int,
        protocol: asyncio.Protocol,
        failed: Callable[[str], None],
        tls: ClientTls | None,
    ) -> None:
        try:
            if tls is None:
                await self._loop.create_connection(lambda: protocol, host, port)
            else:
                await self._loop.create_connection(
                    lambda: protocol, host, port, ssl=tls.context, server_hostname=tls.name(host)
                )
        except (OSError, UnicodeError) as error:
            failed(str(error) or type(error).__name__)
