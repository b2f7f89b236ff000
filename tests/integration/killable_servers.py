"""nginx and Envoy as processes that are killed and come back on the same port.

Each answers /name with its name, over HTTP/1.1 and HTTP/2, and grpc.health.v1.Health/Check; Envoy asks
an nginx for the latter, because it cannot answer with a body of its own to gRPC.
"""

from __future__ import annotations

import json
import socket
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from tests.integration.real_upstreams import envoy_address, envoy_resources
from tests.integration.running_edge import within
from tests.tools import envoy, free_port, nginx, require

READY_S: Final = 120.0
HEALTH: Final = "/grpc.health.v1.Health/Check"
_SERVING: Final = b"\0\0\0\0\x02\x08\x01"
"""A HealthCheckResponse that says SERVING, with its gRPC prefix."""
_NGINX: Final = """\
daemon off;
master_process off;
user root;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/bodies;
  default_type text/plain;
  server {{
    listen 127.0.0.1:{port};
    http2 on;
    root {folder};
    location = /name {{ return 200 "nginx"; }}
    location = {health} {{ error_page 418 =200 /serving; return 418; }}
    location = /serving {{ add_header grpc-status 0; types {{ }} default_type application/grpc; }}
  }}
}}
"""


class KillableServer(AbstractContextManager["KillableServer"]):
    """`port` is known before it runs. At the end of the `with` it is killed, if it still runs."""

    def __init__(self, folder: Path, port: int, command: list[str | Path]) -> None:
        self.port = port
        self._log = folder / "log"
        self._command = [str(word) for word in command]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it listens."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        for _ in within(READY_S, f"{self._command[0]} listens: {self._log}"):
            assert self._process.poll() is None, self._log.read_text()[-2000:]
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return

    def kill(self) -> None:
        """At once, with all its connections."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __exit__(self, *exception: object) -> None:
        self.kill()


def killable_nginx(folder: Path) -> KillableServer:
    folder.mkdir()
    folder.chmod(0o755)
    port = free_port()
    (folder / "serving").write_bytes(_SERVING)
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, port=port, health=HEALTH))
    command = [require(nginx), "-p", folder, "-c", config, "-e", folder / "start.log"]
    return KillableServer(folder, port, command)


def killable_envoy(folder: Path, health: int) -> KillableServer:
    """`health` is the port of an nginx that answers checks for it."""
    folder.mkdir()
    port = free_port()
    config = folder / "envoy.json"
    config.write_text(json.dumps(_envoy(port, health)))
    return KillableServer(
        folder,
        port,
        [require(envoy), "-c", config, "--concurrency", "1", "--disable-hot-restart", "-l", "warning"],
    )


def _envoy(port: int, health: int) -> dict[str, Any]:
    filters = "type.googleapis.com/envoy.extensions.filters"
    options = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    routes = [
        {
            "match": {"path": "/name"},
            "direct_response": {"status": 200, "body": {"inline_string": "envoy"}},
        },
        {"match": {"path": HEALTH}, "route": {"cluster": "health"}},
    ]
    manager = {
        "@type": f"{filters}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "web",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{filters}.http.router.v3.Router"}}],
    }
    cluster = {
        "name": "health",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "health",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": envoy_address(health)}}]}],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": options,
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
    }
    return envoy_resources(port, manager, cluster)
