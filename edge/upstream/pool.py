"""The connections of one endpoint: which can take a request, how many there are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from math import inf
from typing import Protocol

from edge import model
from edge.exchange.deadlines import Deadlines
from edge.exchange.seams import Connection as ClientConnection
from edge.exchange.seams import ExchangeResponse
from edge.upstream.carrier import Caller, Carrier
from edge.upstream.connection import Connection
from edge.upstream.dialer import Dialer
from edge.upstream.h1 import H1Client
from edge.upstream.proxy_header import header
from edge.upstream.tls import client_tls


class Settings:
    """What all connections of a cluster share."""

    __slots__ = ("call_soon", "clock", "deadlines", "dialer", "limits", "model", "tls")

    def __init__(
        self,
        cluster: model.Cluster,
        dialer: Dialer,
        deadlines: Deadlines,
        clock: Callable[[], float],
        limits: model.Limits,
        call_soon: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self.model = cluster
        self.dialer = dialer
        self.deadlines = deadlines
        self.clock = clock
        self.limits = limits
        self.call_soon = call_soon
        self.tls = client_tls(cluster)


class Queue(Protocol):
    """Requests that wait because every connection is busy."""

    def __len__(self) -> int: ...
    def room(self) -> None:
        """A connection became idle or ended: whoever waits may go on."""


class Pool:
    """What `Cluster.decide` asks of the pools of any protocol."""

    __slots__ = (
        "_queue",
        "_settings",
        "address",
        "closing",
        "endpoint",
        "idle",
        "idle_timeout_s",
        "index",
        "open",
        "take",
    )

    shared = False
    """Whether a connection carries many requests at once."""

    idle: Sequence[object]
    """Connections that can take a request now."""
    take: Callable[[], Carrier]
    """Take the place of the last of `idle`."""

    def __init__(self, index: int, endpoint: model.Endpoint, settings: Settings, queue: Queue) -> None:
        self.index = index
        self.endpoint = endpoint
        self.address = shown_address(endpoint.host, endpoint.port) if _is_ip(endpoint.host) else ""
        self._settings = settings
        self._queue = queue
        self.idle_timeout_s = settings.model.idle_timeout_s
        self.open = 0
        """Connections that are being made, busy, or idle."""
        self.closing = False

    @property
    def active(self) -> int:
        """Requests that have a connection here, or wait for one that is being made."""
        return self.open - len(self.idle)

    @property
    def streams(self) -> int:
        """Requests that one connection carries at once."""
        return 1

    @abstractmethod
    def receivers(self) -> Iterable[ExchangeResponse | None]:
        """Of the requests that have a connection here, or wait for one that is being made."""

    @property
    def joinable(self) -> bool:
        """Whether a connection is being made that has room for one more request."""
        return False

    def join(self, caller: Caller, timeout_s: float) -> Carrier:
        """A place on the connection that is being made."""
        raise NotImplementedError

    @abstractmethod
    def dial(self, caller: Caller, timeout_s: float) -> Carrier:
        """Start a connection for `caller`; it gets `connected` or `failed` later."""

    @abstractmethod
    def evict(self) -> None:
        """Close the connection that is idle for longest, to make room for a new one."""

    @abstractmethod
    def close(self) -> None:
        """Close what is idle now and the rest as it comes back."""


class H1Pool(Pool):
    """Idle connections last in, first out: the ones not needed age and are closed."""

    __slots__ = ("_all",)

    idle: list[Connection]

    def __init__(self, index: int, endpoint: model.Endpoint, settings: Settings, queue: Queue) -> None:
        super().__init__(index, endpoint, settings, queue)
        self.idle = []
        self.take = self.idle.pop
        self._all: set[Connection] = set()

    def receivers(self) -> Iterable[ExchangeResponse | None]:
        return [client.receiver for client in self._all]

    def dial(self, caller: Caller, timeout_s: float) -> Connection:
        settings = self._settings
        self.open += 1
        client = H1Client(self, settings.deadlines, settings.clock, settings.limits)
        self._all.add(client)
        connect_s = settings.model.connect_timeout_s or inf
        tls = settings.tls.at(self.endpoint) if settings.tls is not None else None
        preamble = self._preamble(caller)
        client.dial(caller, connect_s, timeout_s, settings.dialer, self.endpoint, tls, preamble)
        return client

    def _preamble(self, caller: Caller) -> bytes:
        """What a new connection begins with."""
        return b""

    def evict(self) -> None:
        self.idle[0].close()

    def idle_again(self, client: Connection) -> None:
        """A clean connection comes back; kept unless the cluster is on its way out."""
        if self.closing:
            client.close()
            return
        self.idle.append(client)
        if self._queue:
            self._queue.room()

    def gone(self, client: Connection, was_idle: bool) -> None:
        """A connection ended, whatever it was doing."""
        self.open -= 1
        self._all.discard(client)
        if was_idle and client in self.idle:
            self.idle.remove(client)
        if self._queue:
            self._queue.room()

    def close(self) -> None:
        self.closing = True
        for client in list(self.idle):
            client.close()


class ProxiedPool(H1Pool):
    """Each connection begins with a PROXY header of its client, and serves one request only.

    The next one may be another client's, and an endpoint takes a header for all that follows.
    """

    __slots__ = ()

    def _preamble(self, caller: Caller) -> bytes:
        client: ClientConnection | None = getattr(caller.receiver, "connection", None)
        return header(self._settings.model.proxy_protocol, client)

    def idle_again(self, client: Connection) -> None:
        client.close()


def shown_address(host: str, port: int) -> str:
    """`ip:port`, IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
