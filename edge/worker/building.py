"""Builds revisions, and gives back what no revision needs any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from typing import Final

from edge import model
from edge.exchange.revision import Revision, Services
from edge.telemetry.access_log import AccessLog
from edge.telemetry.ids import Ids
from edge.telemetry.metrics import Registry
from edge.telemetry.tracer import Tracer
from edge.upstream import Callouts, Clusters, TcpDialer
from edge.worker.build import tables
from edge.worker.filters import Chains, FilterHost
from edge.worker.mirror_traces import MirrorTraces
from edge.worker.planned import Plan
from edge.worker.reporting import Reports, Traces
from edge.worker.slices import Slices

_FILTER: Final = "edge.filter.name"
Names = dict[str, frozenset[str]]
"""What series of metrics are named after, by label."""


def names_of(made: model.Model) -> Names:
    """Of everything a model defines."""
    filters = (each.name for chain in made.chains for each in chain.filters)
    return {
        "edge.route.name": frozenset(each.name for each in made.routes),
        "edge.cluster.name": frozenset(each.name for each in made.clusters),
        _FILTER: frozenset(filters),
        "edge.listener.name": frozenset(each.name for each in made.listeners),
    }


class Prepared:
    """A built revision and what must be let go when it is over."""

    __slots__ = ("chains", "clusters", "model", "names", "plan", "reports", "revision")

    def __init__(
        self,
        made: model.Model,
        revision: Revision,
        clusters: Clusters,
        chains: Chains,
        reports: Reports,
        plan: Plan,
        names: Names,
    ) -> None:
        self.reports = reports
        self.model = made
        self.names = names
        self.revision = revision
        self.clusters = clusters
        self.chains = chains
        self.plan = plan


class Builder:
    """Owns what revisions share: filters, access logs, the dialer. Equal clusters keep their pools."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        services: Services,
        filters: FilterHost,
        callouts: Callouts,
        registry: Registry,
        ids: Ids,
        tracer: Tracer,
        workers: int,
    ) -> None:
        self.access_logs: dict[str, AccessLog] = {}
        self._loop = loop
        self._services = services
        self._filters = filters
        self._callouts = callouts
        self._registry = registry
        self._ids = ids
        self._tracer = tracer
        self._workers = workers
        self._dialer = TcpDialer(loop)
        self.wall_s = time.time() - loop.time()
        """For reports; the wall clock may be put right while we run."""

    async def build(
        self, made: model.Model, descriptors: list[int], active: Prepared | None, plan: Plan, slices: Slices
    ) -> Prepared:
        """Raises OSError when the access log cannot be opened, ValueError when the model is wrong in itself;
        everything is given back then but `plan`.
        """
        clusters = Clusters(
            made.clusters,
            self._dialer,
            self._services.deadlines,
            self._services.clock,
            made.limits,
            active.clusters if active else None,
            self._workers,
        )
        names = names_of(made)
        chains: Chains = {}
        try:
            reports = Reports(self._registry, self._access_log(made.telemetry.access_log), self.wall_s)
            # New filters may call out as soon as they start; those that serve keep the clusters they know.
            self._callouts.clusters = {**clusters, **(active.clusters if active else {})}
            chains = await self._filters.chains(made, descriptors)
            telemetry = made.telemetry
            traces = Traces(telemetry, self._ids, self._tracer, reports) if telemetry.tracing else None
            mirrors = MirrorTraces(traces.propagation, self._ids, self._tracer).begin if traces else None
            routes = await tables(made, clusters, chains, reports, slices, mirrors)
        except BaseException:
            self._let_go(clusters, chains, [active] if active else [])
            raise
        revision = Revision(made.revision, routes, clusters, made.limits, traces, reports)
        return Prepared(made, revision, clusters, chains, reports, plan, names)

    def give_back(self, prepared: Prepared, alive: Iterable[Prepared]) -> list[Iterator[None]]:
        """No exchange uses `prepared` any more; `alive` are the revisions there are beside it.

        What is left to do of it, in steps.
        """
        others = list(alive)
        self._let_go(prepared.clusters, prepared.chains, others)
        left = [table.taking_apart() for table in prepared.revision.tables.values()]
        for label, names in prepared.names.items():
            gone = names.difference(*(each.names[label] for each in others))
            if gone and others:
                left.append(self._registry.forget(label, gone))
                if label == _FILTER:
                    self._filters.forget(gone)
        return left

    def _let_go(self, clusters: Clusters, chains: Chains, alive: list[Prepared]) -> None:
        self._filters.retire(chains)
        for name, cluster in clusters.items():
            if all(each.clusters.get(name) is not cluster for each in alive):
                cluster.close()
        self._callouts.clusters = alive[0].clusters if alive else {}
        wanted = {each.model.telemetry.access_log for each in alive}
        for target in self.access_logs.keys() - wanted:
            self.access_logs.pop(target).close()

    def _access_log(self, target: str) -> AccessLog | None:
        if not target:
            return None
        found = self.access_logs.get(target)
        if found is None:
            found = self.access_logs[target] = AccessLog(target, self._loop.call_later)
        return found
