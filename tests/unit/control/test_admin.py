"""The admin API, called as the ASGI application it is."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from edge.control.admin.app import AdminApp
from edge.control.admin.redact import redacted

PORT = 9901
TRACE = {"traceId": "ab" * 16, "name": "GET /", "spans": []}


class Source:
    ready = True

    def state(self) -> dict[str, Any]:
        return {"ready": self.ready}

    def config(self) -> dict[str, Any]:
        return {"config": {"version": 1}}

    log_level = "info"

    def set_log_level(self, level: str) -> None:
        self.log_level = level

    def clusters(self) -> dict[str, Any]:
        return {"clusters": []}

    def listeners(self) -> dict[str, Any]:
        return {"listeners": []}

    def certificates(self) -> dict[str, Any]:
        return {"certificates": []}

    def memory(self) -> dict[str, Any]:
        return {"processes": []}

    def metrics(self) -> bytes:
        return b"edge_x 1\n"

    def traces(self, limit: int) -> list[dict[str, Any]]:
        return [TRACE][:limit]

    def trace(self, trace_id: str) -> dict[str, Any] | None:
        return TRACE if trace_id == TRACE["traceId"] else None


class Answer:
    def __init__(self, sent: list[dict[str, Any]]) -> None:
        start, body = sent
        self.status: int = start["status"]
        self.headers = {name.decode(): value.decode() for name, value in start["headers"]}
        self.body: bytes = body["body"]

    @property
    def data(self) -> Any:
        return json.loads(self.body)


def ask(
    path: str,
    *,
    method: str = "GET",
    host: str | None = f"127.0.0.1:{PORT}",
    source: Source | None = None,
    **headers: str,
) -> Answer:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        raise AssertionError("no body is read")

    raw, _, query = path.partition("?")
    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    if host is not None:
        fields.insert(0, (b"host", host.encode()))
    scope = {
        "type": "http",
        "method": method,
        "path": raw,
        "raw_path": raw.encode(),
        "query_string": query.encode(),
        "headers": fields,
    }
    asyncio.run(AdminApp(source or Source(), PORT)(scope, receive, send))
    return Answer(sent)


def test_ready_is_200_while_a_worker_serves_and_503_otherwise() -> None:
    assert (ask("/ready").status, ask("/ready").data) == (200, {"ready": True})
    source = Source()
    source.ready = False
    assert (ask("/ready", source=source).status, ask("/ready", source=source).data) == (503, {"ready": False})


def test_metrics_are_prometheus_text() -> None:
    answer = ask("/metrics")
    assert (answer.status, answer.body) == (200, b"edge_x 1\n")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")


def test_traces_are_json_for_tools_and_a_page_for_browsers() -> None:
    assert ask("/traces").data == {"schemaVersion": 1, "traces": [TRACE]}
    assert ask("/traces", accept="application/json").headers["content-type"] == "application/json"
    page = ask("/traces", accept="text/html,application/xhtml+xml")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.body == ask("/traces.html").body
    assert page.headers["vary"] == "accept"


def test_the_page_loads_nothing_from_elsewhere_and_makes_no_markup_from_data() -> None:
    page = ask("/traces.html")
    assert b"://" not in page.body
    for word in (
        b"innerHTML",
        b"outerHTML",
        b"insertAdjacent",
        b"document.write",
        b"eval(",
        b"src=",
        b"@import",
    ):
        assert word not in page.body
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "connect-src 'self'" in policy


def test_one_trace_is_found_by_its_id() -> None:
    assert ask(f"/traces/{TRACE['traceId']}").data == TRACE
    assert ask("/traces/" + "0" * 32).status == 404


@pytest.mark.parametrize("limit", ["0", "1001", "x", "-1", "", "1e3", "9" * 400])
def test_a_wrong_limit_is_400(limit: str) -> None:
    assert ask(f"/traces?limit={limit}").status in ((200,) if limit == "" else (400,))


def test_help_documents_every_path() -> None:
    text = ask("/help").body.decode()
    for path in ("/ready", "/config", "/metrics", "/traces", "/traces.html", "/help"):
        assert path in text
        assert ask(path).status == 200


@pytest.mark.parametrize(
    "host", [f"localhost:{PORT}", f"127.0.0.1:{PORT}", f"[::1]:{PORT}", f"LocalHost:{PORT}"]
)
def test_loopback_names_with_the_port_are_served(host: str) -> None:
    assert ask("/ready", host=host).status == 200


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "127.0.0.1",
        "localhost",
        "localhost:80",
        "evil.example:9901",
        "127.0.0.1.evil.example:9901",
        "127.0.0.2:9901",
        "0.0.0.0:9901",
    ],
)
def test_any_other_host_is_403_whatever_the_path(host: str | None) -> None:
    for path in ("/ready", "/config", "/nothing"):
        assert ask(path, host=host).status == 403


def test_two_hosts_are_403() -> None:
    scope_host = f"127.0.0.1:{PORT}"
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "raw_path": b"/ready",
        "query_string": b"",
        "headers": [(b"host", scope_host.encode()), (b"host", b"evil.example")],
    }
    asyncio.run(AdminApp(Source(), PORT)(scope, None, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == 403


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://localhost:8080",
        f"https://localhost:{PORT}",
        f"http://localhost:{PORT}.evil.example",
    ],
)
def test_a_foreign_origin_is_403(origin: str) -> None:
    assert ask("/traces", origin=origin).status == 403


def test_the_own_origin_is_served_without_any_cors_header() -> None:
    answer = ask("/traces", origin=f"http://localhost:{PORT}")
    assert answer.status == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "get"])
def test_only_get_is_served(method: str) -> None:
    answer = ask("/ready", method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize(
    "path", ["/%72eady", "/ready/", "//ready", "/../ready", "/READY", "/traces.html/", "/ready%00"]
)
def test_another_spelling_of_a_path_is_another_path(path: str) -> None:
    assert ask(path).status == 404


def test_every_answer_forbids_caching_sniffing_and_framing() -> None:
    for path in ("/ready", "/nothing", "/traces.html", "/metrics"):
        headers = ask(path).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"


def test_a_websocket_is_closed() -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(AdminApp(Source(), PORT)({"type": "websocket"}, None, send))  # type: ignore[arg-type]
    assert sent == [{"type": "websocket.close"}]


def test_secrets_are_shown_as_digests_and_the_rest_as_it_is() -> None:
    data = {
        "version": 1,
        "filterChains": {
            "api": [
                {
                    "name": "a",
                    "config": {"keys": {"very-secret": "ada"}},
                    "vmConfig": "very-secret",
                    "env": {"A": "very-secret", "B": {"secretRef": "file:x"}},
                }
            ]
        },
        "telemetry": {"tracing": {"otlp": {"endpoint": "http://c", "headers": {"auth": "very-secret"}}}},
    }
    before = json.dumps(data)
    shown = redacted(data)
    assert "very-secret" not in json.dumps(shown)
    assert json.dumps(data) == before
    assert shown["version"] == 1
    entry = shown["filterChains"]["api"][0]
    assert entry["name"] == "a"
    assert entry["config"].startswith("<redacted sha256:")
    assert entry["env"]["B"] == {"secretRef": "file:x"}
    assert entry["env"]["A"] == entry["vmConfig"]
    assert shown["telemetry"]["tracing"]["otlp"]["endpoint"] == "http://c"


def test_what_is_malformed_is_passed_over_when_secrets_are_hidden() -> None:
    for data in (
        None,
        [],
        {"filterChains": 3},
        {"filterChains": {"a": "x"}},
        {"telemetry": {"tracing": None}},
    ):
        assert redacted(data) == data


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/clusters", "clusters"),
        ("/listeners", "listeners"),
        ("/certs", "certificates"),
        ("/memory", "processes"),
    ],
)
def test_what_there_is_is_listed(path: str, key: str) -> None:
    answer = ask(path)
    assert (answer.status, answer.data) == (200, {key: []})


def test_the_level_of_the_log_is_shown_and_changed() -> None:
    source = Source()
    assert ask("/logging", source=source).data["level"] == "info"
    assert ask("/logging?level=debug", method="POST", source=source).data["level"] == "debug"
    assert source.log_level == "debug"


@pytest.mark.parametrize("query", ["", "?level=", "?level=loud", "?level=DEBUG"])
def test_a_level_that_is_none_changes_nothing(query: str) -> None:
    source = Source()
    answer = ask(f"/logging{query}", method="POST", source=source)
    assert (answer.status, source.log_level) == (400, "info")
    assert "debug, info, warning, error" in answer.data["error"]


def test_a_page_of_another_site_changes_nothing() -> None:
    source = Source()
    answer = ask("/logging?level=debug", method="POST", source=source, origin="http://evil.example")
    assert answer.status == 403
    assert source.log_level == "info"
