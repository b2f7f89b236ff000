"""`edge run` as a child, with free ports, and an upstream that waits when told to."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

START_S = 120
ROOT = Path(__file__).parents[2]


def plain_config(upstream: int) -> str:
    """One listener, one rule, every request traced."""
    return f"""\
version: 1
admin: {{address: "127.0.0.1:0"}}
listeners: [{{name: web, address: "127.0.0.1:0"}}]
routes: [{{name: all, parentRefs: [{{name: web}}], rules: [{{backendRefs: [{{name: up}}]}}]}}]
clusters: [{{name: up, discovery: {{type: Static, endpoints: [{{address: "127.0.0.1:{upstream}"}}]}}}}]
telemetry: {{tracing: {{sampler: {{ratio: 1.0}}}}}}
"""


class _QuietServer(ThreadingHTTPServer):
    request_queue_size = 1024

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that edge cut is no news."""


class Upstream:
    """Answers 200 with `hello`; `asked` is set by a request, which waits while `hold` is clear."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.hold = threading.Event()
        self.hold.set()
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                upstream.asked.set()
                upstream.hold.wait(START_S)
                self.send_response(200)
                self.send_header("content-length", "6")
                self.end_headers()
                self.wfile.write(b"hello\n")

            def log_message(self, format: str, *arguments: object) -> None:
                """Tests read what edge says, not this."""

        self._server = _QuietServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Upstream:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class EdgeProcess:
    """Started and ready inside the `with`; killed at its end if it still runs."""

    def __init__(self, config: str, folder: Path, environment: dict[str, str] | None = None) -> None:
        self._folder = folder
        (folder / "edge.yaml").write_text(config)
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
        self._log = folder / "edge.log"
        self.port = 0
        self.admin_port = 0

    def __enter__(self) -> EdgeProcess:
        command = [sys.executable, "-m", "edge", "run", "-c", str(self._folder / "edge.yaml")]
        command += ["--state-dir", str(self._folder / "state"), "--workers", "1"]
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(command, stderr=log, stdout=log, env=self._environment)
        try:
            self._wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
            try:
                self._child.wait(5)
            except subprocess.TimeoutExpired:
                self._child.kill()
        self._child.wait()

    @property
    def pid(self) -> int:
        return self._child.pid

    def said(self) -> str:
        """Everything on stderr so far."""
        return self._log.read_text()

    def wait(self) -> int:
        """The exit code."""
        return self._child.wait(START_S)

    def get(self, path: str) -> tuple[int, bytes]:
        """One request through edge."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def admin(self, path: str) -> tuple[int, Any]:
        """Status and JSON of the admin API."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=START_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def worker_pid(self) -> int:
        """Of the worker that serves now; 0 when none does."""
        status, state = self.admin("/ready")
        return int(state["workers"][0]["pid"]) if status == 200 else 0

    def accepts(self) -> bool:
        """Whether the kernel still lets clients in."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_S
        while "edge: ready" not in self.said():
            if self._child.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"edge did not start:\n{self.said()}")
            time.sleep(0.02)
        self.port = int(re.findall(r"web: https?://[\d.]+:(\d+)", self.said())[0])
        self.admin_port = int(re.findall(r"admin: http://[\d.]+:(\d+)", self.said())[0])
