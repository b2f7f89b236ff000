"""What an artefact depends on: another engine, CPU, inner host or bridge generator needs another one."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path

import msgspec

from edge.wasm.engine import PROFILE


class ArtefactKey(msgspec.Struct, frozen=True, array_like=True):
    """`guest` is the sha256 hex digest of the guest's bytes; the rest is what compiled it."""

    guest: str
    wasmtime: str
    profile: str
    cpu: str
    inner: str
    bridge: str

    def context(self) -> bytes:
        """All of it, unambiguous, for a MAC."""
        return msgspec.msgpack.encode(self)

    def name(self) -> str:
        """File name: digest of `context`."""
        return hashlib.sha256(self.context()).hexdigest()


@cache
def wasmtime_version() -> str:
    return version("wasmtime")


@cache
def cpu_features(cpuinfo: str = "/proc/cpuinfo") -> str:
    """Digest of the features of the CPU; a state directory may move to another machine."""
    for line in Path(cpuinfo).read_text("utf-8", "replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"flags", "Features"}:
            features = " ".join(sorted(value.split()))
            return hashlib.sha256(f"{platform.machine()} {features}".encode()).hexdigest()
    return platform.machine()


def artefact_key(guest: str, inner: str, bridge: str) -> ArtefactKey:
    """The key on this machine. `inner` is a digest, `bridge` the generator's version."""
    return ArtefactKey(guest, wasmtime_version(), PROFILE, cpu_features(), inner, bridge)
