"""Signed, content-addressed artefacts under STATE_DIR; several edges may share one."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from pathlib import Path
from typing import Final, Protocol

from edge.control.modules.artefact_key import ArtefactKey
from edge.control.modules.sealed import content_of, sealed_copy

MAC_BYTES: Final = 32
KEY_BYTES: Final = 32
STALE_S: Final = 3600.0
"""A temporary file this old belongs to nobody: writing one takes seconds."""


class ModuleStore(Protocol):
    """Keeps artefacts by key and part (`guest`, `bridge`, `inner`), and guests' own bytes by digest."""

    def open_sealed(self, key: ArtefactKey, part: str) -> int | None:
        """A descriptor of a sealed memfd with the artefact, which the caller closes.

        None when there is none, or when what is there was not signed by us under this key.
        """

    def put(self, key: ArtefactKey, part: str, artefact: bytes) -> None:
        """Sign and keep. Readers see all of it or nothing."""

    def put_source(self, wasm: bytes) -> str:
        """Keep a guest's bytes as uploaded, with its names and debug information; gives the digest."""

    def source(self, digest: str) -> bytes | None:
        """The bytes of `digest`, or None when there are none, or others."""


class FileModuleStore:
    """STATE_DIR/modules/: `<key>.<part>` = MAC and artefact, `<digest>.wasm`; `key` = the MAC's key.

    The key is made once, mode 0600, and stays in the supervisor.
    """

    def __init__(self, state_dir: Path) -> None:
        self._dir = state_dir / "modules"
        self._dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sweep()
        self._secret = self._key()

    def open_sealed(self, key: ArtefactKey, part: str) -> int | None:
        content = self._read(f"{key.name()}.{part}")
        if content is None or len(content) <= MAC_BYTES:
            return None
        fd = sealed_copy(memoryview(content)[MAC_BYTES:], f"edge-{part}")
        # Checked over the sealed copy, not over what was read: nobody can change it in between.
        with content_of(fd) as copy:
            good = hmac.compare_digest(self._mac(key, part, copy), content[:MAC_BYTES])
        if not good:
            os.close(fd)
            return None
        return fd

    def put(self, key: ArtefactKey, part: str, artefact: bytes) -> None:
        self._write(f"{key.name()}.{part}", self._mac(key, part, artefact) + artefact)

    def put_source(self, wasm: bytes) -> str:
        digest = hashlib.sha256(wasm).hexdigest()
        if self.source(digest) is None:
            self._write(f"{digest}.wasm", wasm)
        return digest

    def source(self, digest: str) -> bytes | None:
        if len(digest) != 64 or not all(c in "0123456789abcdef" for c in digest):
            return None
        content = self._read(f"{digest}.wasm")
        if content is None or hashlib.sha256(content).hexdigest() != digest:
            return None
        return content

    def _mac(self, key: ArtefactKey, part: str, artefact: bytes | object) -> bytes:
        context = key.context() + part.encode()
        mac = hmac.new(self._secret, len(context).to_bytes(4, "big") + context, "sha256")
        mac.update(artefact)  # type: ignore[arg-type]
        return mac.digest()

    def _read(self, name: str) -> bytes | None:
        try:
            return (self._dir / name).read_bytes()
        except OSError:
            return None

    def _write(self, name: str, content: bytes) -> None:
        temporary = self._temporary(content)
        temporary.rename(self._dir / name)
        self._sync_dir()

    def _temporary(self, content: bytes) -> Path:
        path = self._dir / f".{os.getpid()}-{secrets.token_hex(8)}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(fd)
        except BaseException:
            path.unlink()
            raise
        return path

    def _sweep(self) -> None:
        """Remove what a killed process left half written."""
        before = time.time() - STALE_S
        for path in self._dir.glob(".*"):
            try:
                if path.stat().st_mtime < before:
                    path.unlink()
            except FileNotFoundError:
                continue

    def _sync_dir(self) -> None:
        fd = os.open(self._dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def _key(self) -> bytes:
        path = self._dir / "key"
        if not path.exists():
            temporary = self._temporary(secrets.token_bytes(KEY_BYTES))
            try:
                # Unlike a rename, a link fails when another edge was faster: both then use its key.
                os.link(temporary, path)
            except FileExistsError:
                pass
            finally:
                temporary.unlink()
            self._sync_dir()
        if path.stat().st_mode & 0o077:
            raise PermissionError(f"{path} must be readable by its owner only (mode 0600)")
        secret = path.read_bytes()
        if len(secret) != KEY_BYTES:
            raise ValueError(f"{path} is damaged; remove it and the artefacts will be compiled again")
        return secret
