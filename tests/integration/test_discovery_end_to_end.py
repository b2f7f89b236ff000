"""Names and health checks through a running edge with two workers: clients see none of it."""

from __future__ import annotations

import asyncio
import http.client
import http.server
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.integration.dns_server import DnsServer
from tests.integration.running_edge import (
    Configuration,
    EdgeProcess,
    configuration,
    rule,
    running_edge,
    within,
)

DEADLINE_S = 60.0


class Server:
    """One HTTP server; says its address, and on /healthz what `status` says."""

    def __init__(self, host: str, port: int) -> None:
        self.status = 200
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                status = outer.status if self.path == "/healthz" else 200
                body = host.encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: object) -> None:
                """Nobody reads it."""

        self._server = http.server.ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def servers() -> Iterator[tuple[Server, Server]]:
    """On 127.0.0.1 and 127.0.0.2, with one port: what a name with two addresses stands for."""
    with ExitStack() as stack:
        for _ in range(20):
            first = Server("127.0.0.1", 0)
            try:
                second = Server("127.0.0.2", first.port)
            except OSError:
                first.close()  # somebody has that port on the other address
                continue
            stack.callback(first.close)
            stack.callback(second.close)
            break
        yield first, second


@contextmanager
def dns_server() -> Iterator[DnsServer]:
    """On a loop of its own thread; its fields are set from the test's."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(DnsServer.start(), loop).result(DEADLINE_S)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def found_by_name(dns: DnsServer, port: int, **cluster: Any) -> Configuration:
    made = configuration({"shop": [port]}, [rule("shop")])
    made["clusters"][0] |= {"discovery": {"type": "DNS", "host": "shop.test", "port": port}} | cluster
    return made | {"dns": {"nameservers": [f"127.0.0.1:{dns.port}"], "timeout": "1s"}}


def get(edge: EdgeProcess) -> tuple[int, str]:
    """On a connection of its own, so that both workers get requests."""
    connection = http.client.HTTPConnection("127.0.0.1", edge.web, timeout=DEADLINE_S)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def seen(edge: EdgeProcess, count: int = 24) -> set[tuple[int, str]]:
    return {get(edge) for _ in range(count)}


def until_seen(edge: EdgeProcess, expected: set[tuple[int, str]]) -> None:
    """Until every answer is one of `expected`, and each of those came; then it must stay so."""
    for _ in within(DEADLINE_S, f"answers are {expected}"):
        if seen(edge) == expected:
            break
    assert seen(edge) == expected


ONE = {(200, "127.0.0.1")}
TWO = {(200, "127.0.0.2")}


def test_requests_follow_a_name_and_survive_its_name_server(tmp_path: Path, edge_state: Path) -> None:
    with dns_server() as dns, servers() as (server, _):
        dns.records["shop.test"] = (1, ["127.0.0.1"])
        made = found_by_name(dns, server.port)
        with running_edge(tmp_path / "edge", made, edge_state, "--workers", "2", restarts=1) as edge:
            assert seen(edge) == ONE, "the name was looked up before the first request"
            dns.records["shop.test"] = (1, ["127.0.0.2"])
            until_seen(edge, TWO)

            dns.silent = True
            asked = dns.asked
            for _ in within(DEADLINE_S, "several look-ups failed"):
                assert seen(edge, 2) == TWO
                if dns.asked > asked + 6:
                    break
            os.kill(edge.worker_pid, signal.SIGKILL)
            for _ in within(DEADLINE_S, "the worker is back"):
                workers = edge.state()["workers"]
                if [each["state"] for each in workers] == ["serving", "serving"] and workers[0]["restarts"]:
                    break
            assert seen(edge) == TWO, "a new worker is told what was found before"

            dns.silent = False
            dns.records["shop.test"] = (1, ["127.0.0.1", "127.0.0.2"])
            until_seen(edge, ONE | TWO)


def test_a_name_that_is_not_known_yet_is_503_until_it_is(tmp_path: Path, edge_state: Path) -> None:
    with (
        dns_server() as dns,
        servers() as (server, _),
        running_edge(tmp_path / "edge", found_by_name(dns, server.port), edge_state) as edge,
    ):
        assert get(edge)[0] == 503
        assert "shop.test: no such name" in edge.errors
        dns.records["shop.test"] = (60, ["127.0.0.1"])
        for _ in within(DEADLINE_S, "the name is known"):
            if get(edge)[0] == 200:
                break


def test_an_endpoint_that_is_unwell_gets_no_requests_until_it_is_well(
    tmp_path: Path, edge_state: Path
) -> None:
    active = {"type": "HTTP", "interval": "100ms", "timeout": "5s", "http": {"path": "/healthz"}}
    with dns_server() as dns, servers() as (first, second):
        dns.records["shop.test"] = (60, ["127.0.0.1", "127.0.0.2"])
        second.status = 503
        made = found_by_name(dns, first.port, healthCheck={"active": active, "panicThreshold": 0})
        with running_edge(tmp_path / "edge", made, edge_state, "--workers", "2") as edge:
            until_seen(edge, ONE)
            assert "127.0.0.2" in edge.errors and "answered 503, expected 200" in edge.errors
            second.status = 200
            until_seen(edge, ONE | TWO)
            first.close()
            until_seen(edge, TWO)
