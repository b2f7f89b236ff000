"""HAProxy in front of two nodes, as an operator would have it: one node dies, no client notices.

And the nodes know their clients, by both versions of the PROXY protocol.
"""

from __future__ import annotations

import http.client
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.integration.real_upstreams import running_program
from tests.integration.running_edge import EdgeProcess, configuration, rule, within
from tests.integration.scripted_upstream import answering
from tests.tools import free_port, haproxy, require

CLIENTS = 6
LEAST_REQUESTS = 600
"""Before the kill, and again after it."""
DEADLINE_S = 120.0
WHERE_FROM = "127.0.0.5"

_CONFIG = """\
global
  maxconn 500
defaults
  mode http
  timeout connect 2s
  timeout client 30s
  timeout server 30s
  option redispatch 1
  retries 4
  retry-on all-retryable-errors
frontend web
  bind 127.0.0.1:{port}
  default_backend nodes
backend nodes
  balance roundrobin
  default-server {send} check inter 200ms fall 1 rise 2
  server one 127.0.0.1:{one}
  server two 127.0.0.1:{two}
"""


class Load:
    """Clients with a connection each, from an address of their own; every answer must be 200."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self._count = threading.Lock()
        self.done = 0
        self.faults: list[str] = []
        self.addresses: set[str] = set()
        self._threads = [threading.Thread(target=self._client) for _ in range(CLIENTS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _client(self) -> None:
        while not self._stop.is_set():
            client = http.client.HTTPConnection(
                "127.0.0.1", self._port, timeout=DEADLINE_S, source_address=(WHERE_FROM, 0)
            )
            try:
                self._ask(client)
            except Exception as error:
                self.faults.append(repr(error))
            finally:
                client.close()

    def _ask(self, client: http.client.HTTPConnection) -> None:
        client.connect()
        self.addresses.add("{}:{}".format(*client.sock.getsockname()))
        for _ in range(20):
            client.request("GET", "/", headers={"host": "shop.example"})
            answer = client.getresponse()
            if answer.read() != b"ok" or answer.status != 200:
                self.faults.append(f"status {answer.status}")
            with self._count:
                self.done += 1
            if self._stop.is_set():
                return

    def wait_for(self, more: int) -> None:
        """Until so many more requests are done."""
        wanted = self.done + more
        for _ in within(DEADLINE_S, f"{more} requests are answered"):
            if self.done >= wanted:
                return


def _node(folder: Path, state: Path, upstream: int) -> EdgeProcess:
    config = configuration({"up": [upstream]}, [rule("up")])
    config["listeners"][0]["proxyProtocol"] = {"from": ["127.0.0.1/32"]}
    config["telemetry"] = {"accessLog": {"path": "access.log"}}
    return EdgeProcess(folder, config, state, "--workers", "1")


@contextmanager
def _nodes(folder: Path, state: Path, upstream: int) -> Iterator[tuple[EdgeProcess, EdgeProcess]]:
    one, two = (_node(folder / name, state, upstream) for name in ("one", "two"))
    try:
        one.wait_ready()
        two.wait_ready()
        yield one, two
    finally:
        one.kill()
        two.kill()


def _die(node: EdgeProcess) -> None:
    """Supervisor and worker at once, by SIGKILL."""
    worker = node.worker_pid
    node.process.send_signal(signal.SIGKILL)
    with suppress(ProcessLookupError):  # it does not outlive its supervisor
        os.kill(worker, signal.SIGKILL)
    node.process.wait()


@pytest.mark.parametrize("send", ["send-proxy", "send-proxy-v2"])
def test_a_node_dies_behind_haproxy_and_no_client_notices(
    tmp_path: Path, edge_state: Path, send: str
) -> None:
    program, port = require(haproxy), free_port()
    with ExitStack() as stack:
        upstream = stack.enter_context(answering())
        one, two = stack.enter_context(_nodes(tmp_path, edge_state, upstream.port))
        config = tmp_path / "haproxy.cfg"
        config.write_text(_CONFIG.format(port=port, send=send, one=one.web, two=two.web))
        stack.enter_context(running_program([program, "-db", "-f", config], tmp_path, port))
        with Load(port) as load:
            load.wait_for(LEAST_REQUESTS)
            _die(one)
            load.wait_for(LEAST_REQUESTS)
        assert load.faults == []
        logged = [line for node in (one, two) for line in node.access_log()]
        assert {line["status"] for line in logged} == {200}
        assert {line["client"] for line in logged} <= load.addresses
        assert len(logged) >= LEAST_REQUESTS
        for node in (one, two):
            assert len({line["client"] for line in node.access_log()}) > 1
        two.check_sound()
        assert two.end() == 0
