"""Compilers of the filters, each pinned where its registry allows it."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from tests.tools.cache import ToolMissing, once, run

ASSEMBLYSCRIPT = "0.28.20"
_H2SPEC = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible"
_GRPC = "google.golang.org/grpc/interop"
_GRPC_VERSION = "v1.85.0"
_TARGET = "wasm32-unknown-unknown"


def zig() -> Path:
    """The compiler inside the pinned `ziglang` wheel of the test extra."""
    spec = importlib.util.find_spec("ziglang")
    if spec is None or spec.origin is None:
        raise ToolMissing("ziglang is not installed: pip install -e '.[test]'")
    return Path(spec.origin).parent / "zig"


def asc() -> Path:
    """The AssemblyScript compiler from npm."""

    def install(target: Path) -> None:
        target.mkdir()
        quiet = ["--no-package-lock", "--no-save", "--no-audit", "--no-fund"]
        run(["npm", "install", *quiet, "--prefix", target, f"assemblyscript@{ASSEMBLYSCRIPT}"], 600.0)

    return once(f"npm/assemblyscript-{ASSEMBLYSCRIPT}", install) / "node_modules" / ".bin" / "asc"


def cargo() -> Path:
    """cargo, with the target of filters added to its toolchain when rustup can."""
    found = shutil.which("cargo")
    if found is None:
        raise ToolMissing("cargo is not installed")
    if _TARGET not in run(["rustup", "target", "list", "--installed"], 60.0).split():
        run(["rustup", "target", "add", _TARGET], 300.0)
    return Path(found)


def h2spec() -> Path:
    """The judge of HTTP/2, built by the Go compiler."""

    def install(target: Path) -> None:
        target.mkdir()
        run(["go", "install", _H2SPEC], 600.0, env={"GOBIN": str(target)})

    return once("go/h2spec-2.2.1", install) / "h2spec"


def grpc_interop() -> Path:
    """The folder with grpc-go's interop `client` and `server`."""

    def install(target: Path) -> None:
        target.mkdir()
        for part in ("client", "server"):
            run(["go", "install", f"{_GRPC}/{part}@{_GRPC_VERSION}"], 900.0, env={"GOBIN": str(target)})

    return once(f"go/grpc-interop-{_GRPC_VERSION}", install)
