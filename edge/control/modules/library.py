"""From a guest's bytes to what a worker needs: inspect, look up, compile, sign, seal."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

from edge.abi.proxy_wasm import inner
from edge.abi.proxy_wasm.bridge import BRIDGE_VERSION
from edge.control.modules.artefact_key import ArtefactKey, artefact_key
from edge.control.modules.compile import CompileError, Compiler
from edge.control.modules.inspect import Report, report
from edge.control.modules.sealed import sealed_copy
from edge.control.modules.store import ModuleStore
from edge.wasm.binary import inspect
from edge.wasm.module import assemble

INNER_HOST: Final = Path(inner.__file__).parent / "inner.wasm"


class ModuleRefused(Exception):
    """`errors` say why, one line each."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


class Provided:
    """A module ready for workers. The descriptors are sealed memfds; `close` when they are sent.

    `guest_imports` and `bridge_imports` have the shapes of `edge.model.Module`.
    """

    __slots__ = (
        "abi",
        "bridge_fd",
        "bridge_imports",
        "digest",
        "exports",
        "guest_fd",
        "guest_imports",
        "warnings",
    )

    def __init__(
        self, found: Report, guest_fd: int, bridge_fd: int, bridge_imports: list[tuple[str, str]]
    ) -> None:
        assert found.inspection is not None
        self.digest = found.digest
        self.abi = found.abi
        self.guest_fd = guest_fd
        self.bridge_fd = bridge_fd
        self.guest_imports = found.links
        self.bridge_imports = bridge_imports
        self.exports = list(found.inspection.exports)
        self.warnings = found.warnings

    def close(self) -> None:
        os.close(self.guest_fd)
        os.close(self.bridge_fd)


class ModuleLibrary:
    """The supervisor's way to artefacts. One compile at a time, each only once per key."""

    def __init__(self, store: ModuleStore, compiler: Compiler | None = None) -> None:
        self._store = store
        self._compiler = compiler or Compiler()
        self.unkept = ""
        """Why the store did not take what was compiled; modules run all the same."""
        self._inner = INNER_HOST.read_bytes()
        self.inner_digest = hashlib.sha256(self._inner).hexdigest()

    async def provide(self, wasm: bytes) -> Provided:
        """Raises ModuleRefused with everything that is wrong."""
        found = report(wasm)
        if found.errors or found.inspection is None:
            raise ModuleRefused(found.errors)
        binary = assemble(found.bridge.decode())
        imports = [(imported.module, imported.name) for imported in inspect(binary).imports]
        self._keep_source(wasm)
        key = artefact_key(found.digest, self.inner_digest, str(BRIDGE_VERSION))
        guest_fd, bridge_fd = await self._sealed(key, [("guest", wasm), ("bridge", binary)])
        return Provided(found, guest_fd, bridge_fd, imports)

    async def inner_host(self) -> int:
        """A sealed descriptor of the inner host's artefact; the caller closes it."""
        key = artefact_key(self.inner_digest, self.inner_digest, "")
        (fd,) = await self._sealed(key, [("inner", self._inner)])
        return fd

    async def _sealed(self, key: ArtefactKey, parts: list[tuple[str, bytes]]) -> list[int]:
        fds = self._open(key, parts)
        if fds is not None:
            return fds
        try:
            artefacts = await self._compiler.compile(parts)
        except CompileError as error:
            raise ModuleRefused([str(error)]) from None
        names = [part for part, _ in parts]
        try:
            for part, artefact in zip(names, artefacts, strict=True):
                self._store.put(key, part, artefact)
        except OSError as error:
            self._not_kept(error)
        # Sealed from what was compiled: a disk that is full, or breaks, costs the next start its time.
        return _sealed_copies(names, artefacts)

    def _keep_source(self, wasm: bytes) -> None:
        try:
            self._store.put_source(wasm)
        except OSError as error:
            self._not_kept(error)

    def _not_kept(self, error: OSError) -> None:
        reason = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        self.unkept = f"modules are not kept for the next start: {(reason or str(error)).lower()}"

    def _open(self, key: ArtefactKey, parts: list[tuple[str, bytes]]) -> list[int] | None:
        """All of them or none."""
        fds: list[int] = []
        try:
            for part, _ in parts:
                fd = self._store.open_sealed(key, part)
                if fd is None:
                    break
                fds.append(fd)
            else:
                return fds
        except BaseException:
            _close(fds)
            raise
        _close(fds)
        return None


def _sealed_copies(names: list[str], artefacts: list[bytes]) -> list[int]:
    """All of them or none."""
    fds: list[int] = []
    try:
        for name, artefact in zip(names, artefacts, strict=True):
            fds.append(sealed_copy(artefact, f"edge-{name}"))
    except BaseException:
        _close(fds)
        raise
    return fds


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
