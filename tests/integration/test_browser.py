"""A real browser: a page with many parts through edge over TLS, and the traces of it on admin's page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.authority import HOSTS, Authority
from tests.integration.browser import PARTS, browse, page_folder, pin
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
    with nginx_server(folder / "nginx", page_folder(folder / "files")) as port:
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
    trust = f"--ignore-certificate-errors-spki-list={pin(port)}"
    names = f"--host-resolver-rules=MAP {HOSTS[0]} 127.0.0.1"
    folder = tmp_path_factory.mktemp("shop") / "browser"
    return browse(folder, f"https://{HOSTS[0]}:{port}/index.html", trust, names)


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
    for _ in within(30, "all requests are logged"):
        lines = edge.access_log()
        if len(lines) > PARTS:
            break
    assert [(line["path"], line["status"], line["flags"]) for line in lines if line["status"] != 200] == []
    assert len(lines) == PARTS + 1
    assert len({line["client"] for line in lines}) <= 6, "a browser opens at most six connections"


def test_the_page_of_traces_draws_the_filters(
    edge: EdgeProcess, page: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for _ in within(30, "admin has the traces"):
        if len(edge.traces()) > PARTS:
            break
    folder = tmp_path_factory.mktemp("admin") / "browser"
    shown = browse(folder, f"http://127.0.0.1:{edge.ports['admin']}/traces.html")
    assert "21 traces, newest first" in shown
    assert shown.count("200, 4 filter spans") == PARTS + 1
    assert shown.count('class="span"') == 6, "the newest trace is drawn"
    assert "polish → " in shown
    assert "ab ↩ " in shown
    assert "upstream files" in shown
    assert (folder / "page.png").stat().st_size > 10_000
