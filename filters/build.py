"""Builds the filters into `edge/builtin`: `python -m filters.build [--check] [NAME …]`.

`ab-split` (C) and `header-transform` (AssemblyScript) come out bit by bit the same wherever they
are built, because their compilers are pinned. `api-key` (Rust) does not: `--check` leaves it out.

Needs `ziglang` (the test extra), Node.js with npx, cargo with the target wasm32-unknown-unknown.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

_SOURCES = Path(__file__).resolve().parent
BUILTIN = _SOURCES.parent / "edge" / "builtin"
ASSEMBLYSCRIPT = "0.28.20"
_TIMEOUT_S = 600.0

_C_FLAGS = (
    "-target wasm32-freestanding -mbulk-memory -Os -std=c11 -nostdlib -fno-sanitize=all"
    " -Wall -Wextra -Werror -Wno-unused-parameter"
    " -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=16384 -Wl,--max-memory=4194304"
).split()
_ASC_FLAGS = (
    "-O3s --runtime incremental --use abort=../../sdk/assemblyscript/host/abort --exportStart _initialize"
).split()


def ab_split(target: Path) -> None:
    sources = sorted(path.name for path in (_SOURCES / "ab-split").glob("*.c"))
    command = [sys.executable, "-m", "ziglang", "cc", *_C_FLAGS, "-o", str(target), *sources]
    _run(command, _SOURCES / "ab-split")


def header_transform(target: Path) -> None:
    """EDGE_ASC names the compiler; without it npx fetches it."""
    asc = os.environ.get("EDGE_ASC")
    compiler = [asc] if asc else ["npx", "--yes", "-p", f"assemblyscript@{ASSEMBLYSCRIPT}", "asc"]
    _run([*compiler, "assembly/index.ts", *_ASC_FLAGS, "-o", str(target)], _SOURCES / "header-transform")


def api_key(target: Path) -> None:
    """Built in a copy of the sources, so that no Cargo.lock or target folder is left here.

    The paths of the machine that builds are kept out of the texts of panics.
    """
    with tempfile.TemporaryDirectory() as work:
        crate = Path(work) / "api-key"
        shutil.copytree(_SOURCES / "api-key", crate, ignore=shutil.ignore_patterns("target", "Cargo.lock"))
        cargo_home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
        registry = next((cargo_home / "registry" / "src").glob("*"), cargo_home)
        renamed = {cargo_home: "cargo", registry: "crates", crate: "."}
        flags = " ".join(f"--remap-path-prefix={path}={name}" for path, name in renamed.items())
        command = ["cargo", "build", "-q", "--release", "--target", "wasm32-unknown-unknown"]
        _run(command, crate, {"CARGO_TARGET_DIR": "target", "RUSTFLAGS": flags})
        built = next((crate / "target").glob("wasm32-unknown-unknown/release/*.wasm"))
        shutil.copyfile(built, target)


BUILDERS: dict[str, Callable[[Path], None]] = {
    "ab-split": ab_split,
    "api-key": api_key,
    "header-transform": header_transform,
}
REPRODUCIBLE = ("ab-split", "header-transform")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def differing(names: list[str], folder: Path) -> list[str]:
    """Build `names` into `folder`; those whose bytes are not the ones in `edge/builtin`."""
    different = []
    for name in names:
        fresh = folder / f"{name}.wasm"
        BUILDERS[name](fresh)
        if digest(fresh) != digest(BUILTIN / fresh.name):
            different.append(name)
    return different


def _run(command: list[str], folder: Path, environ: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m filters.build", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="ab-split, api-key, header-transform; all")
    parser.add_argument("--check", action="store_true", help="compare with edge/builtin, write nothing there")
    options = parser.parse_args()
    names = options.names or list(REPRODUCIBLE if options.check else BUILDERS)
    unknown = [name for name in names if name not in BUILDERS]
    if unknown:
        parser.error(f"no such filter: {', '.join(unknown)} (known: {', '.join(BUILDERS)})")
    with tempfile.TemporaryDirectory() as work:
        if options.check:
            different = differing(names, Path(work))
            print("\n".join(f"{name}: differs" for name in different) or "equal")
            return 1 if different else 0
        for name in names:
            fresh = Path(work) / f"{name}.wasm"
            BUILDERS[name](fresh)
            shutil.copyfile(fresh, BUILTIN / fresh.name)
            print(f"{digest(fresh)}  edge/builtin/{fresh.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
