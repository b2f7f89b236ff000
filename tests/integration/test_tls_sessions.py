"""TLS sessions over several workers: tickets of one are good for all, and outlive a worker."""

from __future__ import annotations

import os
import signal
import socket
import ssl
from pathlib import Path

from tests.integration.authority import HOSTS, Authority
from tests.integration.running_edge import EdgeProcess, configuration, rule, running_edge, secured, within
from tests.integration.scripted_upstream import answering

CONNECTIONS = 100
RESUMED_FLOOR = 95


def _connect(
    edge: EdgeProcess, context: ssl.SSLContext, session: ssl.SSLSession | None
) -> tuple[ssl.SSLSession | None, bool]:
    raw = socket.create_connection(("127.0.0.1", edge.ports["secure"]), 20)
    with context.wrap_socket(raw, server_hostname=HOSTS[0], session=session) as made:
        made.sendall(b"GET / HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n")
        assert made.recv(1 << 16).startswith(b"HTTP/1.1 200")
        return made.session, bool(made.session_reused)


def _workers(edge: EdgeProcess) -> set[int]:
    return {int(worker["pid"]) for worker in edge.state()["workers"] if worker["pid"]}


def test_tickets_of_one_worker_are_good_for_all(
    tmp_path: Path, edge_state: Path, authority: Authority
) -> None:
    with answering() as upstream:
        config = secured(configuration({"up": [upstream.port]}, [rule("up")]), authority.listener())
        with running_edge(tmp_path / "edge", config, edge_state, "--workers", "2", restarts=1) as edge:
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                context = authority.client("http/1.1")
                context.minimum_version = context.maximum_version = version
                session, reused = _connect(edge, context, None)
                assert not reused
                resumed = 0
                for _ in range(CONNECTIONS):
                    last, reused = _connect(edge, context, session)
                    resumed += reused
                    session = last or session
                assert resumed >= RESUMED_FLOOR, f"{resumed} of {CONNECTIONS} with {version.name}"
            before = _workers(edge)
            assert len(before) == 2
            os.kill(min(before), signal.SIGKILL)
            for _ in within(30, "the worker is back"):
                if len(_workers(edge)) == 2 and _workers(edge) != before and edge.is_ready():
                    break
            again = [_connect(edge, context, session)[1] for _ in range(20)]
            assert all(again), again
