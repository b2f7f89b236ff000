"""One UDP socket for HTTP/3, served by a `worker_serve` of its own until it is told to stop."""

from __future__ import annotations

import asyncio
import hmac
import socket
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from os import urandom

import hypercorn.asyncio.run as hypercorn_run
from hypercorn.config import Sockets

from edge import model
from edge.codec.context import ListenerContext
from edge.codec.h3.arriving import CID_BYTES
from edge.codec.h3.certificates import Certificates
from edge.codec.h3.transport import TransportSettings
from edge.listen.no_app import NO_APP
from edge.listen.quic_door import Door
from edge.listen.quic_host import QuicHost
from edge.listen.quic_seam import QuicConfig
from edge.wire import GroupKeys

IDLE_TIMEOUT_S = 60.0
"""NATs forget a UDP flow within minutes, so a longer wait would be in vain."""
RESET_KEY_BYTES = 32
RETRY_S = 1.0
"""The first wait after the socket could not be served, or was lost; each one after it is twice as long."""
MOST_RETRY_S = 60.0


class QuicDown(Exception):
    """HTTP/3 is not served where it should be."""


def cid_maker(worker: int, workers: int) -> Callable[[], bytes]:
    """Connection ids whose first byte tells the kernel which of `workers` they belong to (byte mod N)."""
    if workers <= 1:
        return lambda: urandom(CID_BYTES)
    steps = 256 // workers

    def make() -> bytes:
        noise = urandom(CID_BYTES)
        return b"%c" % (noise[0] % steps * workers + worker) + noise[1:]

    return make


def reset_token_maker(key: bytes) -> Callable[[bytes], bytes]:
    """Tokens of stateless resets; with the same `key` a new worker can end connections of a dead one."""
    return lambda cid: hmac.digest(key, cid, sha256)[:16]


class QuicListener:
    """Serves HTTP/3 for `listener` on `sock`, a bound UDP socket that does not block.

    `keys` are the same for all workers, and over restarts. `certificates` are
    those of `listener`, if they are made already. `on_change` is called when `is_up` may have
    changed. Raises ValueError when a certificate cannot be used.
    """

    def __init__(
        self,
        listener: model.Listener,
        sock: socket.socket,
        context: ListenerContext,
        keys: GroupKeys | None = None,
        worker: int = 0,
        workers: int = 1,
        certificates: Certificates | None = None,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        self.name = listener.name
        self._where = f"{listener.host}:{listener.port}"
        self._sock = sock
        self._settings = TransportSettings(
            certificates or Certificates(listener.certificates),
            cid_maker(worker, workers),
            reset_token_maker(keys.reset if keys is not None else urandom(RESET_KEY_BYTES)),
            min(IDLE_TIMEOUT_S, context.limits.idle_timeout_s),
        )
        self._settings.max_streams = context.limits.max_streams
        self._host = QuicHost(context, Door(self._settings, keys.retry if keys is not None else b""))
        self._on_change = on_change
        self._unhandled = context.unhandled
        self._stop = asyncio.Event()
        self._over = asyncio.Event()
        """Stopped, or the transport is lost."""
        self.is_down = False
        """Whether it failed or was lost, and has not come up since."""
        self._task: asyncio.Task[None] | None = None

    @property
    def is_up(self) -> bool:
        """Whether the socket is served, so that Alt-Svc may point to it."""
        return self._host.is_up

    def start(self) -> None:
        """Begin to take connections, soon: `is_up` tells when."""
        self._host.changed = self._host_changed
        self._task = asyncio.get_running_loop().create_task(self._serve())

    def _host_changed(self) -> None:
        if self._host.is_up:
            self.is_down = False
        else:
            self._over.set()
        if self._on_change is not None:
            self._on_change()

    async def _serve(self) -> None:
        """Until stopped. What fails or is lost is told of, and tried again after a while."""
        loop = asyncio.get_running_loop()
        wait_s = RETRY_S
        while not self._stop.is_set():
            began = loop.time()
            fault = await self._serve_once()
            if self._stop.is_set():
                break
            if loop.time() - began > MOST_RETRY_S:
                wait_s = RETRY_S
            self._told(fault or self._host.fault, wait_s)
            del fault  # what failed hangs on it
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), wait_s)
            wait_s = min(MOST_RETRY_S, wait_s * 2)

    async def _serve_once(self) -> Exception | None:
        """Until stopped, or until there is nothing to serve any more; the reason, if it is an exception."""
        self._over.clear()
        ours: socket.socket | None = None
        try:
            # Whose transport is lost loses its socket too, and the next try needs one.
            ours = self._sock.dup()
            sockets = Sockets([], [], [ours])
            await hypercorn_run.worker_serve(
                NO_APP, QuicConfig(self._host), sockets=sockets, shutdown_trigger=self._over.wait
            )
        except Exception as error:
            self._host.let_go()
            if ours is not None:
                ours.close()
            return error
        if not self._stop.is_set():
            self._host.let_go()
        return None

    def _told(self, cause: Exception | None, wait_s: float) -> None:
        self.is_down = True
        down = QuicDown(f"listener {self.name}: no HTTP/3 on {self._where}, tried again in {wait_s:g} s")
        down.__cause__ = cause
        self._unhandled(down)

    def replace(self, certificates: Certificates | None, limits: model.Limits) -> None:
        """For connections from now on; None = the certificates stay."""
        if certificates is not None:
            self._settings.certificates = certificates
        self._settings.idle_timeout_s = min(IDLE_TIMEOUT_S, limits.idle_timeout_s)
        self._settings.max_streams = limits.max_streams

    async def stop(self) -> None:
        """Accept no more; connections that stand go on until `close`."""
        self._host.accepting = False
        self._stop.set()
        self._over.set()
        if self._task is not None:
            await self._task

    def drain(self) -> None:
        """Tell every client to go elsewhere; what they have asked for is answered."""
        self._host.drain()

    def seats(self) -> int:
        """Connections there are, closing ones included."""
        return self._host.seats()

    def close(self) -> None:
        """End what connections are left with H3_NO_ERROR, and close the socket."""
        self._host.changed = self._on_change = None
        self._host.close()
        self._sock.close()
