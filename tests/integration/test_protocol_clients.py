"""Clients of others over HTTP/1.1, HTTP/2 and HTTP/3: curl, pycurl, curl_cffi, h2load and quic-go."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.authority import HOSTS
from tests.integration.protocol_site import Site, child_environment, every_protocol
from tests.integration.real_upstreams import SIZES, body_of, digest
from tests.integration.running_edge import REPOSITORY, configuration, rule, running_edge, within
from tests.tools import curl, curl_cffi, h2load, h3load, pycurl, require

_TIMEOUT_S = 90
_H3_ONLY = 31
"""libcurl's number for HTTP/3 and nothing else."""
_H3_TOLD = 30
_REQUESTS = 1000
_HERE = "tests.integration"

# How curl is told to speak it, the listener, the scheme, and what it then says it spoke.
CURL = {
    "h1": ("--http1.1", "web", "http", "1.1"),
    "h1s": ("--http1.1", "secure", "https", "1.1"),
    "h2c": ("--http2-prior-knowledge", "web", "http", "2"),
    "h2": ("--http2", "secure", "https", "2"),
}
ways = pytest.mark.parametrize("way", CURL)
lasting = pytest.mark.parametrize("way", ["h1", "h1s", "h2"])
"""Not h2c: curl 7.88 breaks off its second request with prior knowledge, before nginx too."""


@dataclass
class Clients(Site):
    folder: Path

    def curl(self, way: str, *arguments: str | Path, path: str) -> bytes:
        """curl's output; the words of `path` become URLs at the end."""
        how, listener, scheme, _ = CURL[way]
        port = self.edge.ports[listener]
        words: list[str | Path] = [require(curl), "-sS", "--noproxy", "*", "--max-time", "60", how]
        words += ["--cacert", self.authority.file, "--resolve", f"{HOSTS[0]}:{port}:127.0.0.1", *arguments]
        words += [f"{scheme}://{HOSTS[0]}:{port}{each}" for each in path.split()]
        env = {key: value for key, value in os.environ.items() if key not in ("SSL_CERT_FILE", "CURL_HOME")}
        return _output(words, env)

    def pycurl(self, *requests: dict[str, Any]) -> list[dict[str, Any]]:
        """What came back over HTTP/3, one after the other; `path` of each becomes its URL."""
        port = self.edge.ports["secure"]
        order = {
            "version": _H3_ONLY,
            "ca": str(self.authority.file),
            "resolve": f"{HOSTS[0]}:{port}:127.0.0.1",
            "requests": [{**one, "url": f"https://{HOSTS[0]}:{port}{one['path']}"} for one in requests],
        }
        words = [sys.executable, "-m", f"{_HERE}.fetch_pycurl"]
        told: list[dict[str, Any]] = json.loads(
            _output(words, child_environment(pycurl), json.dumps(order).encode())
        )
        assert {each["version"] for each in told} == {_H3_TOLD}
        return told


def _output(words: Sequence[str | Path], env: dict[str, str] | None = None, sent: bytes = b"") -> bytes:
    done = subprocess.run(
        [str(word) for word in words],
        input=sent,
        capture_output=True,
        timeout=_TIMEOUT_S,
        check=False,
        env=env,
        cwd=REPOSITORY,
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, edge_state: Path, authority: Any, nginx_port: int
) -> Iterator[Clients]:
    folder = tmp_path_factory.mktemp("clients")
    log = {"accessLog": {"path": "access.log"}}
    config = configuration({"nginx": [nginx_port]}, [rule("nginx")], telemetry=log)
    for name in SIZES:
        (folder / name).write_bytes(body_of(name))
    with running_edge(folder / "edge", every_protocol(config, authority), edge_state) as edge:
        yield Clients(edge, authority, folder)


@ways
@pytest.mark.parametrize("name", SIZES)
def test_curl_gets_a_body_whole(site: Clients, way: str, name: str) -> None:
    told = site.curl(way, "-w", "%{http_version}", "-o", site.folder / "out", path=f"/{name}")
    assert told.decode() == CURL[way][3]
    assert digest((site.folder / "out").read_bytes()) == digest(body_of(name))


@ways
@pytest.mark.parametrize("name", ["page", "large"])
def test_curl_sends_a_body_whole(site: Clients, way: str, name: str) -> None:
    back = site.curl(way, "--data-binary", f"@{site.folder / name}", path="/echo")
    assert digest(back) == digest(body_of(name))


@ways
def test_curl_sends_a_body_of_unknown_length(site: Clients, way: str) -> None:
    body = ["-X", "POST", "-T", site.folder / "page", "-H", "content-length:"]
    if way.startswith("h1"):
        body += ["-H", "transfer-encoding: chunked"]
    assert digest(site.curl(way, *body, path="/echo")) == digest(body_of("page"))


@lasting
def test_curl_keeps_its_connection(site: Clients, way: str) -> None:
    told = site.curl(way, "-w", " %{num_connects}\n", path=" ".join(["/name"] * 5)).decode()
    assert told == "nginx 1\n" + "nginx 0\n" * 4


