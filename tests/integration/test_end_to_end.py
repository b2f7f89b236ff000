"""curl → edge → nginx and Envoy, plain and over TLS."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.authority import HOSTS, Authority
from tests.integration.raw_client import RawClient, request
from tests.integration.real_upstreams import SIZES, body_of, digest
from tests.integration.running_edge import EdgeProcess, configuration, rule, running_edge, secured, within
from tests.tools import curl, require

UPSTREAMS = ("nginx", "envoy")
SCHEMES = ("http", "https")
_TIMEOUT_S = 60


@dataclass(frozen=True)
class Site:
    edge: EdgeProcess
    authority: Authority
    folder: Path

    def curl(self, scheme: str, *arguments: str | Path, path: str = "", host: str = HOSTS[0]) -> bytes:
        """curl's output; `path` becomes a URL at the end."""
        port = self.edge.ports["web" if scheme == "http" else "secure"]
        words: list[str | Path] = [require(curl), "-sS", "--noproxy", "*", "--max-time", str(_TIMEOUT_S)]
        words += ["--cacert", self.authority.file, "--resolve", f"{host}:{port}:127.0.0.1", *arguments]
        words += [f"{scheme}://{host}:{port}{each}" for each in path.split()]
        env = {key: value for key, value in os.environ.items() if key not in ("SSL_CERT_FILE", "CURL_HOME")}
        done = subprocess.run(words, capture_output=True, timeout=_TIMEOUT_S + 10, check=False, env=env)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory,
    edge_state: Path,
    authority: Authority,
    nginx_port: int,
    envoy_port: int,
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("end-to-end")
    strip = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}
    rules = [
        rule(name, f"/{name}", filters=[{"type": "URLRewrite", "urlRewrite": strip}]) for name in UPSTREAMS
    ]
    log = {"accessLog": {"path": "access.log"}}
    config = configuration({"nginx": [nginx_port], "envoy": [envoy_port]}, rules, telemetry=log)
    secured(config, authority.listener())
    for name in SIZES:
        (folder / name).write_bytes(body_of(name))
    with running_edge(folder / "edge", config, edge_state) as edge:
        yield Site(edge, authority, folder)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("name", SIZES)
def test_a_body_comes_down_whole(site: Site, scheme: str, upstream: str, name: str) -> None:
    assert digest(site.curl(scheme, path=f"/{upstream}/{name}")) == digest(body_of(name))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("framing", ["content-length", "chunked"])
