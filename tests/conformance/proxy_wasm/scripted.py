"""Filters over guests/script.c, and their exchanges."""

from __future__ import annotations

from typing import Any

from edge import model
from edge.abi.proxy_wasm import ProxyWasmFilter
from edge.abi.proxy_wasm.exchange import StreamContext
from tests.conformance.proxy_wasm import build
from tests.conformance.proxy_wasm.rig import FakePort, FakeServices, started
from tests.conformance.proxy_wasm.script import Script, configuration, pairs

CALL = pairs((b":method", b"POST"), (b":path", b"/check"), (b":authority", b"Auth.local"), (b"x-a", b"1"))
ALLOW = model.Allow(backends=["blue"], callouts=["auth"])


def scripted(
    services: FakeServices | None = None, fields: dict[str, Any] | None = None, **callbacks: Script
) -> ProxyWasmFilter:
    module = build.module(build.compiled("script"))
    return started(module, services, config=configuration(**callbacks), allow=ALLOW, **(fields or {}))


def opened(bound: ProxyWasmFilter, port: FakePort) -> StreamContext:
    stream = bound.open(port)
    assert isinstance(stream, StreamContext), stream
    return stream
