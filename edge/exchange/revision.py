"""A prepared revision as the data plane uses it, and the services of the worker around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from edge import model
from edge.exchange.admission import Admission
from edge.exchange.seams import ClusterHandle
from edge.head import Field, RequestHead

if TYPE_CHECKING:
    from edge.exchange.deadlines import Deadlines
    from edge.exchange.state import ExchangeState
    from edge.route import RouteTable


class Tracing(Protocol):
    """How a revision traces: decided per request before anything is recorded."""

    def begin(self, exchange: ExchangeState, head: RequestHead) -> None:
        """Set the exchange's `context`, `sampled` and, if so, `trace`; write our context into `head`."""

    def finish(self, exchange: ExchangeState) -> None:
        """Record the spans of a sampled exchange. Never raises, never blocks."""


class Reporting(Protocol):
    """Metrics and access log of a revision."""

    def finish(self, exchange: ExchangeState) -> None:
        """Count and log a finished exchange. Never raises, never blocks."""


class Revision:
    """Tables of one revision; `active` exchanges keep it alive while it drains."""

    __slots__ = (
        "active",
        "clusters",
        "draining",
        "limits",
        "number",
        "on_drained",
        "reporting",
        "tables",
        "tracing",
    )

    def __init__(
        self,
        number: int,
        tables: Mapping[str, RouteTable],
        clusters: Mapping[str, ClusterHandle],
        limits: model.Limits,
        tracing: Tracing | None,
        reporting: Reporting,
    ) -> None:
        self.number = number
        self.tables = tables
        self.clusters = clusters
        self.limits = limits
        self.tracing = tracing
        self.reporting = reporting
        self.active = 0
        self.draining = False
        self.on_drained: Callable[[Revision], None] | None = None

    def release(self) -> None:
        """One exchange of this revision has ended."""
        self.active -= 1
        if self.draining and self.active == 0 and self.on_drained is not None:
            self.on_drained(self)

    def drain(self, on_drained: Callable[[Revision], None]) -> None:
        """No new exchange will use this revision; `on_drained` is called when the last has ended."""
        self.draining = True
        self.on_drained = on_drained
        if self.active == 0:
            on_drained(self)


class Services:
    """What a worker gives to every exchange. Clocks: `clock` monotonic seconds, read once per
    loop turn (≥ 1 ms coarse); `wall_ns` exact, for sampled exchanges only.
    `unhandled` is told of every exception that ended an exchange on its way back.
    """

    __slots__ = (
        "admission",
        "alt_svc",
        "call_soon",
        "clock",
        "deadlines",
        "next_request_id",
        "revision",
        "unhandled",
        "wall_ns",
    )

    def __init__(
        self,
        clock: Callable[[], float],
        wall_ns: Callable[[], int],
        deadlines: Deadlines,
        call_soon: Callable[[Callable[[], None]], object],
        next_request_id: Callable[[], bytes],
        admission: Admission | None = None,
    ) -> None:
        self.admission = admission or Admission()
        self.clock = clock
        self.wall_ns = wall_ns
        self.deadlines = deadlines
        self.call_soon = call_soon
        self.next_request_id = next_request_id
        self.revision: Revision | None = None
        self.unhandled: Callable[[BaseException], None] = _raise
        self.alt_svc: dict[str, Field] = {}
        """By listener: the field that tells clients of HTTP/3, while it is really there."""

    def pinned(self, revision: Revision) -> Services:
        """The same, but for exchanges that are served by `revision` whatever is activated later."""
        made = Services(
            self.clock, self.wall_ns, self.deadlines, self.call_soon, self.next_request_id, self.admission
        )
        made.revision = revision
        made.unhandled = self.unhandled
        return made


def _raise(error: BaseException) -> None:
    raise error
