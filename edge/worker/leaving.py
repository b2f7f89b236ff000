"""A listener on its way out: it accepts until nothing waits, and its connections end as they may."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from edge import listen
from edge.codec.context import ListenerContext
from edge.exchange.revision import Revision

if TYPE_CHECKING:
    from edge.listen.quic import QuicListener

POLL_S: Final = 0.05


class Leaving:
    """Parts of a listener that end together: its connections (`context`), its sockets.

    `revision` is kept until the last connection has ended: it answers what they still ask.
    """

    __slots__ = ("_context", "_quic", "_revision", "_stopped", "_task", "_tcp", "name")

    def __init__(
        self,
        name: str,
        *,
        context: ListenerContext | None = None,
        tcp: listen.Listener | None = None,
        quic: QuicListener | None = None,
        revision: Revision | None = None,
    ) -> None:
        self.name = name
        self._context = context
        self._tcp = tcp
        self._quic = quic
        self._revision = revision
        self._stopped = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def pinned(self) -> bool:
        """Whether a revision is kept."""
        return self._revision is not None

    def connections(self) -> int:
        """How many there are still."""
        if self._context is not None:
            return len(self._context.connections)
        return self._quic.seats() if self._quic is not None else 0

    def start(self, done: Callable[[Leaving], None]) -> None:
        """Begin to end; `done` is called when the last connection has ended."""
        if self._revision is not None:
            self._revision.active += 1
        self._task = asyncio.get_running_loop().create_task(self._end(done))

    async def stopped(self) -> None:
        """Until nothing is accepted any more and every connection has been told."""
        await self._stopped.wait()

    async def _end(self, done: Callable[[Leaving], None]) -> None:
        try:
            if self._tcp is not None:
                await self._tcp.stop()
            if self._quic is not None:
                await self._quic.stop()
            if self._context is not None:
                self._context.drain()
            elif self._quic is not None:
                self._quic.drain()
            self._stopped.set()
            while self.connections():
                await asyncio.sleep(POLL_S)
            self.close()
        finally:
            self._stopped.set()
            done(self)
            if self._revision is not None:
                self._revision.release()

    def close(self) -> None:
        """End what is left of HTTP/3; TCP needs nothing."""
        if self._quic is not None:
            self._quic.close()
