"""Headless Chromium: a page of twenty parts, over HTTP/2 and over HTTP/3, and a WebSocket from it.

The WebSocket is opened over HTTP/1.1 too, where a listener speaks nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.authority import HOSTS, Authority
from tests.integration.browser import PARTS, browse, page_folder, pin
from tests.integration.protocol_site import Site, every_protocol
from tests.integration.real_upstreams import nginx_server
from tests.integration.running_edge import configuration, rule, running_edge, secured, through, within
from tests.integration.scripted_upstream import Conversation, reply, scripted
from tests.integration.websocket_echo import PATH, echo

_SOCKET_PAGE = """<!doctype html><title>socket</title><link rel="icon" href="data:,"><p id="told"></p>
<script>
const page = crypto.randomUUID();
const how = performance.getEntriesByType("navigation")[0].nextHopProtocol;
const tell = told => document.getElementById("told").textContent = JSON.stringify(told);
const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/socket`);
const heard = [];
socket.onopen = () => { socket.send("hello"); socket.send(new Uint8Array(70000)); };
socket.onmessage = ({data}) => {
  heard.push(typeof data === "string" ? data : data.size);
  if (heard.length === 2) socket.close(1000, "done");
};
socket.onclose = ({code, wasClean}) => { tell({heard, code, wasClean, how}); fetch(`/told?${page}`); };
const last = new Image();
last.src = `/held?${page}`;
document.body.append(last);
</script>"""
"""The browser is done with a page when its last part is there: /held waits until the page has told."""
_OLD = "old"
"""A listener with `protocols: [h1]`."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, edge_state: Path, authority: Authority) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("browser")
    polish = {"response": {"remove": ["server"], "set": {"x-served-by": "edge"}}}
    chain = [{"name": "polish", "module": "headers", "config": polish}]
    files = page_folder(folder / "files")
    (files / "socket.html").write_text(_SOCKET_PAGE)
    told: set[bytes] = set()

    async def held(it: Conversation) -> None:
        while True:
            path, _, page = (await it.request()).target.partition(b"?")
            if path == b"/told":
                told.add(page)
            while page not in told:
                await it.pause()
            await it.send(reply(b"", b"content-type: image/svg+xml"))

    with (
        nginx_server(folder / "nginx", files) as port,
        scripted(echo) as sockets,
        scripted(held) as last,
    ):
        config = configuration(
            {"files": [port], "sockets": [sockets.port], "last": [last.port]},
            [
                rule("files", filters=[through("shop")]),
                rule("sockets", PATH, filters=[through("shop")]),
                rule("last", "/held"),
                rule("last", "/told"),
            ],
            modules={"headers": {"builtin": "header-transform"}},
            filterChains={"shop": chain},
            telemetry={"accessLog": {"path": "access.log"}},
        )
        config = secured(every_protocol(config, authority), authority.listener(_OLD))
        with running_edge(folder / "edge", config, edge_state) as edge:
            yield Site(edge, authority)


def _open(site: Site, folder: Path, page: str, *flags: str, listener: str = "secure") -> Any:
    """What the page `page` told in its #told."""
    port = site.edge.ports[listener]
    trust = f"--ignore-certificate-errors-spki-list={pin(port)}"
    names = f"--host-resolver-rules=MAP {HOSTS[0]} 127.0.0.1"
    shown = browse(folder / "browser", f"https://{HOSTS[0]}:{port}/{page}", trust, names, *flags)
    match = re.search(r'<p id="told">(.*?)</p>', shown)
    assert match is not None and match[1], shown
    return json.loads(match[1])


def _lines(site: Site, count: int, after: int) -> list[dict[str, Any]]:
    for _ in within(30, "all requests are logged"):
        lines = site.edge.access_log()[after:]
        if len(lines) >= count:
            return lines
    raise AssertionError


@pytest.mark.parametrize(("name", "logged"), [("h2", "HTTP/2"), ("h3", "HTTP/3")])
def test_a_page_with_twenty_parts_loads_whole(site: Site, tmp_path: Path, name: str, logged: str) -> None:
    quic = f"--origin-to-force-quic-on={HOSTS[0]}:{site.edge.ports['secure']}"
    before = len(site.edge.access_log())
    told = _open(site, tmp_path, "index.html", *(["--enable-quic", quic] if name == "h3" else []))
    assert told == {
        "parts": PARTS,
        "bad": [],
        "how": [name],
        "images": 10,
        "scripts": 5,
        "styled": "yes",
    }
    lines = _lines(site, PARTS + 1, before)
    assert {(line["protocol"], line["status"], line["flags"]) for line in lines} == {(logged, 200, "")}
    assert len({line["client"] for line in lines}) == 1, "one connection carries all"


def _socket_lines(site: Site, folder: Path, name: str, listener: str) -> dict[str, dict[str, Any]]:
    """What is logged, by path, of a page over `name` whose WebSocket did all it should."""
    before = len(site.edge.access_log())
    told = _open(site, folder, "socket.html", listener=listener)
    assert told == {"heard": ["hello", 70000], "code": 1000, "wasClean": True, "how": name}
    lines = {line["path"].partition("?")[0]: line for line in _lines(site, 4, before)}
    assert lines.keys() == {"/socket.html", "/held", "/told", PATH}
    return lines


def test_a_page_over_h2_opens_a_websocket_on_the_same_connection(site: Site, tmp_path: Path) -> None:
    lines = _socket_lines(site, tmp_path, "h2", "secure").values()
    assert {line["protocol"] for line in lines} == {"HTTP/2"}
    assert len({line["client"] for line in lines}) == 1


def test_a_page_over_h1_opens_a_websocket_over_h1(site: Site, tmp_path: Path) -> None:
    lines = _socket_lines(site, tmp_path, "http/1.1", _OLD)
    assert {line["protocol"] for line in lines.values()} == {"HTTP/1.1"}
    assert lines[PATH]["status"] == 101