def test_a_body_goes_up_and_comes_back_in_chunks(
    site: Site, scheme: str, upstream: str, name: str, framing: str
) -> None:
    body = ["--data-binary", f"@{site.folder / name}", "-H", "content-type: x/y"]
    if framing == "chunked":
        body += ["-H", "transfer-encoding: chunked"]
    back = site.curl(scheme, *body, path=f"/{upstream}/echo")
    assert digest(back) == digest(body_of(name))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_curl_keeps_its_connection(site: Site, scheme: str, upstream: str) -> None:
    path = " ".join([f"/{upstream}/name"] * 5)
    told = site.curl(scheme, "-w", " %{num_connects} %{http_version}\n", path=path).decode()
    assert told == f"{upstream} 1 1.1\n" + f"{upstream} 0 1.1\n" * 4


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_head_has_the_length_and_no_body(site: Site, scheme: str, upstream: str) -> None:
    told = site.curl(scheme, "--head", "-w", "%{size_download} %{http_code}", path=f"/{upstream}/page")
    head, _, summary = told.partition(b"\r\n\r\n")
    assert f"content-length: {SIZES['page']}".encode() in head.lower()
    assert summary == b"0 200"


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize(("path", "status"), [("none", 204), ("same", 304)])
def test_a_response_without_body_leaves_the_connection_open(
    site: Site, scheme: str, upstream: str, path: str, status: int
) -> None:
    form = "%{http_code} %{size_download} %{num_connects}\n"
    told = site.curl(scheme, "-w", form, path=f"/{upstream}/{path} /{upstream}/{path}")
    assert told.decode() == f"{status} 0 1\n{status} 0 0\n"


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_a_slow_expectation_is_met(site: Site, scheme: str, upstream: str) -> None:
    # curl waits 30 s for the 100 before it sends the body on its own.
    words = ["--expect100-timeout", "30", "-H", "expect: 100-continue", "--max-time", "20"]
    back = site.curl(scheme, *words, "--data-binary", f"@{site.folder / 'page'}", path=f"/{upstream}/echo")
    assert digest(back) == digest(body_of("page"))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_an_old_client_gets_its_body_without_chunks(site: Site, scheme: str, upstream: str) -> None:
    body = ["--http1.0", "--include", "--data-binary", f"@{site.folder / 'page'}"]
    head, _, back = site.curl(scheme, *body, path=f"/{upstream}/echo").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"transfer-encoding" not in head.lower()
    assert digest(back) == digest(body_of("page"))


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_the_access_log_tells_what_happened(site: Site, upstream: str) -> None:
    path = f"/{upstream}/echo?log={upstream}"
    site.curl("https", "--data-binary", f"@{site.folder / 'page'}", "-A", 'a "quoted" agent', path=path)
    for _ in within(30, "the line is written"):
        lines = [line for line in site.edge.access_log() if line["path"] == path]
        if lines:
            break
    (line,) = lines
    expected = {
        "method": "POST",
        "authority": f"shop.example:{site.edge.ports['secure']}",
        "protocol": "HTTP/1.1",
        "status": 200,
        "flags": "",
        "bytes_in": SIZES["page"],
        "bytes_out": SIZES["page"],
        "cluster": upstream,
        "user_agent": 'a "quoted" agent',
    }
    assert {key: line[key] for key in expected} == expected
    assert line["client"].startswith("127.0.0.1:")
    assert line["upstream"].startswith("127.0.0.1:")
    assert 0 <= line["duration_ms"] < 60_000


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_unknown_path_is_404(site: Site, scheme: str) -> None:
    assert site.curl(scheme, "-o", os.devnull, "-w", "%{http_code}", path="/elsewhere") == b"404"


@pytest.mark.parametrize("host", HOSTS)
def test_the_certificate_is_that_of_the_host(site: Site, host: str) -> None:
    context = site.authority.client("h2", "http/1.1")
    with RawClient(site.edge.ports["secure"], (context, host)) as client:
        assert isinstance(client.socket, ssl.SSLSocket)
        assert client.socket.selected_alpn_protocol() == "http/1.1"
        certificate = client.socket.getpeercert()
        assert certificate is not None
        assert certificate["subjectAltName"] == (("DNS", host),)
        assert client.exchange(request(b"/nginx/name")).body == b"nginx"


def test_a_host_without_a_certificate_gets_the_default_one(site: Site) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="other"):
        RawClient(site.edge.ports["secure"], (site.authority.client(), "other.example"))


def test_old_tls_is_refused(site: Site) -> None:
    context = site.authority.client()
    with pytest.warns(DeprecationWarning):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        RawClient(site.edge.ports["secure"], (context, HOSTS[0]))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_pipelined_requests_are_answered_in_order(site: Site, scheme: str, upstream: str) -> None:
    names = ["one", "name", "page", "empty"] * 10
    tls = (site.authority.client(), HOSTS[0]) if scheme == "https" else None
    with RawClient(site.edge.ports["secure" if tls else "web"], tls) as client:
        client.send(b"".join(request(f"/{upstream}/{name}".encode()) for name in names))
        bodies = [client.response().body for _ in names]
    assert bodies == [upstream.encode() if name == "name" else body_of(name) for name in names]


def test_plain_bytes_on_the_tls_port_harm_nobody(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", site.edge.ports["secure"]), 10) as plain:
        plain.sendall(request(b"/nginx/name"))
        assert b"nginx" not in plain.recv(4096)
    assert site.curl("https", path="/nginx/name") == b"nginx"
