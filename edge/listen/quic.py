"""One UDP socket for HTTP/3, served by a `worker_serve` of its own until it is told to stop."""

from __future__ import annotations

import asyncio
import hmac
import socket
from collections.abc import Callable
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
    those of `listener`, if they are made already. Raises ValueError when one cannot be used.
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
    ) -> None:
        self.name = listener.name
        self._sock = sock
        self._settings = TransportSettings(
            certificates or Certificates(listener.certificates),
            cid_maker(worker, workers),
            reset_token_maker(keys.reset if keys is not None else urandom(RESET_KEY_BYTES)),
            min(IDLE_TIMEOUT_S, context.limits.idle_timeout_s),
        )
        self._settings.max_streams = context.limits.max_streams
        self._host = QuicHost(context, Door(self._settings, keys.retry if keys is not None else b""))
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_up(self) -> bool:
        """Whether the socket is served, so that Alt-Svc may point to it."""
        return self._host.is_up

    def start(self) -> None:
        """Begin to take connections."""
        sockets = Sockets([], [], [self._sock])
        serve = hypercorn_run.worker_serve(
            NO_APP, QuicConfig(self._host), sockets=sockets, shutdown_trigger=self._stop.wait
        )
        self._task = asyncio.get_running_loop().create_task(serve)

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
        self._host.close()
