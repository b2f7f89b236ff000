"""Whether the uvloop installed is the one whose TLS protocol `secured` builds on; tried at start-up."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, Final

import uvloop
from uvloop.loop import SSLProtocol  # type: ignore[attr-defined]

from edge.installed import version

EXPECTED_UVLOOP: Final = "0.23.0"
_TIMEOUT_S: Final = 10.0
_CALLS: Final = ("connection_made", "connection_lost", "get_buffer", "buffer_updated", "_get_app_transport")


class UvloopError(RuntimeError):
    """The uvloop installed is not the one we know."""


class _Context:
    """Stands for a context: notes how a session is asked for."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    def wrap_bio(self, incoming: object, outgoing: object, **options: object) -> _Session:
        self.asked = [type(incoming), type(outgoing), options.get("server_side")]
        return _Session(self)


class _Session:
    def __init__(self, context: _Context) -> None:
        self._context = context

    def do_handshake(self) -> None:
        self._context.asked.append("handshake")
        raise ssl.SSLWantReadError

    def read(self, *_: object) -> None: ...

    write = pending = read


def check() -> None:
    """Raises UvloopError, which names the version expected."""
    found = version("uvloop")
    said = f"uvloop {found} is installed, TLS is known to work with {EXPECTED_UVLOOP}"
    missing = [name for name in _CALLS if not hasattr(SSLProtocol, name)]
    if found != EXPECTED_UVLOOP or missing:
        raise UvloopError(": ".join((said, *missing)))
    context = _Context()
    loop = uvloop.new_event_loop()
    try:
        made: Any = SSLProtocol(
            *(loop, asyncio.Protocol(), context, None), server_side=True, ssl_handshake_timeout=_TIMEOUT_S
        )
        made.connection_made(asyncio.Transport())
        made.connection_lost(None)
    finally:
        loop.close()
    if context.asked != [ssl.MemoryBIO, ssl.MemoryBIO, True, "handshake"]:
        raise UvloopError(f"{said}: a connection begins with {context.asked}")
