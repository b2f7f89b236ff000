"""The HTTP/2 connections of one endpoint: one carries all requests until it is full."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from edge import model
from edge.exchange.seams import ExchangeResponse
from edge.upstream.carrier import Caller
from edge.upstream.h2 import H2Client
from edge.upstream.h2_stream import H2Stream
from edge.upstream.multiplex import Multiplex
from edge.upstream.pool import Pool, Queue, Settings


class SharedPool(Pool):
    """`idle` holds the connections with room; the last one is filled first, so the others can age."""

    __slots__ = ("_all", "_dialling")

    shared = True
    idle: list[Multiplex]

    def __init__(self, index: int, endpoint: model.Endpoint, settings: Settings, queue: Queue) -> None:
        super().__init__(index, endpoint, settings, queue)
        self.idle = []
        self.take = self._take
        self._dialling: H2Client | None = None
        self._all: set[Multiplex] = set()

    def _take(self) -> H2Stream:
        client = self.idle[-1]
        client.active += 1
        if client.active >= client.room:
            self.idle.pop()
            client.listed = False
        return H2Stream(client)

    @property
    def active(self) -> int:
        return sum(client.active for client in self._all)

    @property
    def streams(self) -> int:
        return max((client.room for client in self._all), default=1)

    def receivers(self) -> Iterator[ExchangeResponse | None]:
        for client in self._all:
            yield from client.receivers()

    @property
    def joinable(self) -> bool:
        return self._dialling is not None and self._dialling.has_room

    def join(self, caller: Caller, timeout_s: float) -> H2Stream:
        assert self._dialling is not None
        return self._dialling.join(caller, self._attempt_deadline(timeout_s))

    def dial(self, caller: Caller, timeout_s: float) -> H2Stream:
        settings = self._settings
        client = H2Client(self, settings.deadlines, settings.clock, settings.limits, settings.call_soon)
        self.open += 1
        self._all.add(client)
        self._dialling = client
        stream = client.join(caller, self._attempt_deadline(timeout_s))
        tls = settings.tls.at(self.endpoint) if settings.tls is not None else None
        client.dial(settings.model.connect_timeout_s or inf, settings.dialer, self.endpoint, tls)
        return stream

    def _attempt_deadline(self, timeout_s: float) -> float:
        return self._settings.clock() + timeout_s if timeout_s else inf

    def evict(self) -> None:
        """Never asked for: a connection that is shared is used rather than replaced."""
        raise NotImplementedError

    def established(self, client: Multiplex) -> None:
        """It may be used by all now."""
        if client is self._dialling:
            self._dialling = None
        self.changed(client)

    def changed(self, client: Multiplex) -> None:
        """Whether it has room may have changed; whoever waits may go on."""
        if client.has_room is not client.listed and client is not self._dialling:
            client.listed = client.has_room
            if client.listed:
                self.idle.append(client)
            else:
                self.idle.remove(client)
        if self.closing:
            client.drain()
        elif client.listed and self._queue:
            self._queue.room()

    def gone(self, client: Multiplex) -> None:
        """A connection ended, whatever it was doing."""
        self.open -= 1
        self._all.discard(client)
        if client is self._dialling:
            self._dialling = None
        if client.listed:
            client.listed = False
            self.idle.remove(client)
        if self._queue:
            self._queue.room()

    def close(self) -> None:
        self.closing = True
        for client in list(self._all):
            client.drain()
