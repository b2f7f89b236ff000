"""Load by wrk: closed loop, one thread, on the load core."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from tests.tools import wrk

SCRIPTS = Path(__file__).parent / "load"


@dataclass(frozen=True)
class Load:
    """One way to load a server."""

    script: str = "twelve"
    path: str = "/catalogue/items/42"
    connections: int = 32
    upload_bytes: int = 0
    _: KW_ONLY
    tls: bool = False
    protocol: str = "h1"
    paths: int = 0
    """Ask this many paths in turn (`load/spread.lua`), not one; for h1."""
    streams: int = 1
    """Requests in flight on each connection; for h2 and h3."""


@dataclass(frozen=True)
class Result:
    """`errors` counts broken connections and answers other than 2xx or 3xx."""

    requests: int
    seconds: float
    errors: int
    p50_us: int
    p99_us: int


def drive(load: Load, port: int, seconds: float, core: int, folder: Path) -> Result:
    """Run `load` against 127.0.0.1:`port`."""
    script = folder / f"{load.script}.lua"
    parts = [load.script, *(["spread"] if load.paths else []), "report"]
    script.write_text("".join((SCRIPTS / f"{part}.lua").read_text() for part in parts))
    url = f"{'https' if load.tls else 'http'}://127.0.0.1:{port}{load.path}"
    timing = ["-d", f"{max(1, round(seconds))}s", "--timeout", "10s"]
    command = ["taskset", "-c", str(core), str(wrk()), "-t", "1", "-c", str(load.connections), *timing]
    done = subprocess.run(
        [*command, "-s", str(script), url],
        env={**os.environ, "UPLOAD_BYTES": str(load.upload_bytes), "PATHS": str(load.paths)},
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=True,
    )
    line = json.loads(done.stdout.strip().splitlines()[-1])
    errors = sum(line[kind] for kind in ("connect", "read", "write", "status", "timeout"))
    return Result(line["requests"], line["duration_us"] / 1e6, errors, line["p50_us"], line["p99_us"])
