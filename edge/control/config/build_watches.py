"""What the supervisor has to watch for the clusters of a loaded configuration."""

from __future__ import annotations

from edge import model
from edge.control.config.load import Loaded
from edge.control.config.quantity import is_ip
from edge.control.config.schema.clusters import Cluster
from edge.control.config.schema.health import ActiveHealthCheck
from edge.control.config.schema.root import Dns as DnsSection
from edge.control.discovery.spec import Check, Dns, Place, Watch


def watches(loaded: Loaded, clusters: list[model.Cluster]) -> list[Watch]:
    """Of clusters with a name among their endpoints, or with an active check. `clusters`: as built."""
    pairs = zip(loaded.root.clusters, clusters, strict=True)
    return [watch for section, built in pairs if (watch := _watch(section, built)) is not None]


def dns(section: DnsSection) -> Dns:
    """Whom the supervisor asks."""
    return Dns(
        nameservers=tuple((each.host, each.port or 53) for each in section.nameservers),
        timeout_s=section.timeout,
    )


def _watch(section: Cluster, built: model.Cluster) -> Watch | None:
    active = section.health_check.active
    if active is None and all(is_ip(endpoint.host) for endpoint in built.endpoints):
        return None
    return Watch(
        cluster=built.name,
        places=tuple(Place(host=each.host, port=each.port, weight=each.weight) for each in built.endpoints),
        refresh_s=section.discovery.refresh,
        check=_check(active) if active is not None else None,
        protocol=built.protocol,
        tls=built.tls,
    )


def _check(active: ActiveHealthCheck) -> Check:
    http, grpc = active.http, active.grpc
    return Check(
        type=active.type,
        interval_s=active.interval,
        timeout_s=active.timeout,
        healthy_threshold=active.healthy_threshold,
        unhealthy_threshold=active.unhealthy_threshold,
        path=http.path if http else "/",
        method=http.method if http else "GET",
        hostname=(http.hostname or "") if http else "",
        expected_statuses=tuple(http.expected_statuses) if http else (200,),
        service=grpc.service if grpc else "",
    )
