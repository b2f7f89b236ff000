"""A real Jaeger for tests: started on free ports, asked over its query API."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.tools import free_port, jaeger, jaeger_config, require

_READY_S = 120.0
_VISIBLE_S = 60.0
_POLL_S = 0.02

Span = dict[str, Any]


class Jaeger:
    """`otlp` is the base endpoint spans are posted to."""

    def __init__(self, otlp_port: int, query_port: int) -> None:
        self.otlp = f"http://127.0.0.1:{otlp_port}"
        self._query = f"http://127.0.0.1:{query_port}/api/v3"

    def get(self, path: str) -> Any:
        """JSON under /api/v3, or None for 404 and for a server that is not ready yet."""
        try:
            with urllib.request.urlopen(self._query + path, timeout=20) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code not in (404, 503):
                raise
        except OSError:
            pass
        return None

    def trace(self, trace_id: str, spans: int) -> tuple[dict[str, Any], list[Span]]:
        """Resource attributes and spans of a trace, once it has `spans` of them."""
        deadline = time.monotonic() + _VISIBLE_S
        found: list[Span] = []
        while time.monotonic() < deadline:
            answer = self.get(f"/traces/{trace_id}")
            entries = answer["result"]["resourceSpans"] if answer else []
            found = [span for entry in entries for scope in entry["scopeSpans"] for span in scope["spans"]]
            if len(found) >= spans:
                return attributes(entries[0]["resource"]), found
            time.sleep(_POLL_S)
        raise AssertionError(
            f"{len(found)} of {spans} spans of {trace_id} are in Jaeger after {_VISIBLE_S} s"
        )


def attributes(holder: dict[str, Any]) -> dict[str, Any]:
    """The attributes of a span or resource as plain values (64-bit numbers are strings there)."""
    plain = {}
    for entry in holder.get("attributes", []):
        ((kind, value),) = entry["value"].items()
        if kind == "intValue":
            value = int(value)
        elif kind == "arrayValue":
            value = [each["stringValue"] for each in value["values"]]
        plain[entry["key"]] = value
    return plain


@contextmanager
def jaeger_server(folder: Path) -> Iterator[Jaeger]:
    """Start Jaeger with its files in `folder`; skips (or fails, see `require`) without the program."""
    program = require(jaeger)
    otlp, query = free_port(), free_port()
    config = folder / "jaeger.yaml"
    config.write_text(
        jaeger_config(otlp_http=otlp, query_http=query, query_grpc=free_port(), otlp_grpc=free_port())
    )
    log = folder / "jaeger.log"
    with log.open("wb") as output:
        process = subprocess.Popen([program, "--config", config], stdout=output, stderr=subprocess.STDOUT)
        try:
            server = Jaeger(otlp, query)
            deadline = time.monotonic() + _READY_S
            while server.get("/services") is None:
                assert process.poll() is None, f"jaeger ended: {log.read_text()[-2000:]}"
                assert time.monotonic() < deadline, f"jaeger is not ready: {log.read_text()[-2000:]}"
                time.sleep(_POLL_S)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
