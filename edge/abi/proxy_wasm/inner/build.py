"""Build `inner.wasm` from the C beside it: `python -m edge.abi.proxy_wasm.inner.build`.

The bytes depend on the sources and the pinned compiler alone. `--check` builds beside and
compares digests, without touching the file.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

COMPILER: Final = "0.17.1"
HERE: Final = Path(__file__).parent
TARGET: Final = HERE / "inner.wasm"
MEMORY_BYTES: Final = 2304 << 10
"""Minimum and maximum alike, so that its base never moves."""
FLAGS: Final = (
    *("-target", "wasm32-freestanding", "-O2", "-s", "-msimd128", "-mbulk-memory"),
    *("-ffreestanding", "-fno-builtin", "-nostdlib", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter"),
    *("-Wl,--no-entry", "-Wl,--export-table", "-Wl,--export-memory", "-Wl,-z,stack-size=65536"),
    *(f"-Wl,--initial-memory={MEMORY_BYTES}", f"-Wl,--max-memory={MEMORY_BYTES}"),
)


def build(output: Path) -> bytes:
    """Compile to `output` and return the bytes. Raises RuntimeError with the compiler's words."""
    if version("ziglang") != COMPILER:
        raise RuntimeError(f"the inner host is built with ziglang=={COMPILER}, found {version('ziglang')}")
    sources = sorted(path.name for path in HERE.glob("*.c"))
    command = [sys.executable, "-m", "ziglang", "cc", *FLAGS, "-o", str(output), *sources]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return output.read_bytes()


def main(arguments: list[str]) -> int:
    with TemporaryDirectory() as scratch:
        built = build(Path(scratch) / "inner.wasm")
    digest = hashlib.sha256(built).hexdigest()
    if "--check" in arguments:
        found = hashlib.sha256(TARGET.read_bytes()).hexdigest()
        print(f"built {digest}\nfound {found}")
        return int(found != digest)
    TARGET.write_bytes(built)
    print(f"{digest} {len(built)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
