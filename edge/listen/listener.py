"""One listening socket, served by a `worker_serve` of its own until it is told to stop."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final

import hypercorn.asyncio.run as hypercorn_run
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config, Sockets

from edge import model
from edge.listen import seam, tls
from edge.listen.last_call import refuse_handshakes

HANDSHAKE_TIMEOUT_S = 10.0
"""A client that opens and sends no ClientHello is cut (case 98)."""

BACKLOG = 1024

_ALPN: Final = (("h2", "h2"), ("h1", "http/1.1"), ("h1", "http/1.0"))
"""Ours, in order of preference. Clients that are told to speak HTTP/1.0 offer nothing else."""


class _Config(Config):
    """hypercorn's configuration for one socket that we bound, with our TLS context."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        super().__init__()
        self.include_server_header = False
        self.include_date_header = False
        self.backlog = BACKLOG
        self.graceful_timeout = 0.0
        self.ssl_handshake_timeout = HANDSHAKE_TIMEOUT_S
        self.errorlog = None
        self.accesslog = None
        self._context = context

    @property
    def ssl_enabled(self) -> bool:
        return self._context is not None

    def create_ssl_context(self) -> ssl.SSLContext | None:
        return self._context


async def _no_app(scope: Any, receive: Any, send: Any) -> None:
    """Our protocols answer everything; hypercorn's own never run on these sockets."""
    if scope["type"] != "lifespan":
        raise RuntimeError("a data-plane listener never runs an ASGI application")
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


class Listener:
    """Serves `listener` on `sock`, which is bound but may not listen yet."""

    def __init__(
        self, listener: model.Listener, sock: socket.socket, factory: Callable[[], asyncio.Protocol]
    ) -> None:
        self.name = listener.name
        self._sock = sock
        alpn = [name for protocol, name in _ALPN if protocol in listener.protocols]
        context = tls.server_context(listener.certificates, alpn) if listener.certificates else None
        self._config = _Config(context)
        self._secure = context is not None
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._factory = factory
        self._late: set[asyncio.Task[Any]] = set()

    def start(self) -> None:
        """Begin to accept."""
        seam.register(self._sock, self._factory)
        secure, insecure = ([self._sock], []) if self._secure else ([], [self._sock])
        sockets = Sockets(secure, insecure, [])
        serve = hypercorn_run.worker_serve(
            ASGIWrapper(_no_app), self._config, sockets=sockets, shutdown_trigger=self._stop.wait
        )
        self._task = asyncio.get_running_loop().create_task(serve)

    async def stop(self) -> None:
        """Accept no more; connections that stand go on, and those the kernel has taken are served."""
        with self._sock.dup() as rest:
            rest.setblocking(False)
            refuse_handshakes(rest)
            self._stop.set()
            if self._task is not None:
                await self._task
            seam.forget(self._sock)
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
            timeout_s = HANDSHAKE_TIMEOUT_S if self._secure else None
            context = self._config.create_ssl_context()
            task = loop.create_task(
                loop.connect_accepted_socket(
                    self._factory, connection, ssl=context, ssl_handshake_timeout=timeout_s
                )
            )
            self._late.add(task)
            task.add_done_callback(self._late_done)

    def _late_done(self, task: asyncio.Task[Any]) -> None:
        """A handshake that failed is its client's affair."""
        self._late.discard(task)
        if not task.cancelled():
            task.exception()
