"""nginx and Envoy as upstreams: the same few pages, Envoy's from nginx behind it."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.tools import envoy, free_port, nginx, require

SIZES = {"empty": 0, "one": 1, "page": 64 << 10, "large": 10 << 20}
_READY_S = 120.0
_NGINX = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/bodies;
  proxy_temp_path {folder}/proxied;
  client_max_body_size 64m;
  client_body_buffer_size 16m;
  keepalive_requests 100000;
  types {{ text/html html; text/css css; application/javascript js; image/svg+xml svg; }}
  default_type application/octet-stream;
  server {{
    listen 127.0.0.1:{port};
    root {files};
    location / {{ }}
    location = /echo {{ echo_read_request_body; echo_request_body; }}
    location = /who {{ default_type text/plain; echo_duplicate 1 $echo_client_request_headers; }}
    location = /none {{ return 204; }}
    location = /same {{ return 304; }}
    location = /name {{ default_type text/plain; return 200 "nginx"; }}
  }}
}}
"""


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def body_of(name: str) -> bytes:
    """The bytes of a page in SIZES: not compressible by accident, equal in every run."""
    return hashlib.shake_128(name.encode()).digest(SIZES[name])


def pages(folder: Path) -> Path:
    """A folder with one file for each of SIZES."""
    folder.mkdir(exist_ok=True)
    for name in SIZES:
        (folder / name).write_bytes(body_of(name))
    return folder


@contextmanager
def nginx_server(folder: Path, files: Path) -> Iterator[int]:
    """Its port. /NAME is a file, /echo the request's body (chunked), /who its head."""
    program = require(nginx)
    folder.mkdir(exist_ok=True)
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, port=port, files=files))
    for part in (folder, files, *files.iterdir()):
        part.chmod(0o755)
    command = [program, "-p", folder, "-c", config, "-e", folder / "start.log", "-g", "user root;"]
    with running_program(command, folder, port):
        yield port


@contextmanager
def envoy_server(folder: Path, origin: int) -> Iterator[int]:
    """Its port. Passes everything on to `origin`, but answers /name itself."""
    program = require(envoy)
    folder.mkdir(exist_ok=True)
    port = free_port()
    config = folder / "envoy.json"
    config.write_text(json.dumps(_envoy(port, origin)))
    command = [program, "-c", config, "--concurrency", "1", "--disable-hot-restart", "-l", "warning"]
    with running_program(command, folder, port):
        yield port


def _envoy(port: int, origin: int) -> dict[str, Any]:
    types = "type.googleapis.com/envoy.extensions.filters"
    routes = [
        {
            "match": {"path": "/name"},
            "direct_response": {"status": 200, "body": {"inline_string": "envoy"}},
        },
        {"match": {"prefix": "/"}, "route": {"cluster": "origin", "timeout": "30s"}},
    ]
    manager = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "web",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{types}.http.router.v3.Router"}}],
    }
    endpoint = {"endpoint": {"address": envoy_address(origin)}}
    cluster = {
        "name": "origin",
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": "origin", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    return envoy_resources(port, manager, cluster)


def envoy_resources(port: int, manager: dict[str, Any], cluster: dict[str, Any]) -> dict[str, Any]:
    """A configuration with one listener, whose HTTP `manager` knows one cluster."""
    listener = {
        "address": envoy_address(port),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def envoy_address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


@contextmanager
def running_program(command: list[Any], folder: Path, port: int) -> Iterator[None]:
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([str(word) for word in command], stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + _READY_S
        while not _listens(port):
            assert process.poll() is None, f"{command[0]} ended: {log.read_text()[-2000:]}"
            assert time.monotonic() < deadline, f"{command[0]} is not ready: {log.read_text()[-2000:]}"
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
