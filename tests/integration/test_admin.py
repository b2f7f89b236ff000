"""Admin over a real socket: what a browser and a hostile page would get."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.edge_process import EdgeProcess, Upstream, plain_config


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeProcess]:
    with (
        Upstream() as upstream,
        EdgeProcess(plain_config(upstream.port), tmp_path_factory.mktemp("admin")) as made,
    ):
        yield made


def ask(edge: EdgeProcess, path: str, method: str = "GET", **headers: str) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", edge.admin_port, timeout=20)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("content-type") or "", answer.read()
    finally:
        connection.close()


def test_ready_config_metrics_traces_and_help_are_served(edge: EdgeProcess) -> None:
    assert edge.get("/x")[0] == 200
    for path, kind in {
        "/ready": "application/json",
        "/config": "application/json",
        "/metrics": "text/plain; version=0.0.4; charset=utf-8",
        "/traces": "application/json",
        "/traces.html": "text/html; charset=utf-8",
        "/help": "text/plain; charset=utf-8",
    }.items():
        status, got, body = ask(edge, path)
        assert (status, got, bool(body)) == (200, kind, True), path


def test_config_names_the_ports_in_use(edge: EdgeProcess) -> None:
    status, shown = edge.admin("/config")
    assert status == 200
    assert shown["listeners"] == {"web": f"127.0.0.1:{edge.port}"}
    assert shown["config"]["clusters"][0]["name"] == "up"


def test_a_rebound_name_a_foreign_origin_and_a_change_are_refused(edge: EdgeProcess) -> None:
    assert ask(edge, "/config", Host=f"evil.example:{edge.admin_port}")[0] == 403
    assert ask(edge, "/config", Origin="http://evil.example")[0] == 403
    assert ask(edge, "/config", method="POST")[0] == 405
    assert ask(edge, "/config", Host=f"localhost:{edge.admin_port}")[0] == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /ready HTTP/1.1\r\n\r\n",
        b"GET /ready HTTP/1.0\r\n\r\n",
        b"GET http://evil.example/ready HTTP/1.1\r\nhost: evil.example\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET /ready HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    ],
)
def test_raw_requests_without_our_name_get_nothing(edge: EdgeProcess, raw: bytes) -> None:
    with socket.create_connection(("127.0.0.1", edge.admin_port), timeout=20) as made:
        made.sendall(raw)
        answer = made.recv(4096)
    assert answer[9:12] in (b"400", b"403"), answer


def test_admin_listens_on_loopback_only(edge: EdgeProcess) -> None:
    wanted = f"0100007F:{edge.admin_port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = [row[1] for row in rows if row[3] == "0A" and row[1].endswith(f":{edge.admin_port:04X}")]
    assert listening == [wanted]
