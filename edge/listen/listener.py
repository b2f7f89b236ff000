"""One listening socket, served by a `worker_serve` of its own until it is told to stop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final

import hypercorn.asyncio.run as hypercorn_run
from hypercorn.config import Config, Sockets

from edge import model
from edge.listen import seam, tls
from edge.listen.context import ServerContext
from edge.listen.last_call import allow_handshakes, refuse_handshakes
from edge.listen.no_app import NO_APP
from edge.listen.proxy_door import Door, Entrance
from edge.listen.secured import Secured

HANDSHAKE_TIMEOUT_S = 10.0
"""A client that opens and sends no ClientHello is cut (case 98)."""

BACKLOG = 1024

_ALPN: Final = (("h2", "h2"), ("h1", "http/1.1"), ("h1", "http/1.0"))
"""Ours, in order of preference. Clients that are told to speak HTTP/1.0 offer nothing else."""


class _Config(Config):
    """hypercorn's configuration for one socket that we bound; TLS is ours."""

    def __init__(self) -> None:
        super().__init__()
        self.include_server_header = False
        self.include_date_header = False
        self.backlog = BACKLOG
        self.graceful_timeout = 0.0
        self.errorlog = None
        self.accesslog = None


def context_for(listener: model.Listener) -> ServerContext | None:
    """What handshakes of `listener` need; None when it is plain.

    Raises ssl.SSLError when a chain and its key do not belong together.
    """
    if not listener.certificates:
        return None
    alpn = [name for protocol, name in _ALPN if protocol in listener.protocols]
    return tls.server_context(listener.certificates, alpn, listener.tls, listener.name)


class Listener:
    """Serves `listener` on `sock`, which is bound but may not listen yet.

    `context` is what `context_for` made of it.
    """

    def __init__(
        self,
        listener: model.Listener,
        sock: socket.socket,
        factory: Callable[[], asyncio.Protocol],
        context: ServerContext | None,
    ) -> None:
        self.name = listener.name
        self._sock = sock
        self.context = context
        self.door: Door | None = None
        """Where connections may begin with a PROXY header."""
        self._protocol = factory
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._late: set[asyncio.Task[Any]] = set()

    def replace(self, factory: Callable[[], asyncio.Protocol], context: ServerContext | None) -> None:
        """For connections from now on; those that stand keep what they began with."""
        self._protocol = factory
        self.context = context

    def start(self) -> None:
        """Begin to accept."""
        seam.register(self._sock, self._factory)
        sockets = Sockets([], [self._sock], [])
        serve = hypercorn_run.worker_serve(
            NO_APP, _Config(), sockets=sockets, shutdown_trigger=self._stop.wait
        )
        self._task = asyncio.get_running_loop().create_task(serve)

    def _factory(self) -> asyncio.Protocol:
        if self.door is not None:
            return Entrance(self.door, self._protocol, self._secure)
        if self.context is None:
            return self._protocol()
        return Secured(self._protocol(), self.context, HANDSHAKE_TIMEOUT_S)

    def _secure(self, protocol: asyncio.Protocol) -> asyncio.Protocol:
        if self.context is None:
            return protocol
        made: asyncio.Protocol = Secured(protocol, self.context, HANDSHAKE_TIMEOUT_S)
        return made

    def hold(self, held: bool) -> None:
        """Let no handshake begin while `held`: a client that tries comes again within a second or so."""
        (refuse_handshakes if held else allow_handshakes)(self._sock)

    async def stop(self) -> None:
        """Accept no more; connections that stand go on, and those the kernel has taken are served."""
        with self._sock.dup() as rest:
            rest.setblocking(False)
            refuse_handshakes(rest)
            self._stop.set()
            if self._task is not None:
                await self._task
            self._take_in(rest)

    def _take_in(self, rest: socket.socket) -> None:
        """Accept until nothing waits."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = rest.accept()
            except OSError:
                return
            connection.setblocking(False)
            task = loop.create_task(loop.connect_accepted_socket(self._factory, connection))
            self._late.add(task)
            task.add_done_callback(self._late_done)

    def _late_done(self, task: asyncio.Task[Any]) -> None:
        """A connection that is gone already is its client's affair."""
        self._late.discard(task)
        if not task.cancelled():
            task.exception()
