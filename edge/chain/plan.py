"""A chain as a revision prepares it: its filters, and what can be known before any request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from edge.chain.filter import BoundFilter

DEFAULT_BODY_BYTES: Final = 1 << 20


class ChainPlan(tuple[BoundFilter, ...]):
    """The filters in request order, with their phases as plain ints (an IntFlag costs 0.5 µs a test).

    Made once per chain of a revision. `ChainRun` takes a plain tuple too, and then makes one.
    """

    steps: tuple[tuple[BoundFilter, int], ...]
    body_bytes: int
    """The smallest buffer limit of the chain: bytes held per exchange and direction."""

    def __new__(cls, filters: Iterable[BoundFilter]) -> ChainPlan:
        plan = super().__new__(cls, filters)
        plan.steps = tuple((bound, int(bound.phases)) for bound in plan)
        plan.body_bytes = min((bound.body_bytes for bound in plan), default=DEFAULT_BODY_BYTES)
        return plan
