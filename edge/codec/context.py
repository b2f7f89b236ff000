"""What all connections of one listener share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from edge.errors import EdgeError
from edge.exchange.admission import Admission
from edge.exchange.deadlines import Deadlines
from edge.exchange.seams import Accept
from edge.model import Limits


class Drainable(Protocol):
    """A connection of any downstream protocol."""

    def shutdown(self) -> None:
        """Close now if idle, else after the exchange under way."""


class Refused(Protocol):
    """Hears of every request that no exchange ever saw, and of every connection turned away."""

    def __call__(self, error: EdgeError, client: bytes = b"", protocol: str = "") -> None:
        """`client` as `Connection.client`, `protocol` as in `RequestHead`, empty when not known.

        `error.status` is what the client was told; 0 = nothing, the connection was cut.
        """


class ListenerContext:
    """Built by the worker, one per listener; `limits` may be replaced, the next head sees it.

    `clock` is monotonic seconds, as coarse as a loop turn. `unhandled` is told of every
    exception that ended a connection. `call_soon` is the running loop's unless given.
    `keep_forwarding`: heads keep what `syntax.is_forwarding` names, for a pipeline that judges it.
    """

    __slots__ = (
        "accept",
        "admission",
        "call_soon",
        "clock",
        "connections",
        "deadlines",
        "draining",
        "keep_forwarding",
        "limits",
        "next_id",
        "refused",
        "scheme",
        "unhandled",
    )

    def __init__(
        self,
        accept: Accept,
        scheme: bytes,
        limits: Limits,
        deadlines: Deadlines,
        clock: Callable[[], float],
        next_id: Callable[[], int],
        unhandled: Callable[[BaseException], None],
        refused: Refused | None = None,
        call_soon: Callable[[Callable[[], None]], object] | None = None,
        admission: Admission | None = None,
    ) -> None:
        self.admission = admission or Admission()
        self.accept = accept
        self.scheme = scheme
        self.limits = limits
        self.deadlines = deadlines
        self.clock = clock
        self.next_id = next_id
        self.unhandled = unhandled
        self.refused = refused
        self.call_soon = call_soon
        self.connections: set[Drainable] = set()
        self.draining = False
        self.keep_forwarding = False

    def takes(self, connection: Drainable, client: bytes, host: str) -> bool:
        """Whether a connection from `host` may stand: it is counted until `lost`, else told of as refused."""
        refusal = self.admission.refusal(host, self.limits)
        if refusal is not None:
            if self.refused is not None:
                self.refused(refusal, client)
            return False
        self.admission.enter(host)
        self.connections.add(connection)
        return True

    def lost(self, connection: Drainable, host: str) -> None:
        """It ended; said again, or of one that was refused, it changes nothing."""
        if connection in self.connections:
            self.connections.discard(connection)
            self.admission.leave(host)

    def drain(self) -> None:
        """Idle connections close now, the others with their next response."""
        self.draining = True
        for connection in list(self.connections):
            connection.shutdown()
