"""The connections of one endpoint: which are idle, how many there are."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from math import inf
from typing import Protocol

from edge import model
from edge.exchange.deadlines import Deadlines
from edge.upstream.connection import Caller, Connection
from edge.upstream.dialer import Dialer
from edge.upstream.h1 import H1Client


class Settings:
    """What all connections of a cluster share."""

    __slots__ = ("clock", "deadlines", "dialer", "limits", "model")

    def __init__(
        self,
        cluster: model.Cluster,
        dialer: Dialer,
        deadlines: Deadlines,
        clock: Callable[[], float],
        limits: model.Limits,
    ) -> None:
        self.model = cluster
        self.dialer = dialer
        self.deadlines = deadlines
        self.clock = clock
        self.limits = limits


class Queue(Protocol):
    """Requests that wait because every connection is busy."""

    def __len__(self) -> int: ...
    def room(self) -> None:
        """A connection became idle or ended: whoever waits may go on."""


class Pool:
    """Idle connections last in, first out: the ones not needed age and are closed."""

    __slots__ = (
        "_queue",
        "_settings",
        "address",
        "cap",
        "closing",
        "endpoint",
        "idle",
        "idle_timeout_s",
        "index",
        "open",
    )

    def __init__(self, index: int, endpoint: model.Endpoint, settings: Settings, queue: Queue) -> None:
        self.index = index
        self.endpoint = endpoint
        self.address = shown_address(endpoint.host, endpoint.port) if _is_ip(endpoint.host) else ""
        self._settings = settings
        self._queue = queue
        self.idle_timeout_s = settings.model.idle_timeout_s
        self.idle: list[Connection] = []
        self.cap = settings.model.max_connections
        self.open = 0
        """Connections that are being made, busy, or idle."""
        self.closing = False

    def dial(self, caller: Caller, timeout_s: float) -> Connection:
        """Start a connection for `caller`; it gets `connected` or `failed` later."""
        settings = self._settings
        self.open += 1
        client = H1Client(self, settings.deadlines, settings.clock, settings.limits)
        connect_s = settings.model.connect_timeout_s or inf
        client.dial(caller, connect_s, timeout_s, settings.dialer, self.endpoint)
        return client

    def evict(self) -> None:
        """Close the connection that is idle for longest, to make room for a new one."""
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
        if was_idle and client in self.idle:
            self.idle.remove(client)
        if self._queue:
            self._queue.room()

    def close(self) -> None:
        """Close what is idle now and the rest as it comes back."""
        self.closing = True
        for client in list(self.idle):
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
