"""Jaeger, built from the Go module proxy: no package index carries it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.tools.cache import once, run

_VERSION = "v1.76.0"
"""The newest the proxy serves; its `cmd/jaeger` is Jaeger 2.13."""

_FETCH_S = 900.0
_BUILD_S = 2400.0


def jaeger() -> Path:
    """The program. The first build takes minutes and 2 GB of memory; run it with `--config`."""

    def build(target: Path) -> None:
        module = f"github.com/jaegertracing/jaeger@{_VERSION}"
        source = Path(json.loads(run(["go", "mod", "download", "-json", module], _FETCH_S))["Dir"])
        command = ["go", "build", "-trimpath", "-ldflags=-s -w", "-o", str(target), "./cmd/jaeger"]
        run(command, _BUILD_S, cwd=source)

    return once(f"bin/jaeger-{_VERSION}", build)


def jaeger_config(otlp_http: int, query_http: int, query_grpc: int, otlp_grpc: int) -> str:
    """Configuration with storage in memory and exactly these four loopback ports."""
    endpoint = '{{endpoint: "127.0.0.1:{}"}}'.format
    return f"""\
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines: {{traces: {{receivers: [otlp], exporters: [jaeger_storage_exporter]}}}}
  telemetry: {{metrics: {{level: none}}}}
extensions:
  jaeger_storage: {{backends: {{mem: {{memory: {{max_traces: 10000}}}}}}}}
  jaeger_query:
    storage: {{traces: mem}}
    enable_tracing: false
    http: {endpoint(query_http)}
    grpc: {endpoint(query_grpc)}
receivers: {{otlp: {{protocols: {{grpc: {endpoint(otlp_grpc)}, http: {endpoint(otlp_http)}}}}}}}
exporters: {{jaeger_storage_exporter: {{trace_storage: mem}}}}
"""
