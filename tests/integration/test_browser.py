"""A real browser: a page with many parts through edge over TLS, and the traces of it on admin's page."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.integration.authority import HOSTS, Authority
from tests.integration.real_upstreams import nginx_server
from tests.integration.running_edge import (
    EdgeProcess,
    configuration,
    rule,
    running_edge,
    secured,
    through,
    within,
)
from tests.tools import chromium, require

BROWSER_S = 120
PARTS = 20
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--window-size=1400,900", "--virtual-time-budget=5000"),
)
_PAGE = """<!doctype html><title>shop</title>{styles}
<body>{images}<p id="told"></p>{scripts}
<script>
addEventListener("load", () => {{
  const parts = performance.getEntriesByType("resource");
  const bad = parts.filter(part => part.responseStatus !== 200).map(part => part.name);
  const how = [...new Set(parts.map(part => part.nextHopProtocol))];
  const images = [...document.images].filter(image => image.complete && image.naturalWidth === 10).length;
  const styled = getComputedStyle(document.body).getPropertyValue("--style-4");
  const told = {{parts: parts.length, bad, how, images, scripts: self.ran || 0, styled}};
  document.getElementById("told").textContent = JSON.stringify(told);
}});
</script>"""
_SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><rect width="10" height="10"/></svg>'


def _site(folder: Path) -> Path:
    """index.html with 5 styles, 5 scripts and 10 images."""
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.css").write_text(f"body {{ --style-{number}: yes }}")
        (folder / f"{number}.js").write_text("self.ran = (self.ran || 0) + 1;" + " " * 50_000)
    for number in range(10):
        (folder / f"{number}.svg").write_text(_SVG)
    styles = "".join(f'<link rel="stylesheet" href="{number}.css">' for number in range(5))
    styles += '<link rel="icon" href="data:,">'
    images = "".join(f'<img src="{number}.svg" alt="">' for number in range(10))
    scripts = "".join(f'<script src="{number}.js"></script>' for number in range(5))
    (folder / "index.html").write_text(_PAGE.format(styles=styles, images=images, scripts=scripts))
    return folder


def _pin(port: int) -> str:
    """The digest of the key by which Chromium is told to trust the listener."""
    pem = ssl.get_server_certificate(("127.0.0.1", port))
    key = x509.load_pem_x509_certificate(pem.encode()).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()


def _browse(folder: Path, url: str, *flags: str) -> str:
    """The page's elements after its scripts have run; a picture of it is in `folder`."""
    folder.mkdir()
    command = [require(chromium), *_FLAGS, f"--user-data-dir={folder / 'profile'}", *flags]
    command += [f"--screenshot={folder / 'page.png'}", "--dump-dom", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BROWSER_S, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def edge(
    tmp_path_factory: pytest.TempPathFactory, edge_state: Path, authority: Authority
) -> Iterator[EdgeProcess]:
    folder = tmp_path_factory.mktemp("browser")
    polish = {"response": {"remove": ["server"], "set": {"x-served-by": "edge"}}}
    choice = {"cookie": "side", "variants": [{"name": "only", "weight": 1, "backend": "files"}]}
    chain = [
        {"name": "polish", "module": "headers", "config": polish},
        {"name": "ab", "module": "split", "config": choice, "allow": {"backends": ["files"]}},
    ]
    with nginx_server(folder / "nginx", _site(folder / "files")) as port:
        config = configuration(
            {"files": [port]},
            [rule("files", filters=[through("shop")])],
            modules={"headers": {"builtin": "header-transform"}, "split": {"builtin": "ab-split"}},
            filterChains={"shop": chain},
            telemetry={
                "accessLog": {"path": "access.log"},
                "tracing": {"sampler": {"ratio": 1.0}},
            },
        )
        secured(config, authority.listener())
        with running_edge(folder / "edge", config, edge_state) as edge:
            yield edge


@pytest.fixture(scope="module")
def page(edge: EdgeProcess, tmp_path_factory: pytest.TempPathFactory) -> str:
    port = edge.ports["secure"]
    trust = f"--ignore-certificate-errors-spki-list={_pin(port)}"
    names = f"--host-resolver-rules=MAP {HOSTS[0]} 127.0.0.1"
    folder = tmp_path_factory.mktemp("shop") / "browser"
    return _browse(folder, f"https://{HOSTS[0]}:{port}/index.html", trust, names)


def test_a_page_with_twenty_parts_loads_whole_over_tls(page: str) -> None:
    match = re.search(r'<p id="told">(.*?)</p>', page)
    assert match is not None, page
    assert json.loads(match[1]) == {
        "parts": PARTS,
        "bad": [],
        "how": ["http/1.1"],
        "images": 10,
        "scripts": 5,
        "styled": "yes",
    }


def test_no_request_of_the_browser_failed(edge: EdgeProcess, page: str) -> None:
    for _ in within(10, "all requests are logged"):
        lines = edge.access_log()
        if len(lines) > PARTS:
            break
    assert [(line["path"], line["status"], line["flags"]) for line in lines if line["status"] != 200] == []
    assert len(lines) == PARTS + 1
    assert len({line["client"] for line in lines}) <= 6, "a browser opens at most six connections"


def test_the_page_of_traces_draws_the_filters(
    edge: EdgeProcess, page: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for _ in within(10, "admin has the traces"):
        if len(edge.traces()) > PARTS:
            break
    folder = tmp_path_factory.mktemp("admin") / "browser"
    shown = _browse(folder, f"http://127.0.0.1:{edge.ports['admin']}/traces.html")
    assert "21 traces, newest first" in shown
    assert shown.count("200, 4 filter spans") == PARTS + 1
    assert shown.count('class="span"') == 6, "the newest trace is drawn"
    assert "polish → " in shown
    assert "ab ↩ " in shown
    assert "upstream files" in shown
    assert (folder / "page.png").stat().st_size > 10_000
