"""What there is, for admin: clusters and their endpoints, listeners, certificates, memory."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge import model

if TYPE_CHECKING:
    from edge.control.supervisor import Supervisor
    from edge.telemetry.exposition import Table


def clusters(supervisor: Supervisor) -> list[dict[str, Any]]:
    """Configured, found by name, and judged by probes; ejections and connections are summed over workers."""
    figures = _figures(supervisor)
    members = supervisor.feed.watcher.members() if supervisor.feed is not None else {}
    stale = {name: names for name, _, names in supervisor.feed.watcher.states()} if supervisor.feed else {}
    return [
        {
            "name": cluster.name,
            "protocol": cluster.protocol,
            "tls": cluster.tls is not None,
            "loadBalancer": cluster.balancing.type,
            "endpoints": _endpoints(cluster, members),
            "staleNames": stale.get(cluster.name, 0),
            "endpointsByState": _by(figures, "edge.cluster.endpoints", cluster.name, "state"),
            "openConnections": sum(
                _by(figures, "http.client.open_connections", cluster.name, "server.address").values()
            ),
            "rejected": _by(figures, "edge.cluster.rejected", cluster.name, "reason"),
        }
        for cluster in supervisor.draft.model.clusters
    ]


def _endpoints(cluster: model.Cluster, members: dict[str, list[Any]]) -> list[dict[str, Any]]:
    if cluster.name not in members:
        return [
            {"address": _address(each.host, each.port), "weight": each.weight, "state": "healthy"}
            for each in cluster.endpoints
        ]
    return [
        {
            "address": _address(each.host, each.port),
            "name": each.name,
            "weight": each.weight,
            "state": each.state.value,
            "reason": each.reason,
        }
        for each in members[cluster.name]
    ]


def listeners(supervisor: Supervisor) -> list[dict[str, Any]]:
    """Where edge listens, for what."""
    figures = _figures(supervisor)
    addresses = {bound.name: str(bound.address) for bound in supervisor.bound}
    return [
        {
            "name": listener.name,
            "address": addresses.get(listener.name, ""),
            "protocols": listener.protocols,
            "tls": bool(listener.certificates),
            "hostnames": sorted({name for each in listener.certificates for name in each.hostnames}),
            "clientAuth": sorted({_client_auth(each) for each in listener.certificates}),
            "connections": sum(
                value[0]
                for (name, labels), value in figures.items()
                if name == "edge.server.connections" and ("edge.listener.name", listener.name) in labels
            ),
        }
        for listener in supervisor.draft.model.listeners
    ]


def _client_auth(certificate: model.Certificate) -> str:
    auth = certificate.client_auth
    return "none" if auth is None else ("required" if auth.required else "optional")


def memory(supervisor: Supervisor) -> list[dict[str, Any]]:
    """Resident bytes of each process, and live instances of filters."""
    processes: list[dict[str, Any]] = [{"process": "supervisor", "pid": os.getpid()}]
    keepers = supervisor.fleet.keepers if supervisor.fleet is not None else []
    processes += [
        {"process": f"worker-{keeper.number}", "pid": keeper.pid} for keeper in keepers if keeper.pid
    ]
    drafting = supervisor.options.drafting_pid()
    processes += [{"process": "drafting", "pid": drafting}] if drafting else []
    for each in processes:
        each["residentBytes"] = _resident_bytes(each["pid"])
    return processes


def instances(supervisor: Supervisor) -> list[dict[str, Any]]:
    """Of filters, by state, and the linear memory of all of them."""
    return [
        {**dict(labels), "metric": name, "value": value[0]}
        for (name, labels), value in sorted(_figures(supervisor).items())
        if name in ("edge.filter.instances", "edge.filter.memory")
    ]


def _resident_bytes(pid: int) -> int:
    """0 when it has just ended."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _figures(supervisor: Supervisor) -> Table:
    return supervisor.collector.metrics.table() if supervisor.collector is not None else {}


def _by(figures: Table, metric: str, cluster: str, key: str) -> dict[str, float]:
    """Values of a cluster's series of `metric`, by one of their labels."""
    found: dict[str, float] = {}
    for (name, labels), value in figures.items():
        if name == metric and _is_of(labels, cluster):
            label = dict(labels).get(key, "")
            found[label] = found.get(label, 0.0) + value[0]
    return found


def _is_of(labels: Iterable[tuple[str, str]], cluster: str) -> bool:
    return ("edge.cluster.name", cluster) in labels


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
