"""Foreign programs that tests drive: fetched or built on first use, kept in a cache folder.

`require(tool)` is how a test asks for one.
"""

from tests.tools.cache import ToolMissing, require, root
from tests.tools.clients import curl_cffi, grpcload, h3load, pycurl, sslyze
from tests.tools.collector import jaeger, jaeger_config
from tests.tools.debian import chromium, curl, h2load, haproxy, wrk
from tests.tools.ports import free_port
from tests.tools.toolchains import asc, cargo, grpc_interop, h2spec, zig
from tests.tools.wheels import caddy, envoy, nginx, traefik, wasm_tools

__all__ = [
    "ToolMissing",
    "asc",
    "caddy",
    "cargo",
    "chromium",
    "curl",
    "curl_cffi",
    "envoy",
    "free_port",
    "grpc_interop",
    "grpcload",
    "h2load",
    "h2spec",
    "h3load",
    "haproxy",
    "jaeger",
    "jaeger_config",
    "nginx",
    "pycurl",
    "require",
    "root",
    "sslyze",
    "traefik",
    "wasm_tools",
    "wrk",
    "zig",
]