@lasting
def test_curl_asks_for_many_at_once(site: Clients, way: str) -> None:
    told = site.curl(way, "-Z", "-w", "%{http_code}", path=" ".join(["/name"] * 40)).decode()
    assert (told.count("nginx"), told.count("200")) == (40, 40)


@ways
def test_curl_sees_heads_without_bodies(site: Clients, way: str) -> None:
    head = site.curl(way, "--head", "-w", "%{size_download} %{http_code}", path="/page")
    assert f"content-length: {SIZES['page']}".encode() in head.lower()
    assert head.endswith(b"0 200")
    for path, status in (("/none", "204"), ("/same", "304")):
        assert site.curl(way, "-w", "%{http_code} %{size_download}", path=path).decode() == f"{status} 0"


@pytest.mark.parametrize("name", SIZES)
def test_pycurl_gets_a_body_whole_over_h3(site: Clients, name: str) -> None:
    (told,) = site.pycurl({"path": f"/{name}"})
    assert (told["status"], told["size"], told["digest"]) == (200, SIZES[name], digest(body_of(name)))


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("name", ["page", "large"])
def test_pycurl_sends_a_body_whole_over_h3(site: Clients, name: str, length: bool) -> None:
    (told,) = site.pycurl({"path": "/echo", "upload": str(site.folder / name), "length": length})
    assert (told["status"], told["digest"]) == (200, digest(body_of(name)))


def test_pycurl_keeps_its_connection_over_h3(site: Clients) -> None:
    told = site.pycurl(
        *[{"path": "/name"}] * 5, {"path": "/page", "method": "HEAD"}, {"path": "/none"}, {"path": "/same"}
    )
    assert [each["connects"] for each in told] == [1] + [0] * 7
    assert [each["status"] for each in told] == [200] * 6 + [204, 304]
    assert f"content-length: {SIZES['page']}" in told[5]["head"]
    assert [each["size"] for each in told] == [5] * 5 + [0] * 3


@pytest.mark.parametrize(("version", "code"), [("v2", 3), ("v3only", 30)])
def test_a_browser_like_curl_gets_a_page(site: Clients, version: str, code: int) -> None:
    port = site.edge.ports["secure"]
    words = [sys.executable, "-m", f"{_HERE}.fetch_curl_cffi", f"https://{HOSTS[0]}:{port}/page"]
    words += [str(site.authority.file), f"{HOSTS[0]}:{port}:127.0.0.1", version]
    told = json.loads(_output(words, child_environment(curl_cffi)))
    assert told == {"status": 200, "version": code, "digest": digest(body_of("page"))}


@pytest.mark.parametrize(("scheme", "listener"), [("https", "secure"), ("http", "web")])
def test_h2load_gets_all_its_answers(site: Clients, scheme: str, listener: str) -> None:
    url = f"{scheme}://127.0.0.1:{site.edge.ports[listener]}/page"
    told = _output([require(h2load), "-n", str(_REQUESTS), "-c", "4", "-m", "25", url]).decode()
    assert f"{_REQUESTS} done, {_REQUESTS} succeeded, 0 failed, 0 errored, 0 timeout" in told
    assert "h2" in (re.findall(r"Application protocol: (\S+)", told) or [""])[0]


@pytest.mark.parametrize("upload", [0, 64 << 10])
def test_quic_go_gets_all_its_answers(site: Clients, upload: int) -> None:
    url = f"https://127.0.0.1:{site.edge.ports['secure']}/{'echo' if upload else 'one'}"
    count = 200 if upload else _REQUESTS
    told = json.loads(
        _output([require(h3load), "-c", "4", "-m", "8", "-n", str(count), "-b", str(upload), url])
    )
    assert (told["requests"], told["errors"], told["faults"]) == (count, 0, {})
    assert told["bytes"] == count * (upload or 1)


def test_the_access_log_names_each_protocol(site: Clients) -> None:
    for way in CURL:
        site.curl(way, path=f"/name?log={way}")
    site.pycurl({"path": "/name?log=h3"})
    expected = {"h1": "HTTP/1.1", "h1s": "HTTP/1.1", "h2c": "HTTP/2", "h2": "HTTP/2", "h3": "HTTP/3"}
    for _ in within(30, "all lines are written"):
        lines = [line for line in site.edge.access_log() if line["path"].startswith("/name?log=")]
        if len(lines) >= len(expected):
            break
    assert {line["path"].rpartition("=")[2]: line["protocol"] for line in lines} == expected


def test_alt_svc_offers_h3_where_it_is_spoken(site: Clients) -> None:
    offered = f'alt-svc: h3=":{site.edge.ports["secure"]}"'.encode()
    assert offered in site.curl("h2", "--head", path="/one").lower()
    assert offered in site.curl("h1s", "--head", path="/one").lower()
    assert b"alt-svc" not in site.curl("h2c", "--head", path="/one").lower()
