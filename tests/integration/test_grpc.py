"""gRPC through edge: grpc-go's interop client and server, on every pair of transports, and past filters."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.authority import HOSTS, Authority
from tests.integration.running_edge import (
    Configuration,
    EdgeProcess,
    configuration,
    rule,
    running_edge,
    secured,
    through,
    within,
)
from tests.tools import free_port, grpc_interop, require

CASES = (
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
    "status_code_and_message",
    "special_status_message",
)
_CASE_S = 60
_START_S = 120


@dataclass(frozen=True)
class Site:
    """`edges` by what its cluster is spoken to in: `plain` and `tls`."""

    client: Path
    edges: dict[str, EdgeProcess]
    authority: Authority

    def run(self, case: str, downstream: str, upstream: str) -> subprocess.CompletedProcess[str]:
        edge = self.edges[upstream]
        words = [str(self.client), "-server_host", "127.0.0.1", "-test_case", case]
        if downstream == "tls":
            words += ["-use_tls", "-use_test_ca", "-ca_file", str(self.authority.file)]
            words += ["-server_host_override", HOSTS[0], "-server_port", str(edge.ports["secure"])]
        else:
            words += ["-server_port", str(edge.web)]
        return subprocess.run(words, capture_output=True, text=True, timeout=_CASE_S, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, edge_state: Path, authority: Authority) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("grpc")
    binaries = require(grpc_interop)
    listener = {**authority.listener(), "protocols": ["h1", "h2"]}
    files = listener["tls"]["certificates"][0]
    with ExitStack() as stack:
        edges = {}
        for name, tls in (
            ("plain", None),
            ("tls", {"sni": HOSTS[0], "caFile": str(authority.file)}),
            ("filtered", None),
        ):
            secure = ["-use_tls", "-tls_cert_file", files["certFile"], "-tls_key_file", files["keyFile"]]
            port = stack.enter_context(
                _server(binaries / "server", folder / f"{name}.log", secure if tls else [])
            )
            config = (
                _filtered(port) if name == "filtered" else configuration({"grpc": [port]}, [rule("grpc")])
            )
            config["clusters"][0] |= {"protocol": "h2"} | ({"tls": tls} if tls else {})
            config["listeners"][0]["protocols"] = ["h1", "h2c"]
            edges[name] = stack.enter_context(
                running_edge(folder / name, secured(config, listener), edge_state)
            )
        yield Site(binaries / "client", edges, authority)


def _filtered(port: int) -> Configuration:
    """Two filters, in a fresh instance each and in a shared one, and every request traced."""
    polish = {"request": {"set": {"x-from": "${method} ${path}"}}, "response": {"set": {"x-by": "${status}"}}}
    chain = [
        {"name": "fresh", "module": "headers", "config": polish, "isolation": "Request"},
        {"name": "shared", "module": "headers", "config": polish},
    ]
    return configuration(
        {"grpc": [port]},
        [rule("grpc", filters=[through("both")])],
        modules={"headers": {"builtin": "header-transform"}},
        filterChains={"both": chain},
        telemetry={"tracing": {"sampler": {"ratio": 1.0}}},
    )


@contextmanager
def _server(binary: Path, log: Path, arguments: list[str]) -> Iterator[int]:
    port = free_port()
    with log.open("wb") as out:
        child = subprocess.Popen([binary, "-port", str(port), *arguments], stdout=out, stderr=out)
    try:
        for _ in within(_START_S, "the interop server listens"):
            assert child.poll() is None, log.read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
        yield port
    finally:
        child.terminate()
        child.wait(10)


@pytest.mark.parametrize("upstream", ["plain", "tls", "filtered"])
@pytest.mark.parametrize("downstream", ["plain", "tls"])
@pytest.mark.parametrize("case", CASES)
def test_an_interop_case_passes(site: Site, case: str, downstream: str, upstream: str) -> None:
    done = site.run(case, downstream, upstream)
    assert done.returncode == 0, done.stderr[-2000:]


def test_filters_saw_the_calls(site: Site) -> None:
    assert site.run("empty_unary", "plain", "filtered").returncode == 0
    for _ in within(60, "the spans of both filters are shown"):
        traces = site.edges["filtered"].traces()
        if {"filter fresh", "filter shared"} <= {span["name"] for each in traces for span in each["spans"]}:
            break


def test_no_case_is_lost() -> None:
    assert len(set(CASES)) == 14
