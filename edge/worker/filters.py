"""The filters of a worker's revisions."""

from __future__ import annotations

import asyncio

from edge import model
from edge.chain.filter import BoundFilter
from edge.telemetry.metrics import Registry
from edge.upstream import Callouts


class FilterHost:
    """Makes the chains of a model and keeps what equal filters of revisions share."""

    def __init__(self, loop: asyncio.AbstractEventLoop, callouts: Callouts, registry: Registry) -> None:
        self._loop = loop
        self._callouts = callouts
        self._registry = registry

    async def chains(self, made: model.Model, descriptors: list[int]) -> dict[str, tuple[BoundFilter, ...]]:
        """Every chain of `made`, its filters started."""
        return {}

    def retire(self, chains: dict[str, tuple[BoundFilter, ...]]) -> None:
        """The revision of these chains is over."""
