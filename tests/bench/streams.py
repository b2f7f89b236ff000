"""Load over HTTP/2 by h2load, over HTTP/3 by h3load, of gRPC by grpcload: closed loop, on the load core."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.bench.wrk import Load, Result
from tests.tools import grpcload, h2load, h3load

_FIELDS = re.compile(r'^wrk\.headers\["(.+?)"\] = "(.*)"$', re.M)
_DONE = re.compile(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout")
_ENDLESS = 1_000_000_000
_LINGER_S = 60


def fields(script: Path) -> list[str]:
    """What a script of wrk sets, as `name: value`."""
    return [f"{name}: {value}" for name, value in _FIELDS.findall(script.read_text())]


def drive_h2(load: Load, port: int, seconds: float, core: int, folder: Path, script: Path) -> Result:
    """h2load does not tell percentiles: 0."""
    words = ["-t", "1", "-D", f"{max(1, round(seconds))}s", "-c", load.connections, "-m", load.streams]
    for field in fields(script):
        words += ["-H", field]
    if load.upload_bytes:
        body = folder / f"body-{load.upload_bytes}"
        body.write_bytes(b"x" * load.upload_bytes)
        words += ["-d", body]
    said = _run([h2load(), *words, f"https://127.0.0.1:{port}{load.path}"], core, seconds).stdout
    counted = _DONE.search(said)
    if counted is None:
        return Result(0, seconds, 1, 0, 0)
    succeeded, *errors = map(int, counted.groups())
    return Result(succeeded, max(1, round(seconds)), sum(errors), 0, 0)


def drive_h3(load: Load, port: int, seconds: float, core: int, folder: Path, script: Path) -> Result:
    """`folder` is not needed: h3load makes its bodies itself."""
    words = ["-t", f"{seconds}s", "-n", _ENDLESS, "-c", load.connections, "-m", load.streams]
    for field in fields(script):
        words += ["-H", field]
    words += ["-b", load.upload_bytes]
    said = _run([h3load(), *words, f"https://127.0.0.1:{port}{load.path}"], core, seconds).stdout
    told = json.loads(said)
    return Result(told["requests"], told["seconds"], told["errors"], told["p50_us"], told["p99_us"])


def drive_grpc(load: Load, port: int, seconds: float, core: int, folder: Path, script: Path) -> Result:
    """Unary calls with 64 bytes of payload both ways; grpc-go sends its own fields."""
    words = ["-t", f"{seconds}s", "-c", load.connections, "-m", load.streams, f"127.0.0.1:{port}"]
    told = json.loads(_run([grpcload(), *words], core, seconds).stdout)
    return Result(told["requests"], told["seconds"], told["errors"], told["p50_us"], told["p99_us"])


def answers_h3(port: int) -> bool:
    """Whether a GET over HTTP/3 is answered with 200."""
    command = [str(h3load()), "-c", "1", "-m", "1", "-n", "1", "-t", "1s", f"https://127.0.0.1:{port}/"]
    return subprocess.run(command, capture_output=True, timeout=_LINGER_S, check=False).returncode == 0


def _run(words: Sequence[object], core: int, seconds: float) -> subprocess.CompletedProcess[str]:
    command = ["taskset", "-c", str(core), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds + _LINGER_S, check=False)
