"""From a model to a revision that can serve: tables, clusters, chains, tracing, reports."""

from __future__ import annotations

from collections.abc import Callable

from edge import model
from edge.chain.filter import BoundFilter
from edge.exchange.revision import Revision
from edge.route import Candidate, RouteTable, Rule
from edge.telemetry.spans import RouteInfo
from edge.upstream import Clusters
from edge.worker.reporting import Reports, filter_infos

ChainMaker = Callable[[model.Chain], tuple[BoundFilter, ...]]


class Prepared:
    """A built revision and what must be let go when it is over."""

    __slots__ = ("chains", "clusters", "model", "reports", "revision")

    def __init__(
        self,
        made: model.Model,
        revision: Revision,
        clusters: Clusters,
        chains: dict[str, tuple[BoundFilter, ...]],
        reports: Reports,
    ) -> None:
        self.reports = reports
        self.model = made
        self.revision = revision
        self.clusters = clusters
        self.chains = chains


def tables(
    made: model.Model,
    clusters: Clusters,
    chains: dict[str, tuple[BoundFilter, ...]],
    reports: Reports,
) -> dict[str, RouteTable]:
    """One sealed table per listener.

    Raises ValueError when a name of the model is undefined; the control plane has checked them.
    """
    result = {listener.name: RouteTable() for listener in made.listeners}
    for listener in made.listeners:
        reports.no_rule(RouteInfo(listener.name, revision=made.revision))
    order = 0
    for route in made.routes:
        for rule in route.rules:
            if rule.cluster not in clusters or (rule.chain or "") not in {*chains, ""}:
                raise ValueError(f"rule {rule.name!r} of route {route.name!r} names what the model lacks")
            chain = chains[rule.chain] if rule.chain else ()
            prepared = Rule(route.name, rule, clusters[rule.cluster], chain)
            for name in route.listeners:
                template = rule.matches[0].path.decode("ascii", "replace") if rule.matches else "/"
                info = RouteInfo(
                    name, route.name, template, rule.chain or "", made.revision, filter_infos(chain)
                )
                report = reports.rule(info)
                for index, match in enumerate(rule.matches):
                    order += 1
                    result[name].add(route.hostnames, Candidate(match, prepared, order, report, index))
    for table in result.values():
        table.seal()
    return result
