"""The demo's configuration file, written into the state folder for everybody to read and change."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from edge.cli.demo.authority import Files
from edge.control.config.quantity import HostPort
from edge.control.sockets import bind

HTTP_PORT = 8080
HTTPS_PORT = 8443
ADMIN_PORT = 9901

TEMPLATE = """\
# Written by `edge demo` at each start. Copy it, change it, and serve it with `edge run -c FILE`.
version: 1
admin: {{address: "127.0.0.1:{admin}"}}
listeners:
  - {{name: web, address: "127.0.0.1:{http}"}}
  - name: websecure
    address: "127.0.0.1:{https}"
    protocols: [h1, h2, h3]
    tls: {{certificates: [{{certFile: {certificate}, keyFile: {key}}}]}}
modules:
  api-key: {{builtin: api-key}}                     # Rust
  header-transform: {{builtin: header-transform}}   # AssemblyScript
  ab-split: {{builtin: ab-split}}                   # C
filterChains:
  shop:
    - name: authn
      module: api-key
      config: {{header: x-api-key, keys: {{demo-key-ada: ada, demo-key-bob: bob}}}}
    - name: headers
      module: header-transform
      config:
        request: {{set: {{x-original-path: "${{path}}"}}}}
        response: {{set: {{x-served-by: edge}}, remove: [server]}}
    - name: split
      module: ab-split
      config:
        cookie: shop-variant
        header: x-choose-variant
        variants: [{{name: v1, weight: 80, backend: shop-v1}}, {{name: v2, weight: 20, backend: shop-v2}}]
      allow: {{backends: [shop-v1, shop-v2]}}
routes:
  - name: shop
    parentRefs: [{{name: web}}, {{name: websecure}}]
    rules:
      - name: open
        matches: [{{path: {{type: PathPrefix, value: /open}}}}]
        backendRefs: [{{name: shop-v1}}]
      - name: shop
        filters: [{{type: ExtensionRef, extensionRef: {{kind: FilterChain, name: shop}}}}]
        backendRefs: [{{name: shop-v1}}]
        timeouts: {{request: 10s, backendRequest: 5s}}
clusters:
  - {{name: shop-v1, discovery: {{type: Static, endpoints: [{{address: "127.0.0.1:{v1}"}}]}}}}
  - {{name: shop-v2, discovery: {{type: Static, endpoints: [{{address: "127.0.0.1:{v2}"}}]}}}}
telemetry:
  tracing: {{sampler: {{ratio: 1.0}}, safeQueryParams: [page]}}
  accessLog: {{path: {log}}}
"""


def write_config(folder: Path, files: Files, v1: int, v2: int) -> Path:
    """The file's path. Ports that are taken are replaced by free ones."""
    path = folder / "edge.yaml"
    text = TEMPLATE.format(
        admin=free_port(ADMIN_PORT),
        http=free_port(HTTP_PORT),
        https=free_port(HTTPS_PORT),
        certificate=json.dumps(str(files.certificate)),
        key=json.dumps(str(files.key)),
        log=json.dumps(str(folder / "access.log")),
        v1=v1,
        v2=v2,
    )
    path.write_text(text, encoding="utf-8")
    return path


def free_port(wanted: int) -> int:
    """`wanted` when nobody listens there, else one the system gives."""
    for port in (wanted, 0):
        try:
            (made,) = bind(HostPort("127.0.0.1", port))
        except OSError:
            continue
        with made:
            chosen: int = made.getsockname()[1]
            return chosen
    raise OSError(f"no free port on {socket.gethostname()}")
