"""From a model to the route tables of a revision."""

from __future__ import annotations

from edge import model
from edge.chain.filter import BoundFilter
from edge.route import Candidate, RouteTable, Rule, Site
from edge.route.hostname import shared
from edge.route.site import TraceMirror
from edge.telemetry.spans import RouteInfo
from edge.upstream import Clusters
from edge.worker.reporting import Reports, filter_infos
from edge.worker.slices import Slices

_Chains = dict[str, tuple[BoundFilter, ...]]


async def tables(
    made: model.Model,
    clusters: Clusters,
    chains: _Chains,
    reports: Reports,
    slices: Slices,
    trace: TraceMirror | None = None,
) -> dict[str, RouteTable]:
    """One sealed table per listener; built in slices, so that requests go on meanwhile.

    Takes the routes out of `made`: each is needed once, and to let go of all at the end would take long.
    Raises ValueError when a name of the model is undefined; the control plane has checked them.
    """
    result = {listener.name: RouteTable() for listener in made.listeners}
    sites = {
        listener.name: Site(listener.advertised_port or listener.port, clusters, reports.mirrored, trace)
        for listener in made.listeners
    }
    for listener in made.listeners:
        reports.no_rule(RouteInfo(listener.name, revision=made.revision))
    served = {listener.name: listener.hostnames for listener in made.listeners}
    order = 0
    waiting = made.routes[::-1]
    made.routes.clear()
    while waiting:
        route = waiting.pop()
        for rule in route.rules:
            if slices.due():
                await slices.turn()
            _check(route, rule, clusters, chains)
            for name in route.listeners:
                hostnames = shared(served[name], route.hostnames)
                if hostnames is None:
                    continue
                prepared = _rule(route, rule, clusters, chains, sites[name])
                report = reports.rule(_info(made, route, rule, name, prepared))
                for index, match in enumerate(rule.matches):
                    candidate = Candidate(match, prepared, order + index, report, index)
                    result[name].add(hostnames, candidate)
            order += len(rule.matches)
    for table in result.values():
        for _ in table.sealing():
            if slices.due():
                await slices.turn()
    return result


def _check(route: model.Route, rule: model.Rule, clusters: Clusters, chains: _Chains) -> None:
    named = [rule.cluster] if rule.cluster else [backend.cluster for backend in rule.backends]
    named += [mirror.cluster for mirror in rule.mirrors]
    if not all(name in clusters for name in named) or (rule.chain and rule.chain not in chains):
        raise ValueError(f"rule {rule.name!r} of route {route.name!r} names what the model lacks")


def _rule(route: model.Route, rule: model.Rule, clusters: Clusters, chains: _Chains, site: Site) -> Rule:
    cluster = clusters[rule.cluster] if rule.cluster else None
    chain = chains[rule.chain] if rule.chain else ()
    return Rule(route.name, rule, cluster, chain, site, clusters.retrying(rule.retry))


def _info(
    made: model.Model, route: model.Route, rule: model.Rule, listener: str, prepared: Rule
) -> RouteInfo:
    template = rule.matches[0].path.decode("ascii", "replace") if rule.matches else "/"
    return RouteInfo(
        listener, route.name, template, rule.chain or "", made.revision, filter_infos(prepared.chain)
    )
