"""nginx and Envoy behind edge, each killed under load and started again: no client sees it.

Watched in every way there is: HTTP, TCP and gRPC probes, and by what requests meet; in HTTP/1.1 and HTTP/2.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from tests.integration.killable_servers import KillableServer, killable_envoy, killable_nginx
from tests.integration.raw_client import RawClient, Truncated, request
from tests.integration.running_edge import EdgeProcess, configuration, rule, running_edge, within

WAIT_S: Final = 60.0
PAUSE_S: Final = 0.005
MORE: Final = 20
"""Answers of each cluster, between two events."""
_OFTEN: Final = {"interval": "100ms", "timeout": "1s", "unhealthyThreshold": 2}
_FAILING: Final = {
    "consecutiveLocalOriginFailures": 2,
    "baseEjectionTime": "500ms",
    "maxEjectionTime": "500ms",
}
ACTIVE: Final[dict[str, dict[str, Any]]] = {
    "http": {"type": "HTTP", "http": {"path": "/name"}, **_OFTEN},
    "tcp": {"type": "TCP", **_OFTEN},
    "grpc": {"type": "GRPC", **_OFTEN},
}
CLUSTERS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "h1-http": ("h1", {"active": ACTIVE["http"]}),
    "h1-tcp": ("h1", {"active": ACTIVE["tcp"]}),
    "h1-passive": ("h1", {"passive": _FAILING}),
    "h2-http": ("h2", {"active": ACTIVE["http"]}),
    "h2-grpc": ("h2", {"active": ACTIVE["grpc"]}),
    "h2-passive": ("h2", {"passive": _FAILING}),
}


class Load:
    """One client for each cluster. `answers` by (cluster, who answered); `failed` is what was no 200."""

    def __init__(self, port: int) -> None:
        self.answers: Counter[tuple[str, str]] = Counter()
        self.failed: list[str] = []
        self._port = port
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask_on, args=(name,)) for name in CLUSTERS]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(WAIT_S)
            assert not thread.is_alive()

    def _ask_on(self, cluster: str) -> None:
        try:
            with RawClient(self._port) as client:
                while not self._stop.wait(PAUSE_S):
                    response = client.exchange(request(f"/{cluster}/name".encode()))
                    self._count(cluster, response.status, response.body)
        except (OSError, Truncated) as error:
            with self._lock:
                self.failed.append(f"{cluster}: {error!r}")

    def _count(self, cluster: str, status: int, body: bytes) -> None:
        with self._lock:
            self.answers[cluster, body.decode("latin-1")] += 1
            if status != 200:
                self.failed.append(f"{cluster}: {status}")

    def until_served_by(self, *servers: str) -> None:
        """Every cluster has been served by all of them, a number of times from now on."""
        target = {(name, who): self.answers[name, who] + MORE for name in CLUSTERS for who in servers}
        for _ in within(WAIT_S, f"{servers} serve every cluster: {self.answers}, {self.failed[:3]}"):
            if all(self.answers[key] >= number for key, number in target.items()):
                return


def until_known(edge: EdgeProcess, down: bool) -> None:
    """Every probe has found out. Requests find out by themselves."""
    for _ in within(WAIT_S, f"probes know that one server is {'down' if down else 'up'}"):
        well = [
            edge.metric("edge_cluster_endpoints", f'edge_cluster_name="{name}",state="healthy"')
            for name, (_, health) in CLUSTERS.items()
            if "active" in health
        ]
        if well == [1.0 if down else 2.0] * len(well):
            return


def until_ejected(edge: EdgeProcess) -> None:
    """Where nobody probes, the requests themselves have told."""
    waiting = {name for name, (_, health) in CLUSTERS.items() if "passive" in health}
    for _ in within(WAIT_S, f"{waiting} leave the server alone"):
        for name in list(waiting):
            if edge.metric("edge_cluster_endpoints", f'edge_cluster_name="{name}",state="ejected"') == 1:
                waiting.discard(name)
        if not waiting:
            return


@contextmanager
def site(folder: Path, state: Path, nodes: list[KillableServer]) -> Iterator[EdgeProcess]:
    strip = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}
    again = {"attempts": 3, "codes": [502, 503], "backoff": "10ms"}
    rules = [
        rule(name, f"/{name}", filters=[{"type": "URLRewrite", "urlRewrite": strip}], retry=again)
        for name in CLUSTERS
    ]
    config = configuration({name: [node.port for node in nodes] for name in CLUSTERS}, rules)
    for cluster in config["clusters"]:
        protocol, health = CLUSTERS[cluster["name"]]
        cluster |= {"protocol": protocol, "healthCheck": health}
        cluster["circuitBreaker"] = {"retryBudget": {"percent": 100, "minPerSecond": 1000}}
    with running_edge(folder, config, state) as edge:
        yield edge


def test_a_server_that_is_killed_and_comes_back_is_left_alone_meanwhile_and_no_client_sees_it(
    tmp_path: Path, edge_state: Path
) -> None:
    with ExitStack() as stack:
        health = stack.enter_context(killable_nginx(tmp_path / "health"))
        first = stack.enter_context(killable_nginx(tmp_path / "nginx"))
        second = stack.enter_context(killable_envoy(tmp_path / "envoy", health.port))
        for server in (health, first, second):
            server.start()
        edge = stack.enter_context(site(tmp_path / "edge", edge_state, [first, second]))
        until_known(edge, down=False)
        with Load(edge.web) as load:
            load.until_served_by("nginx", "envoy")
            for victim, other in ((first, "envoy"), (second, "nginx")):
                victim.kill()
                until_known(edge, down=True)
                until_ejected(edge)
                load.until_served_by(other)
                victim.start()
                until_known(edge, down=False)
                load.until_served_by("nginx", "envoy")
        assert load.failed == []
