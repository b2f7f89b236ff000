"""The accept seam in hypercorn's `worker_serve`.

`hypercorn.asyncio.run` starts its servers by `asyncio.start_server`, looked up on its module
global `asyncio`, and afterwards only closes them. A module object that stands in there hands each
listening socket to a protocol of ours, which costs 38 µs a connection where streams cost 55.
hypercorn's lifespan, socket set-up, TLS context and shutdown stay in use. RATIONALE.md says why.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import types
from collections.abc import Callable

import hypercorn.asyncio.run as hypercorn_run

from edge.installed import version
from edge.listen import secured_selftest

EXPECTED_HYPERCORN = "0.18.0"

_factories: dict[int, Callable[[], asyncio.Protocol]] = {}


class SeamError(RuntimeError):
    """The hypercorn installed is not the one whose seam we know."""


async def _start_server(
    callback: object,
    *,
    sock: socket.socket,
    backlog: int = 100,
    ssl: ssl.SSLContext | None = None,
    ssl_handshake_timeout: float | None = None,
) -> asyncio.AbstractServer:
    factory = _factories.pop(sock.fileno(), None)
    if factory is None:
        raise SeamError("a listening socket has no protocol: Listener.serve registers it first")
    loop = asyncio.get_running_loop()
    if ssl is None:
        return await loop.create_server(factory, sock=sock, backlog=backlog)
    return await loop.create_server(
        factory, sock=sock, backlog=backlog, ssl=ssl, ssl_handshake_timeout=ssl_handshake_timeout
    )


def register(sock: socket.socket, factory: Callable[[], asyncio.Protocol]) -> None:
    """Connections of `sock` get protocols of `factory`, once worker_serve starts to listen on it."""
    _factories[sock.fileno()] = factory


def install() -> None:
    """Put the seam in place.

    Raises SeamError when this hypercorn is not the expected one, UvloopError for uvloop.
    """
    secured_selftest.check()
    found = version("hypercorn")
    module: types.ModuleType = hypercorn_run
    if found != EXPECTED_HYPERCORN:
        raise SeamError(f"hypercorn {found} is installed, the accept seam is known for {EXPECTED_HYPERCORN}")
    for name in ("asyncio", "worker_serve"):
        if not hasattr(module, name):
            raise SeamError(f"hypercorn {found} has no hypercorn.asyncio.run.{name}")
    names = set(hypercorn_run.worker_serve.__code__.co_names)
    names.update(
        *(c.co_names for c in hypercorn_run.worker_serve.__code__.co_consts if isinstance(c, types.CodeType))
    )
    if not {"asyncio", "start_server"} <= names:
        raise SeamError(f"worker_serve of hypercorn {found} does not call asyncio.start_server")
    shim = types.ModuleType("edge_accept_seam")
    shim.__dict__.update({name: getattr(asyncio, name) for name in dir(asyncio) if not name.startswith("__")})
    shim.__dict__["start_server"] = _start_server
    module.__dict__["asyncio"] = shim
