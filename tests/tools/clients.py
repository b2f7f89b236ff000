"""Clients and judges of HTTP/2, HTTP/3 and TLS that are neither Debian's nor one binary in a wheel."""

from __future__ import annotations

import hashlib
import shutil
import sys
import venv
from pathlib import Path

from tests.tools.cache import once, run

_BENCH = Path(__file__).parents[1] / "bench"
_FETCH_S = 900.0
_PIP = ("-m", "pip", "install", "-q", "--disable-pip-version-check")
_SSLYZE = "6.3.1"


def h3load() -> Path:
    """Load over HTTP/3, on quic-go; its source is in tests/bench/h3load."""
    return _go(_BENCH / "h3load")


def grpcload() -> Path:
    """Unary gRPC calls, and the service they call, on grpc-go; its source is in tests/bench/grpcload."""
    return _go(_BENCH / "grpcload")


def _go(program: Path) -> Path:
    sources = [program / name for name in ("go.mod", "go.sum", "main.go")]
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]

    def build(target: Path) -> None:
        folder = target.parent / "source"
        folder.mkdir()
        for source in sources:
            shutil.copyfile(source, folder / source.name)
        run(["go", "build", "-trimpath", "-o", target, "."], _FETCH_S, cwd=folder)

    return once(f"go/{program.name}-{digest}", build)


def pycurl() -> Path:
    """A folder for PYTHONPATH with pycurl, whose own libcurl speaks HTTP/3."""
    return _packages("pycurl==7.49.0")


def curl_cffi() -> Path:
    """A folder for PYTHONPATH with curl_cffi: a libcurl that behaves like a browser."""
    return _packages("curl_cffi==0.16.3")


def sslyze() -> Path:
    """The judge of TLS, in an environment of its own: it pins other versions than edge does."""

    def install(target: Path) -> None:
        venv.create(target, with_pip=True)
        run([target / "bin" / "python", *_PIP, f"sslyze=={_SSLYZE}"], _FETCH_S)

    # Started by its interpreter: the path inside the installed script is that of the making.
    return once(f"python/sslyze-{_SSLYZE}", install) / "bin" / "python"


def _packages(requirement: str) -> Path:
    def install(target: Path) -> None:
        run([sys.executable, *_PIP, "--target", target, requirement], _FETCH_S)

    return once(f"python/{requirement.replace('==', '-')}", install)
