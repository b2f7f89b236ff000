"""C source to .wasm."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from tests.tools import zig
from tests.tools.cache import once, run

_HERE = Path(__file__).parent
_FLAGS = ("-target", "wasm32-freestanding", "-O2", "-nostdlib", "-Wl,--no-entry")


def build(name: str) -> Path:
    """The compiled guest `name` (`light`, `heavy`), cached by the digest of its sources."""
    sources = [_HERE / f"{name}.c", _HERE / "proxy_wasm.h"]
    digest = sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]

    def make(target: Path) -> None:
        run([zig(), "cc", *_FLAGS, "-o", target, sources[0]], 300.0)

    return once(f"bench-{name}-{digest}.wasm", make)
