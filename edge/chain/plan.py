"""A chain as a revision prepares it: its filters, and what can be known before any request."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from edge.chain.filter import BoundFilter
from edge.chain.host import ChainHost

if TYPE_CHECKING:
    from edge.chain.express import ExpressRun

DEFAULT_BODY_BYTES: Final = 1 << 20

Express = Callable[["ChainPlan", ChainHost, bool, Callable[[], int]], "ExpressRun | None"]
"""Opens the express lane for one exchange, as `ChainRun`; None when it cannot be taken now."""


class ChainPlan(tuple[BoundFilter, ...]):
    """The filters in request order, with their phases as plain ints (an IntFlag costs 0.5 µs a test).

    Made once per chain of a revision. `ChainRun` takes a plain tuple too, and then makes one.
    """

    steps: tuple[tuple[BoundFilter, int], ...]
    body_bytes: int
    """The smallest buffer limit of the chain: bytes held per exchange and direction."""
    express: Express | None
    """Set where all filters together can be asked at once."""

    def __new__(cls, filters: Iterable[BoundFilter], express: Express | None = None) -> ChainPlan:
        plan = super().__new__(cls, filters)
        plan.steps = tuple((bound, int(bound.phases)) for bound in plan)
        plan.body_bytes = min((bound.body_bytes for bound in plan), default=DEFAULT_BODY_BYTES)
        plan.express = express
        return plan
