"""Admin on a socket, through hypercorn's worker_serve in the supervisor's loop."""

from __future__ import annotations

import asyncio
import socket

from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.run import worker_serve
from hypercorn.config import Config

from edge.control.admin.app import AdminApp


class AdminServer:
    """Serves until `stop`; `listening` belongs to it."""

    def __init__(self, app: AdminApp, listening: socket.socket) -> None:
        self._stop = asyncio.Event()
        config = Config()
        config.bind = [f"fd://{listening.detach()}"]
        config.alpn_protocols = ["http/1.1"]
        config.include_server_header = False
        config.keep_alive_timeout = 5
        config.h11_max_incomplete_size = 16 << 10
        config.shutdown_timeout = 1.0
        config.graceful_timeout = 1.0
        config.errorlog = None
        config.accesslog = None
        self._config = config
        self._app = ASGIWrapper(app)  # type: ignore[arg-type]
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to accept."""
        serving = worker_serve(self._app, self._config, shutdown_trigger=self._stop.wait)
        self._task = asyncio.create_task(serving, name="admin")

    async def stop(self) -> None:
        """At most some two seconds."""
        self._stop.set()
        if self._task is not None:
            await asyncio.wait((self._task,), timeout=2.5)
            self._task.cancel()
