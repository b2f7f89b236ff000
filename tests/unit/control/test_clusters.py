"""`clusters` and `retry` of rules: from the file to the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trustme

from edge import model
from edge.control.config.build import Artefacts, build
from edge.control.config.load import Loaded, load

_FILE = """\
version: 1
listeners: [{{name: web, address: "127.0.0.1:8080"}}]
routes: [{{name: all, parentRefs: [{{name: web}}], rules: [{{backendRefs: [{{name: up}}]{rule}}}]}}]
clusters:
  - name: up
    discovery:
      type: Static
      endpoints: [{{address: "10.0.0.1:443"}}, {{address: "10.0.0.2:443", weight: 3}}]
{cluster}
"""


def made(folder: Path, cluster: str = "", rule: str = "") -> model.Model:
    file = folder / "edge.yaml"
    file.write_text(_FILE.format(cluster=cluster, rule=rule))
    loaded = load(file)
    assert isinstance(loaded, Loaded), [problem.text() for problem in loaded]
    return build(loaded, 1, {"web": 8080}, Artefacts())


def test_a_cluster_has_the_models_defaults(tmp_path: Path) -> None:
    cluster = made(tmp_path).clusters[0]
    assert cluster == model.Cluster(name="up", endpoints=cluster.endpoints)
    assert [(each.host, each.port, each.weight) for each in cluster.endpoints] == [
        ("10.0.0.1", 443, 1),
        ("10.0.0.2", 443, 3),
    ]


ATTRIBUTES = "{path: /a, domain: a.example, sameSite: Strict, httpOnly: false}"


def hashed(on: str, name: bytes = b"", **fields: Any) -> model.Balancing:
    return model.Balancing(type="hash", hash_on=on, name=name, **fields)


@pytest.mark.parametrize(
    ("written", "balancing"),
    [
        ("type: SourceIP", hashed("source")),
        (
            "type: Header, header: {name: X-Tenant}, tableSize: 1021",
            hashed("header", b"x-tenant", table_size=1021),
        ),
        ("type: QueryParam, queryParam: {name: user}", hashed("query", b"user")),
        ("type: Cookie, cookie: {name: sid}", hashed("cookie", b"sid")),
        (
            "type: Cookie, cookie: {name: sid, ttl: 1h}",
            hashed(
                "cookie", b"sid", cookie_ttl_s=3600, cookie_attributes=b"; Path=/; HttpOnly; SameSite=Lax"
            ),
        ),
        (
            f"type: Cookie, cookie: {{name: sid, ttl: 0s, attributes: {ATTRIBUTES}}}",
            hashed(
                "cookie",
                b"sid",
                cookie_ttl_s=0,
                cookie_attributes=b"; Path=/a; Domain=a.example; SameSite=Strict",
            ),
        ),
    ],
)
def test_consistent_hashes(written: str, balancing: model.Balancing, tmp_path: Path) -> None:
    cluster = f"    loadBalancer: {{type: ConsistentHash, consistentHash: {{{written}}}}}"
    assert made(tmp_path, cluster).clusters[0].balancing == balancing


@pytest.mark.parametrize(
    ("written", "kind"),
    [("RoundRobin", "round_robin"), ("LeastRequest", "least_request"), ("Random", "random")],
)
def test_load_balancers(written: str, kind: str, tmp_path: Path) -> None:
    cluster = made(tmp_path, f"    loadBalancer: {{type: {written}}}").clusters[0]
    assert cluster.balancing == model.Balancing(type=kind)


def test_health_and_limits(tmp_path: Path) -> None:
    cluster = made(
        tmp_path,
        """\
    healthCheck:
      panicThreshold: 30
      passive: {consecutive5XxErrors: 4, consecutiveGatewayErrors: 2, consecutiveLocalOriginFailures: 1,
                interval: 1s, baseEjectionTime: 5s, maxEjectionTime: 50s, maxEjectionPercent: 20}
    circuitBreaker: {maxConnections: 9, maxPendingRequests: 8, maxParallelRequests: 7, maxParallelRetries: 6,
                     retryBudget: {percent: 5, minPerSecond: 4}}
""",
    ).clusters[0]
    assert cluster.outliers == model.Outliers(
        consecutive_5xx=4,
        consecutive_gateway=2,
        consecutive_local=1,
        interval_s=1.0,
        base_ejection_s=5.0,
        max_ejection_s=50.0,
        max_ejection_percent=20,
    )
    assert cluster.panic_percent == 30
    assert (cluster.max_connections, cluster.max_pending, cluster.max_requests) == (9, 8, 7)
    assert (cluster.max_retries, cluster.retry_percent, cluster.min_retries_per_s) == (6, 5, 4)


def test_names_versions_and_a_certificate_of_our_own(tmp_path: Path) -> None:
    leaf = trustme.CA().issue_cert("edge.internal")
    leaf.private_key_pem.write_to_path(str(tmp_path / "edge.key"))
    leaf.cert_chain_pems[0].write_to_path(str(tmp_path / "edge.crt"))
    tls = (
        made(
            tmp_path,
            "    tls: {subjectAltNames: [a.internal, 'spiffe://c/shop'], minVersion: '1.3',"
            " certFile: edge.crt, keyFile: edge.key}",
        )
        .clusters[0]
        .tls
    )
    assert tls == model.UpstreamTls(
        names=["a.internal", "spiffe://c/shop"],
        chain_pem=leaf.cert_chain_pems[0].bytes(),
        key_pem=leaf.private_key_pem.bytes(),
        min_version="1.3",
    )


def test_a_rule_without_retry_has_none(tmp_path: Path) -> None:
    assert made(tmp_path).routes[0].rules[0].retry is None


@pytest.mark.parametrize(
    ("written", "retry"),
    [
        (
            "{codes: [502, 503], attempts: 2, backoff: 50ms}",
            model.Retry(
                codes=[502, 503],
                conditions=["connect-failure", "refused-stream", "reset", "timeout"],
                attempts=2,
                backoff_s=0.05,
                max_backoff_s=0.5,
            ),
        ),
        (
            "{conditions: [reset], maxBackoff: 1s, grpcStatuses: [unavailable], nonIdempotent: true}",
            model.Retry(conditions=["reset"], grpc_statuses=[14], max_backoff_s=1.0, non_idempotent=True),
        ),
    ],
)
def test_retries(written: str, retry: model.Retry, tmp_path: Path) -> None:
    assert made(tmp_path, rule=f", retry: {written}").routes[0].rules[0].retry == retry
