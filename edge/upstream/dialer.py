"""Makes TCP connections; the only slow road of upstream that is a task."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Final, Protocol

from edge.upstream.tls import ClientTls

PER_TURN: Final = 8
"""Connections begun in one turn of the loop; each costs as much as a few requests."""


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


class _Attempt:
    """From being asked for until it is connected, has failed or is given up."""

    __slots__ = ("connecting", "task")

    def __init__(self, connecting: Callable[[], Coroutine[None, None, None]]) -> None:
        self.connecting: Callable[[], Coroutine[None, None, None]] | None = connecting
        self.task: asyncio.Task[None] | None = None

    def give_up(self) -> None:
        self.connecting = None
        if self.task is not None:
            self.task.cancel()


class TcpDialer:
    """`loop.create_connection` in a task per attempt; names are resolved at each attempt.

    Attempts begin after the turn in which they were asked for, a few a turn: a crowd of them would be
    a long turn for everybody, and who asks and thinks better of it in the same turn costs no socket.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[_Attempt] = deque()
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
        if not self._waiting:
            self._loop.call_soon(self._begin)
        attempt = _Attempt(partial(self._connect, host, port, protocol, failed, tls, preamble))
        self._waiting.append(attempt)
        return attempt.give_up

    def _begin(self) -> None:
        """The first of those that wait; their tasks run in the next turn."""
        waiting = self._waiting
        left = PER_TURN
        while waiting and left:
            attempt = waiting.popleft()
            if attempt.connecting is not None:
                left -= 1
                attempt.task = task = self._loop.create_task(attempt.connecting())
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)
        if waiting:
            self._loop.call_soon(self._begin)

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
