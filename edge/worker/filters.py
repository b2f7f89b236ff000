"""The filters of a worker's revisions: modules loaded once, equal filters kept across revisions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Set
from typing import Final, NamedTuple, TypeVar

from edge import model
from edge.abi.proxy_wasm import (
    Group,
    InnerHost,
    ProxyWasmModule,
    bind_group,
    grouped,
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
    """A group of filters in use, and by how many chains."""

    __slots__ = ("group", "models", "users")

    def __init__(self, models: tuple[model.Filter, ...], group: Group) -> None:
        self.models = models
        self.group = group
        self.users = 0


class FilterFigures(NamedTuple):
    """What one filter costs: `calls` and `cpu_s` since the start, the others now."""

    calls: float = 0.0
    cpu_s: float = 0.0
    memory_bytes: int = 0
    instances: int = 0


def _add(shown: dict[str, FilterFigures], group: Group) -> None:
    figures = group.figures()
    share = len(group.filters)
    for slot, bound in enumerate(group.filters):
        before = shown.get(bound.name, FilterFigures())
        shown[bound.name] = FilterFigures(
            before.calls + figures.calls / share,
            before.cpu_s + figures.cpu_s / share,
            before.memory_bytes + figures.memory_bytes[slot],
            before.instances + figures.cells,
        )


def _plan(groups: list[Group]) -> ChainPlan:
    express = groups[0].express if len(groups) == 1 and groups[0].fits_express() else None
    return ChainPlan((bound for group in groups for bound in group.filters), express)


class FilterHost:
    """Makes the chains of a model and keeps what equal groups of filters of revisions share."""

    def __init__(self, loop: asyncio.AbstractEventLoop, services: WorkerServices) -> None:
        self._loop = loop
        self._services = services
        self._inner: InnerHost | None = None
        self._modules: dict[str, ProxyWasmModule] = {}
        self._bound: list[_Bound] = []
        self._past: dict[str, FilterFigures] = {}

    async def chains(self, made: model.Model, descriptors: list[int]) -> Chains:
        """Every chain of `made`, its filters started.

        A filter that cannot be started does not refuse the revision: requests on its chain get
        503, or pass it by, as its failStrategy says, and starting is tried again.
        """
        # Of this revision alone: another one that ends meanwhile forgets what nobody uses yet.
        modules = await self._on_warm(lambda: self._load(made, descriptors)) if made.modules else {}
        self._modules.update(modules)
        result: Chains = {}
        try:
            for chain in made.chains:
                groups: list[Group] = []
                result[chain.name] = ChainPlan(())
                for specs in grouped(chain.filters):
                    groups.append(await self._group(specs, modules))
                    # A plan at a time, so that what is begun is in `result` and can be given back.
                    result[chain.name] = _plan(groups)
        except BaseException:
            self.retire(result)
            raise
        return result

    def figures(self) -> dict[str, FilterFigures]:
        """By filter name. A Store that filters share is shown in equal parts."""
        shown: dict[str, FilterFigures] = dict(self._past)
        for known in self._bound:
            _add(shown, known.group)
        return shown

    def retire(self, chains: Chains) -> None:
        """The revision of these chains is over."""
        gone = [bound for chain in chains.values() for bound in chain]
        for known in list(self._bound):
            known.users -= sum(1 for bound in gone if bound is known.group.filters[0])
            if known.users <= 0:
                self._bound.remove(known)
                _add(self._past, known.group)
                for bound in known.group.filters:
                    self._past[bound.name] = self._past[bound.name]._replace(memory_bytes=0, instances=0)
                known.group.retire()
        in_use = {spec.module for known in self._bound for spec in known.models}
        self._modules = {digest: module for digest, module in self._modules.items() if digest in in_use}

    def forget(self, names: Set[str]) -> None:
        """No chain has filters of these names any more: what they cost and counted is of no interest."""
        for name in names:
            self._past.pop(name, None)
        self._services.guest_metrics.forget(names)

    def _load(self, made: model.Model, descriptors: list[int]) -> dict[str, ProxyWasmModule]:
        """On `warm`: by digest, those that are loaded already among them."""
        if self._inner is None:
            self._inner = load_inner(descriptors[made.inner_host_fd])
        known = dict(self._modules)
        return {
            module.digest: known.get(module.digest) or load_module(module, descriptors, self._inner)
            for module in made.modules
        }

    async def _group(self, specs: tuple[model.Filter, ...], modules: dict[str, ProxyWasmModule]) -> Group:
        for known in self._bound:
            if known.models == specs:
                known.users += 1
                return known.group
        bound = bind_group(specs, [modules[spec.module] for spec in specs], self._services)
        known = _Bound(specs, bound)
        known.users = 1
        self._bound.append(known)
        started = self._loop.create_future()

        def done(error: Exception | None) -> None:
            if not started.done():
                started.set_result(error)

        known.group.prepare(done)
        error = await started
        if error is not None:
            _log.error("filter %s cannot be started: %s", known.group.name, error)
        return known.group

    async def _on_warm(self, job: Callable[[], T]) -> T:
        future: asyncio.Future[T | Exception] = self._loop.create_future()
        self._services.warm.submit(job, future.set_result)
        result = await future
        if isinstance(result, Exception):
            raise result
        return result
