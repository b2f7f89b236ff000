"""A worker does not pay for what only the supervisor needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

WORKER = [
    "access_log",
    "filter_span",
    "guest_metrics",
    "logs",
    "metrics",
    "otlp",
    "spans",
    "tracer",
    "tracing",
]


@pytest.mark.parametrize("heavy", ["opentelemetry", "prometheus_client", "google.protobuf"])
def test_the_modules_of_a_worker_load_nothing_heavy(heavy: str) -> None:
    imports = "; ".join(f"import edge.telemetry.{name}" for name in WORKER)
    program = (
        f"import sys; {imports}; print({heavy!r} in sys.modules, 'edge.telemetry.tracer' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["False", "True"]
