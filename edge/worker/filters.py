"""The filters of a worker's revisions: modules loaded once, equal filters kept across revisions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, TypeVar

from edge import model
from edge.abi.proxy_wasm import (
    InnerHost,
    ProxyWasmFilter,
    ProxyWasmModule,
    bind_filter,
    load_inner,
    load_module,
)
from edge.chain.filter import BoundFilter
from edge.chain.plan import ChainPlan
from edge.worker.services import WorkerServices

T = TypeVar("T")
Chains = dict[str, tuple[BoundFilter, ...]]

_log: Final = logging.getLogger("edge.worker")


class _Bound:
    """A filter in use, and by how many chains."""

    __slots__ = ("filter", "model", "users")

    def __init__(self, made: model.Filter, bound: ProxyWasmFilter) -> None:
        self.model = made
        self.filter = bound
        self.users = 0


class FilterHost:
    """Makes the chains of a model and keeps what equal filters of revisions share."""

    def __init__(self, loop: asyncio.AbstractEventLoop, services: WorkerServices) -> None:
        self._loop = loop
        self._services = services
        self._inner: InnerHost | None = None
        self._modules: dict[str, ProxyWasmModule] = {}
        self._bound: list[_Bound] = []

    async def chains(self, made: model.Model, descriptors: list[int]) -> Chains:
        """Every chain of `made`, its filters started.

        A filter that cannot be started does not refuse the revision: requests on its chain get
        503, or pass it by, as its failStrategy says, and starting is tried again.
        """
        if made.modules:
            await self._on_warm(lambda: self._load(made, descriptors))
        result: Chains = {}
        for chain in made.chains:
            filters: list[BoundFilter] = [await self._filter(spec) for spec in chain.filters]
            result[chain.name] = ChainPlan(tuple(filters))
        return result

    def retire(self, chains: Chains) -> None:
        """The revision of these chains is over."""
        gone = [bound for chain in chains.values() for bound in chain]
        for known in list(self._bound):
            known.users -= sum(1 for bound in gone if bound is known.filter)
            if known.users <= 0:
                self._bound.remove(known)
                known.filter.retire()
        in_use = {known.model.module for known in self._bound}
        self._modules = {digest: module for digest, module in self._modules.items() if digest in in_use}

    def _load(self, made: model.Model, descriptors: list[int]) -> None:
        if self._inner is None:
            self._inner = load_inner(descriptors[made.inner_host_fd])
        for module in made.modules:
            if module.digest not in self._modules:
                self._modules[module.digest] = load_module(module, descriptors, self._inner)

    async def _filter(self, spec: model.Filter) -> ProxyWasmFilter:
        for known in self._bound:
            if known.model == spec:
                known.users += 1
                return known.filter
        known = _Bound(spec, bind_filter(spec, self._modules[spec.module], self._services))
        known.users = 1
        self._bound.append(known)
        started = self._loop.create_future()

        def done(error: Exception | None) -> None:
            if not started.done():
                started.set_result(error)

        known.filter.prepare(done)
        error = await started
        if error is not None:
            _log.error("filter %s cannot be started: %s", spec.name, error)
        return known.filter

    async def _on_warm(self, job: Callable[[], T]) -> T:
        future: asyncio.Future[T | Exception] = self._loop.create_future()
        self._services.warm.submit(job, future.set_result)
        result = await future
        if isinstance(result, Exception):
            raise result
        return result
