"""curl → edge → nginx and Envoy in HTTP/2 and over TLS."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.integration.authority import HOSTS, Authority
from tests.integration.real_upstreams import SIZES, body_of, digest, pages
from tests.integration.running_edge import EdgeProcess, configuration, rule, running_edge, within
from tests.tools import curl, free_port, nginx, require

_TIMEOUT_S = 60
_NGINX = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/bodies;
  client_max_body_size 64m;
  client_body_buffer_size 16m;
  keepalive_requests 20;
  ssl_certificate {certFile};
  ssl_certificate_key {keyFile};
  server {{ listen 127.0.0.1:{plain}; http2 on; include {folder}/places; }}
  server {{ listen 127.0.0.1:{secure} ssl; http2 on; include {folder}/places; }}
  server {{ listen 127.0.0.1:{old} ssl; include {folder}/places; }}
}}
"""
_PLACES = """\
root {files};
location / {{ }}
location = /echo {{ echo_read_request_body; echo_request_body; }}
location = /protocol {{ default_type text/plain; return 200 "$server_protocol $scheme $ssl_server_name"; }}
location = /none {{ return 204; }}
location = /same {{ return 304; }}
"""

GOOD = ("nginx-h2c", "nginx-h2", "nginx-h1-tls", "envoy-h2c")
BAD = ("unknown-authority", "other-name", "no-h2")


@dataclass(frozen=True)
class Site:
    edge: EdgeProcess
    folder: Path

    def curl(self, *arguments: str | Path, path: str) -> bytes:
        words: list[str | Path] = [require(curl), "-sS", "--noproxy", "*", "--max-time", str(_TIMEOUT_S)]
        words += [*arguments, f"http://127.0.0.1:{self.edge.web}{path}"]
        done = subprocess.run(words, capture_output=True, timeout=_TIMEOUT_S + 10, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def status(self, path: str, *arguments: str) -> int:
        return int(self.curl("-o", "/dev/null", "-w", "%{http_code}", *arguments, path=path))


@contextmanager
def _nginx(folder: Path, authority: Authority) -> Iterator[dict[str, int]]:
    """Ports by kind: `plain` (h1, h2c), `secure` (h1, h2), `old` (TLS, h1 only)."""
    folder.mkdir()
    files = pages(folder / "files")
    ports = {name: free_port() for name in ("plain", "secure", "old")}
    pair = authority.listener()["tls"]["certificates"][0]
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, **ports, **pair))
    (folder / "places").write_text(_PLACES.format(files=files))
    command = [
        require(nginx),
        "-p",
        folder,
        "-c",
        folder / "nginx.conf",
        "-e",
        folder / "log",
        "-g",
        "user root;",
    ]
    child = subprocess.Popen([str(word) for word in command])
    try:
        for _ in within(_TIMEOUT_S, "nginx listens"):
            assert child.poll() is None, (folder / "log").read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", ports["old"])) == 0:
                    break
        yield ports
    finally:
        child.terminate()
        child.wait(10)


def _clusters(ports: dict[str, int], envoy_port: int, authority: Authority, stranger: Path) -> dict[str, Any]:
    trusted = {"sni": HOSTS[0], "caFile": str(authority.file)}
    return {
        "nginx-h2c": (ports["plain"], {"protocol": "h2"}),
        "nginx-h2": (ports["secure"], {"protocol": "h2", "tls": trusted}),
        "nginx-h1-tls": (ports["old"], {"tls": trusted}),
        "envoy-h2c": (envoy_port, {"protocol": "h2"}),
        "unknown-authority": (ports["secure"], {"tls": {"sni": HOSTS[0], "caFile": str(stranger)}}),
        "other-name": (ports["secure"], {"tls": {"sni": HOSTS[1], "caFile": str(authority.file)}}),
        "no-h2": (ports["old"], {"protocol": "h2", "tls": trusted}),
    }


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, edge_state: Path, authority: Authority, envoy_port: int
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("upstream-servers")
    trustme.CA().cert_pem.write_to_path(str(folder / "stranger.pem"))
    for name in SIZES:
        (folder / name).write_bytes(body_of(name))
    strip = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}
    with _nginx(folder / "nginx", authority) as ports:
        clusters = _clusters(ports, envoy_port, authority, folder / "stranger.pem")
        rules = [
            rule(name, f"/{name}", filters=[{"type": "URLRewrite", "urlRewrite": strip}]) for name in clusters
        ]
        config = configuration({name: [port] for name, (port, _) in clusters.items()}, rules)
        for cluster in config["clusters"]:
            cluster |= clusters[cluster["name"]][1]
        config["listeners"][0]["protocols"] = ["h1", "h2c"]
        with running_edge(folder / "edge", config, edge_state) as edge:
            yield Site(edge, folder)


@pytest.mark.parametrize("downstream", ["--http1.1", "--http2-prior-knowledge"])
@pytest.mark.parametrize("upstream", GOOD)
@pytest.mark.parametrize("name", SIZES)
def test_a_body_comes_down_whole(site: Site, downstream: str, upstream: str, name: str) -> None:
    assert digest(site.curl(downstream, path=f"/{upstream}/{name}")) == digest(body_of(name))


@pytest.mark.parametrize("downstream", ["--http1.1", "--http2-prior-knowledge"])
@pytest.mark.parametrize("upstream", GOOD)
@pytest.mark.parametrize("name", SIZES)
def test_a_body_goes_up_and_comes_back(site: Site, downstream: str, upstream: str, name: str) -> None:
    body = ["--data-binary", f"@{site.folder / name}", "-H", "content-type: x/y"]
    assert digest(site.curl(downstream, *body, path=f"/{upstream}/echo")) == digest(body_of(name))


@pytest.mark.parametrize(
    ("upstream", "said"),
    [
        ("nginx-h2c", b"HTTP/2.0 http "),
        ("nginx-h2", b"HTTP/2.0 https " + HOSTS[0].encode()),
        ("nginx-h1-tls", b"HTTP/1.1 https " + HOSTS[0].encode()),
    ],
)
def test_the_cluster_is_spoken_to_as_configured(site: Site, upstream: str, said: bytes) -> None:
    assert site.curl(path=f"/{upstream}/protocol") == said


@pytest.mark.parametrize("upstream", GOOD)
def test_responses_without_a_body(site: Site, upstream: str) -> None:
    assert site.status(f"/{upstream}/none") == 204
    assert site.status(f"/{upstream}/same") == 304
    head = site.curl("-I", path=f"/{upstream}/page")
    assert b"content-length: 65536" in head


@pytest.mark.parametrize("upstream", GOOD)
def test_many_at_once_while_the_upstream_ends_connections(site: Site, upstream: str) -> None:
    """nginx says GOAWAY after 20 requests (its `keepalive_requests`)."""
    urls = f"/{upstream}/page?[1-200]"
    out = site.curl("-Z", "--parallel-max", "20", "-w", "%{http_code}\n", "-o", "/dev/null", path=urls)
    assert out.split() == [b"200"] * 200


@pytest.mark.parametrize("upstream", BAD)
def test_an_endpoint_that_cannot_be_trusted_or_understood_is_a_502(site: Site, upstream: str) -> None:
    assert site.status(f"/{upstream}/one") == 502
