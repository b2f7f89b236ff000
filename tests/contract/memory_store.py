"""A ModuleStore that keeps everything in memory: the fake for tests of what uses a store."""

from __future__ import annotations

import hashlib

from edge.control.modules.artefact_key import ArtefactKey
from edge.control.modules.sealed import sealed_copy


class MemoryModuleStore:
    def __init__(self) -> None:
        self.artefacts: dict[tuple[ArtefactKey, str], bytes] = {}
        self.sources: dict[str, bytes] = {}

    def open_sealed(self, key: ArtefactKey, part: str) -> int | None:
        artefact = self.artefacts.get((key, part))
        return sealed_copy(artefact, f"edge-{part}") if artefact else None

    def put(self, key: ArtefactKey, part: str, artefact: bytes) -> None:
        self.artefacts[key, part] = artefact

    def put_source(self, wasm: bytes) -> str:
        digest = hashlib.sha256(wasm).hexdigest()
        self.sources[digest] = wasm
        return digest

    def source(self, digest: str) -> bytes | None:
        return self.sources.get(digest)
