"""What a rule is told about where it stands, and the exchange as its steps see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from edge.chain.filter import LocalReply
from edge.exchange.seams import ClusterHandle, Downstream
from edge.head import RequestHead, ResponseHead

if TYPE_CHECKING:
    from edge.exchange.deadlines import Deadlines
    from edge.route.backend import Backend
    from edge.route.candidate import Candidate


class Clocked(Protocol):
    """The time of the worker. Its own `Services` are one."""

    clock: Callable[[], float]
    deadlines: Deadlines


class Routed(Protocol):
    """An exchange on its way through its rule."""

    backend: str
    """Cluster named by a filter, else empty; a rule with several backends writes its choice here."""
    candidate: Candidate | None
    chosen: Backend | None
    downstream: Downstream
    finished: bool
    sampled: bool

    @property
    def services(self) -> Clocked: ...

    def limit_duration(self, seconds: float) -> None:
        """End the whole exchange after `seconds`."""


Step = Callable[[Routed, RequestHead], LocalReply | None]
"""Does something to a request, or answers it. May raise `EdgeError`, which ends the exchange."""

Back = Callable[[Routed, ResponseHead], None]
"""Does something to the head of a response of upstream."""


class MirrorTrace(Protocol):
    """One copy of a request that is traced."""

    def ended(self, outcome: str, address: str, reused: bool, status: int) -> None:
        """Called once. `address` is empty when no endpoint was chosen, `status` 0 without an answer."""


TraceMirror = Callable[[Routed, RequestHead, ClusterHandle], MirrorTrace]
"""Begins the trace of a copy, whose head is the second, to a cluster; only for sampled exchanges."""


def _uncounted(cluster: str, outcome: str) -> None:
    pass


class Site:
    """`port` is the listener's, as clients see it; `count(cluster, outcome)` is told of each mirror.

    `trace` None = nothing is traced.
    """

    __slots__ = ("clusters", "count", "port", "trace")

    def __init__(
        self,
        port: int = 0,
        clusters: Mapping[str, ClusterHandle] | None = None,
        count: Callable[[str, str], None] = _uncounted,
        trace: TraceMirror | None = None,
    ) -> None:
        self.port = port
        self.clusters = clusters or {}
        self.count = count
        self.trace = trace


def in_turn(steps: list[Step]) -> Step | None:
    """One step that takes all of them until one answers; None for none."""
    if len(steps) < 2:
        return steps[0] if steps else None

    def take(exchange: Routed, head: RequestHead) -> LocalReply | None:
        for step in steps:
            reply = step(exchange, head)
            if reply is not None:
                return reply
        return None

    return take
