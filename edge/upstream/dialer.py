"""Makes TCP connections; the only slow road of upstream that is a task."""

from __future__ import annotations

import asyncio
import socket
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
        preamble: bytes = b"",
    ) -> Callable[[], None]:
        """Start connecting and return a function that gives up. With `tls` the handshake is part of it.

        `preamble` is sent before anything else, a TLS handshake included.

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
        preamble: bytes = b"",
    ) -> Callable[[], None]:
        task = self._loop.create_task(self._connect(host, port, protocol, failed, tls, preamble))
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
        preamble: bytes,
    ) -> None:
        context = tls.context if tls is not None else None
        name = tls.name(host) if tls is not None else None
        try:
            if not preamble:
                await self._loop.create_connection(
                    lambda: protocol, host, port, ssl=context, server_hostname=name
                )
                return
            made = await self._greeted(host, port, preamble)
            try:
                await self._loop.create_connection(
                    lambda: protocol, sock=made, ssl=context, server_hostname=name
                )
            except BaseException:
                made.close()
                raise
        except (OSError, UnicodeError) as error:
            failed(str(error) or type(error).__name__)

    async def _greeted(self, host: str, port: int, preamble: bytes) -> socket.socket:
        """A socket connected to the first address that takes it, `preamble` sent."""
        fault = OSError(f"{host} has no address")
        for family, kind, proto, _, address in await self._loop.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        ):
            made = socket.socket(family, kind, proto)
            made.setblocking(False)
            try:
                await self._loop.sock_connect(made, address)
                await self._loop.sock_sendall(made, preamble)
                return made
            except OSError as error:
                made.close()
                fault = error
            except BaseException:
                made.close()
                raise
        raise fault
