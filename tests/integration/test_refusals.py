"""What never becomes an exchange is still seen: in the access log and in the metrics."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.edge_process import EdgeProcess, Upstream, plain_config

LIVENESS_S = 30.0


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[EdgeProcess]:
    with Upstream() as upstream:
        config = plain_config(upstream.port).replace(
            "telemetry: {",
            "limits: {maxConnections: 2, maxConnectionsPerAddress: 0}\n"
            f"telemetry: {{accessLog: {{path: {tmp_path}/log}}, ",
        )
        with EdgeProcess(config, tmp_path) as made:
            yield made


def connect(edge: EdgeProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", edge.port), timeout=LIVENESS_S)


def logged(folder: Path, count: int) -> list[dict[str, object]]:
    """The access log once it has `count` lines."""
    deadline = time.monotonic() + LIVENESS_S
    lines: list[str] = []
    while len(lines) < count:
        assert time.monotonic() < deadline, lines
        lines = (folder / "log").read_text().splitlines()
        time.sleep(0.02)
    return [json.loads(line) for line in lines]


def metric(edge: EdgeProcess, wanted: str, value: str) -> None:
    """Return once a series that holds `wanted` has `value`."""
    deadline = time.monotonic() + LIVENESS_S
    while time.monotonic() < deadline:
        with socket.create_connection(("127.0.0.1", edge.admin_port), timeout=LIVENESS_S) as admin:
            admin.sendall(
                b"GET /metrics HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nconnection: close\r\n\r\n" % edge.admin_port
            )
            with admin.makefile() as page:
                for line in page:
                    if wanted in line and line.split()[-1] == value:
                        return
        time.sleep(0.05)
    raise AssertionError(f"no series with {wanted} and {value}")


def test_a_malformed_head_is_counted_and_logged_with_its_client(edge: EdgeProcess, tmp_path: Path) -> None:
    with connect(edge) as client:
        host, port = client.getsockname()
        client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nx: \0secret\r\n\r\n")
        with client.makefile("rb") as answer:
            assert answer.readline().startswith(b"HTTP/1.1 400 ")
    (line,) = logged(tmp_path, 1)
    assert line["client"] == f"{host}:{port}"
    assert (line["status"], line["flags"], line["protocol"]) == (400, "DPE", "HTTP/1.1")
    assert "secret" not in json.dumps(line)
    labels = 'edge_listener_name="web",error_type="BadRequest",http_response_status_code="400"'
    metric(edge, "edge_server_refused_total{" + labels, "1.0")


def test_a_connection_too_many_is_counted_and_logged(edge: EdgeProcess, tmp_path: Path) -> None:
    with connect(edge) as first, connect(edge) as second:
        for client in (first, second):
            client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            with client.makefile("rb") as answer:
                assert answer.readline().startswith(b"HTTP/1.1 200 ")
        with connect(edge) as third:
            try:
                third.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
                assert third.recv(1) == b""
            except ConnectionError:
                pass  # the same: it was cut
            host, port = third.getsockname()
    lines = logged(tmp_path, 3)
    (line,) = [each for each in lines if each["status"] == 0]
    assert (line["client"], line["flags"]) == (f"{host}:{port}", "LM")
    metric(edge, 'error_type="LimitExceeded",http_response_status_code="0"', "1.0")


def test_connections_on_both_sides_are_shown_while_they_stand(edge: EdgeProcess) -> None:
    metric(edge, 'edge_server_connections{edge_listener_name="web"}', "0.0")
    with connect(edge) as client:
        client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        with client.makefile("rb") as answer:
            assert answer.readline().startswith(b"HTTP/1.1 200 ")
        metric(edge, 'edge_server_connections{edge_listener_name="web"}', "1.0")
        metric(edge, 'http_client_open_connections{edge_cluster_name="up"}', "1.0")
        metric(edge, "http_server_active_requests", "0.0")
    metric(edge, 'edge_server_connections{edge_listener_name="web"}', "0.0")
    metric(edge, 'edge_log_dropped_total{log="access"}', "0.0")
