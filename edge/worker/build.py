"""From a model to a revision that can serve: tables, clusters, chains, tracing, reports."""

from __future__ import annotations

from edge import model
from edge.chain.filter import BoundFilter
from edge.route import Candidate, RouteTable, Rule
from edge.telemetry.spans import RouteInfo
from edge.upstream import Clusters
from edge.worker.reporting import Reports, filter_infos
from edge.worker.slices import Slices


async def tables(
    made: model.Model,
    clusters: Clusters,
    chains: dict[str, tuple[BoundFilter, ...]],
    reports: Reports,
    slices: Slices,
) -> dict[str, RouteTable]:
    """One sealed table per listener; built in slices, so that requests go on meanwhile.

    Raises ValueError when a name of the model is undefined; the control plane has checked them.
    """
    result = {listener.name: RouteTable() for listener in made.listeners}
    for listener in made.listeners:
        reports.no_rule(RouteInfo(listener.name, revision=made.revision))
    order = 0
    for route in made.routes:
        if slices.due():
            await slices.turn()
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
