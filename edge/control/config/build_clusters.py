"""The clusters of a loaded configuration as the model that goes to workers."""

from __future__ import annotations

from typing import Final

from edge import model
from edge.control.config.load import Loaded
from edge.control.config.schema.balancing import ConsistentHash, CookieAttributes, LoadBalancer
from edge.control.config.schema.clusters import Cluster
from edge.control.config.schema.health import PassiveHealthCheck
from edge.control.config.schema.retry import GRPC_STATUSES, Retry

_TYPES: Final = {"RoundRobin": "round_robin", "LeastRequest": "least_request", "Random": "random"}
_PROXY_VERSIONS: Final = {"V1": 1, "V2": 2}
MAX_BACKOFF_FACTOR: Final = 10


def cluster_models(loaded: Loaded) -> list[model.Cluster]:
    """All of them, in the order of the file."""
    return [_cluster(loaded, index, cluster) for index, cluster in enumerate(loaded.root.clusters)]


def _cluster(loaded: Loaded, index: int, cluster: Cluster) -> model.Cluster:
    breaker = cluster.circuit_breaker
    passive = cluster.health_check.passive
    return model.Cluster(
        name=cluster.name,
        endpoints=[
            model.Endpoint(host=address.host, port=address.port, weight=weight)
            for address, weight in cluster.discovery.places()
        ],
        connect_timeout_s=cluster.timeout.tcp.connect_timeout,
        idle_timeout_s=cluster.timeout.http.connection_idle_timeout,
        max_connections=breaker.max_connections,
        max_pending=breaker.max_pending_requests,
        max_requests=breaker.max_parallel_requests or 0,
        max_retries=breaker.max_parallel_retries or 0,
        retry_percent=breaker.retry_budget.percent,
        min_retries_per_s=breaker.retry_budget.min_per_second,
        protocol=cluster.protocol,
        proxy_protocol=_PROXY_VERSIONS[cluster.proxy_protocol.version] if cluster.proxy_protocol else 0,
        tls=_tls(loaded, index, cluster),
        balancing=_balancing(cluster.load_balancer),
        outliers=_outliers(passive) if passive is not None else None,
        panic_percent=cluster.health_check.panic_threshold,
    )


def _tls(loaded: Loaded, index: int, cluster: Cluster) -> model.UpstreamTls | None:
    tls = cluster.tls
    if tls is None:
        return None
    pair = loaded.certificates.get(("clusters", index, "tls"))
    return model.UpstreamTls(
        sni=tls.sni or "",
        ca_pem=loaded.authorities.get(("clusters", index, "tls", "caFile"), b""),
        names=list(tls.subject_alt_names),
        chain_pem=pair.chain_pem if pair else b"",
        key_pem=pair.key_pem if pair else b"",
        min_version=tls.min_version,
    )


def _balancing(balancer: LoadBalancer) -> model.Balancing:
    hashed = balancer.consistent_hash
    if hashed is None:
        return model.Balancing(type=_TYPES[balancer.type])
    on, name = _subject(hashed)
    cookie = hashed.cookie
    sets = cookie is not None and cookie.ttl is not None
    return model.Balancing(
        type="hash",
        hash_on=on,
        name=name.encode(),
        table_size=hashed.table_size,
        cookie_ttl_s=int(cookie.ttl or 0) if cookie is not None and sets else None,
        cookie_attributes=_attributes(cookie.attributes) if cookie is not None and sets else b"",
    )


def _subject(hashed: ConsistentHash) -> tuple[str, str]:
    if hashed.header is not None:
        return "header", hashed.header.name
    if hashed.cookie is not None:
        return "cookie", hashed.cookie.name
    if hashed.query_param is not None:
        return "query", hashed.query_param.name
    return "source", ""


def _attributes(attributes: CookieAttributes) -> bytes:
    parts = [f"Path={attributes.path}"]
    if attributes.domain is not None:
        parts.append(f"Domain={attributes.domain}")
    if attributes.http_only:
        parts.append("HttpOnly")
    parts.append(f"SameSite={attributes.same_site}")
    return "".join(f"; {part}" for part in parts).encode()


def _outliers(passive: PassiveHealthCheck) -> model.Outliers:
    return model.Outliers(
        consecutive_5xx=passive.consecutive_5xx_errors,
        consecutive_gateway=passive.consecutive_gateway_errors,
        consecutive_local=passive.consecutive_local_origin_failures,
        interval_s=passive.interval,
        base_ejection_s=passive.base_ejection_time,
        max_ejection_s=passive.max_ejection_time,
        max_ejection_percent=passive.max_ejection_percent,
    )


def retry_model(retry: Retry | None) -> model.Retry | None:
    """Of one rule. The longest backoff is ten times the first, unless the file says it."""
    if retry is None:
        return None
    return model.Retry(
        codes=list(retry.codes),
        conditions=list(retry.conditions),
        grpc_statuses=[GRPC_STATUSES[name] for name in retry.grpc_statuses],
        attempts=retry.attempts,
        backoff_s=retry.backoff,
        max_backoff_s=retry.max_backoff or retry.backoff * MAX_BACKOFF_FACTOR,
        non_idempotent=retry.non_idempotent,
    )
