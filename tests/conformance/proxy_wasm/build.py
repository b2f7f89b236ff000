"""Guests for tests: compiled from guests/*.c once, or assembled from text; made ready for the host."""

from __future__ import annotations

import hashlib
import subprocess
from functools import cache
from pathlib import Path

from edge import model
from edge.abi.proxy_wasm import InnerHost, ProxyWasmModule
from edge.abi.proxy_wasm.bridge import generate
from edge.abi.proxy_wasm.imports import plan
from edge.wasm.binary import inspect
from edge.wasm.module import Module, assemble
from tests.tools.cache import once
from tests.tools.toolchains import zig

HERE = Path(__file__).parent / "guests"
INNER = Path(__file__).parents[3] / "edge" / "abi" / "proxy_wasm" / "inner" / "inner.wasm"
_FLAGS = (
    *(
        "-target",
        "wasm32-freestanding",
        "-O2",
        "-s",
        "-mbulk-memory",
        "-ffreestanding",
        "-fno-builtin",
        "-nostdlib",
    ),
    *("-Wl,--no-entry", "-Wl,--global-base=2097152", "-Wl,-z,stack-size=65536", "-Wl,--export-memory"),
)


@cache
def compiled(name: str) -> bytes:
    """guests/<name>.c as WASM, cached by the digest of its sources."""
    source = HERE / f"{name}.c"
    sources = [source, *sorted(HERE.glob("*"))]
    digest = hashlib.sha256(
        b"".join(path.read_bytes() for path in sources) + repr(_FLAGS).encode()
    ).hexdigest()

    def make(target: Path) -> None:
        command = [str(zig()), "cc", *_FLAGS, "-o", str(target), str(source)]
        subprocess.run(command, check=True, timeout=300, capture_output=True)

    return once(f"guests/{name}-{digest[:16]}.wasm", make).read_bytes()


@cache
def inner_host() -> InnerHost:
    return InnerHost(Module.compile(INNER.read_bytes()))


@cache
def module(wasm: bytes, abi: str = "proxy-wasm/0.2.1") -> ProxyWasmModule:
    """What a worker gets for a guest, without descriptors."""
    inspection = inspect(wasm)
    planned = plan(inspection.imports)
    if planned.missing:
        raise ValueError("; ".join(planned.missing))
    bridge = assemble(generate(inspection).decode())
    declared = inspect(bridge)
    description = model.Module(
        digest=hashlib.sha256(wasm).hexdigest(),
        abi=abi,
        guest_fd=0,
        bridge_fd=1,
        guest_imports=planned.links,
        bridge_imports=[(item.module, item.name) for item in declared.imports],
        exports=list(inspection.exports),
    )
    return ProxyWasmModule(inner_host(), Module.compile(wasm), Module.compile(bridge), description)
