"""Handshakes that fail are counted and logged with their client; clients that only leave are not."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.authority import HOSTS, Authority
from tests.integration.running_edge import EdgeProcess, configuration, rule, running_edge, secured, within
from tests.integration.scripted_upstream import answering

WAIT_S = 60.0
COUNTED = "edge_server_refused_total"


def connected(edge: EdgeProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", edge.ports["secure"]), WAIT_S)


def plain_bytes(sock: socket.socket, authority: Authority) -> None:
    sock.sendall(b"GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n")
    while sock.recv(4096):
        pass


def no_common_protocol(sock: socket.socket, authority: Authority) -> None:
    with pytest.raises(ssl.SSLError):
        authority.client("acme/9").wrap_socket(sock, server_hostname=HOSTS[0])


def no_common_suite(sock: socket.socket, authority: Authority) -> None:
    context = authority.client("http/1.1")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA")
    with pytest.raises(ssl.SSLError):
        context.wrap_socket(sock, server_hostname=HOSTS[0])


def a_client_that_trusts_nobody(sock: socket.socket, authority: Authority) -> None:
    context = ssl.create_default_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        context.wrap_socket(sock, server_hostname=HOSTS[0])


def leaves_at_once(sock: socket.socket, authority: Authority) -> None:
    sock.close()


def leaves_in_the_hello(sock: socket.socket, authority: Authority) -> None:
    sock.sendall(b"\x16\x03\x01\x02\x00\x01")
    sock.close()


REFUSED = (plain_bytes, no_common_protocol, no_common_suite, a_client_that_trusts_nobody)
LEFT = (leaves_at_once, leaves_in_the_hello)


def test_a_handshake_that_fails_is_counted_and_logged_and_who_leaves_is_not(
    tmp_path: Path, edge_state: Path, authority: Authority
) -> None:
    with answering() as upstream:
        config = secured(configuration({"up": [upstream.port]}, [rule("up")]), authority.listener())
        config["telemetry"] = {"accessLog": {"path": "access.log"}}
        with running_edge(tmp_path / "edge", config, edge_state) as edge:
            clients = []
            for leave in LEFT:
                leave(connected(edge), authority)
            for count, refuse in enumerate(REFUSED, 1):
                clients.append(_told(edge, refuse, authority))
                for _ in within(WAIT_S, f"{refuse.__name__} is counted"):
                    if edge.metric(COUNTED, 'error_type="HandshakeFailed"') == count:
                        break
            lines: list[dict[str, Any]] = []
            for _ in within(WAIT_S, "all are logged"):
                lines = [line for line in edge.access_log() if line["status"] == 0]
                if len(lines) >= len(REFUSED):
                    break
            assert [line["client"] for line in lines] == clients
            assert {line["flags"] for line in lines} == {"TF"}
            assert edge.metric(COUNTED) == len(REFUSED)


def _told(edge: EdgeProcess, refuse: Callable[[socket.socket, Authority], None], authority: Authority) -> str:
    """The client's address as the access log has it."""
    with connected(edge) as sock:
        host, port = sock.getsockname()
        refuse(sock, authority)
    return f"{host}:{port}"
