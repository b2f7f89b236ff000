"""The page of recent traces in a real browser: it draws filters, and nothing a client sent becomes markup."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from edge.control.admin import AdminApp
from edge.control.admin.server import AdminServer
from tests.tools.cache import require
from tests.tools.debian import chromium

BROWSER_S = 90
HOSTILE = "/<img src=x onerror=document.title='owned'><script>document.title='owned'</script>"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


def span(
    number: int, parent: str, name: str, kind: str, start: float, took: float, **attributes: Any
) -> dict[str, Any]:
    return {
        "traceId": TRACE_ID,
        "spanId": f"{number:016x}",
        "parentSpanId": parent,
        "name": name,
        "kind": kind,
        "startMs": 1_795_414_704_201.0 + start,
        "offsetMs": start,
        "durationMs": took,
        "error": False,
        "attributes": {key.replace("__", "."): value for key, value in attributes.items()},
    }


def filter_span(number: int, name: str, start: float, direction: str, decision: str) -> dict[str, Any]:
    made = span(number, f"{1:016x}", f"filter {name}", "internal", start, 0.5)
    made["attributes"] = {
        "edge.filter.name": name,
        "edge.filter.direction": direction,
        "edge.filter.decision": decision,
        "edge.filter.guest_time": 0.000062,
        "edge.filter.host_time": 0.000021,
        "edge.filter.wait_time": 0.0004,
        "edge.filter.edits": ["x-consumer", "x-api-key"],
    }
    return made


class Source:
    ready = True

    def state(self) -> dict[str, Any]:
        return {}

    config = state

    def metrics(self) -> bytes:
        return b""

    def traces(self, limit: int) -> list[dict[str, Any]]:
        server = span(1, "", "GET /", "server", 0.0, 9.0)
        server["attributes"] = {
            "url.path": HOSTILE,
            "http.request.method": "GET",
            "http.response.status_code": 200,
        }
        client = span(2, f"{1:016x}", "GET", "client", 2.0, 6.0)
        client["attributes"] = {"edge.cluster.name": "shop-v1"}
        spans = [
            server,
            filter_span(3, "authn", 0.2, "request", "continue"),
            filter_span(4, "split", 0.9, "request", "pause"),
            client,
            filter_span(5, "split", 8.2, "response", "continue"),
        ]
        trace = {
            "traceId": TRACE_ID,
            "name": "GET /",
            "startMs": server["startMs"],
            "durationMs": 9.0,
            "error": False,
            "spans": spans,
        }
        return [trace]

    def trace(self, trace_id: str) -> dict[str, Any] | None:
        return None


async def dom(folder: Path, picture: Path) -> str:
    """The page's elements after its script has run."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    server = AdminServer(AdminApp(Source(), port), listening)
    server.start()
    command = [
        str(require(chromium)),
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
        *("--window-size=1400,700", "--virtual-time-budget=3000", f"--user-data-dir={folder / 'profile'}"),
        f"--screenshot={picture}",
        "--dump-dom",
        f"http://127.0.0.1:{port}/traces",
    ]
    try:
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, timeout=BROWSER_S, check=False
        )
    finally:
        await server.stop()
    return done.stdout


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("page")
    return asyncio.run(dom(folder, folder / "page.png"))


def test_each_filter_has_a_row_with_its_decision_and_times(page: str) -> None:
    assert page.count('class="span"') == 5
    assert "authn → " in page and "split → " in page and "split ↩ " in page
    assert page.count('class="tag">continue<') == 2
    assert page.count('class="tag">pause<') == 1
    assert "500 µs · 62 µs in WASM, 21 µs host calls, 400 µs waiting" in page
    assert "upstream shop-v1" in page


def test_bars_are_placed_by_time(page: str) -> None:
    assert 'class="bar client" style="left: 22.2222%; width: 66.6667%;"' in page
    assert 'class="bar server" style="left: 0%; width: 100%;"' in page


def test_attributes_are_in_the_page_for_a_click(page: str) -> None:
    assert "<td>edge.filter.edits</td><td>x-consumer, x-api-key</td>" in page


def test_what_a_client_sent_stays_text(page: str) -> None:
    assert "&lt;img src=x onerror" in page
    assert "<img" not in page
    assert page.count("<script>") == 1
    assert "<title>edge: recent traces</title>" in page
