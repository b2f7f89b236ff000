"""The UDP seam in hypercorn's `worker_serve`.

`hypercorn.asyncio.run` makes a `UDPServer` for every QUIC socket, looked up on its module global, and
runs it until shutdown. hypercorn's own ends for all connections when one of them is malformed, so
ours stands in there; lifespan, sockets and shutdown stay hypercorn's.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Iterator
from typing import Any

import hypercorn.asyncio.run as hypercorn_run
from hypercorn.config import Config

from edge.codec.h3 import selftest
from edge.installed import version
from edge.listen.quic_host import QuicHost
from edge.listen.seam import EXPECTED_HYPERCORN, SeamError


class QuicConfig(Config):
    """hypercorn's configuration for one UDP socket, with the host that serves it."""

    def __init__(self, host: QuicHost) -> None:
        super().__init__()
        self.quic_host = host
        self.include_server_header = False
        self.include_date_header = False
        self.graceful_timeout = 0.0
        self.errorlog = None
        self.accesslog = None


class _UdpServer(asyncio.DatagramProtocol):
    """What worker_serve gets for a UDP socket: our host, and a task that ends with the listener."""

    def __init__(self, app: object, loop: object, config: Config, context: Any, state: object) -> None:
        if not isinstance(config, QuicConfig):
            raise SeamError("a UDP socket has no host: QuicListener makes its configuration")
        self._host = config.quic_host
        self._terminated = context.terminated
        self.connection_made = self._host.connection_made  # type: ignore[method-assign]
        self.connection_lost = self._host.connection_lost  # type: ignore[method-assign]
        self.datagram_received = self._host.datagram_received  # type: ignore[method-assign]

    async def run(self) -> None:
        await self._terminated.wait()


def install() -> None:
    """Put the seam in place.

    Raises SeamError when this hypercorn is not the expected one, AioquicError for aioquic.
    """
    selftest.check()
    found = version("hypercorn")
    module: types.ModuleType = hypercorn_run
    if found != EXPECTED_HYPERCORN:
        raise SeamError(f"hypercorn {found} is installed, the UDP seam is known for {EXPECTED_HYPERCORN}")
    if not hasattr(module, "UDPServer"):
        raise SeamError(f"hypercorn {found} has no hypercorn.asyncio.run.UDPServer")
    names = set(_names(hypercorn_run.worker_serve.__code__))
    if not {"UDPServer", "create_datagram_endpoint", "quic_sockets"} <= names:
        raise SeamError(f"worker_serve of hypercorn {found} does not make a UDPServer for its QUIC sockets")
    module.__dict__["UDPServer"] = _UdpServer


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)
