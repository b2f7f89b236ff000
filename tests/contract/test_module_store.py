"""What every ModuleStore must do; run against the file store and the fake."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from edge.control.modules.artefact_key import ArtefactKey
from edge.control.modules.sealed import content_of, is_sealed
from edge.control.modules.store import FileModuleStore, ModuleStore
from tests.contract.memory_store import MemoryModuleStore

KEY = ArtefactKey("a" * 64, "50.0.1", "core-1", "cpu", "b" * 64, "1")
ARTEFACT = b"\x7fELF" + bytes(range(256)) * 100

STORES: dict[str, Callable[[Path], ModuleStore]] = {
    "files": FileModuleStore,
    "memory": lambda _path: MemoryModuleStore(),
}


@pytest.fixture(params=list(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ModuleStore:
    return STORES[request.param](tmp_path)


def read(fd: int | None) -> bytes:
    assert fd is not None
    try:
        with content_of(fd) as content:
            return content[:]
    finally:
        os.close(fd)


def test_both_stores_are_tested() -> None:
    assert len(STORES) == 2


def test_what_was_put_is_opened(store: ModuleStore) -> None:
    store.put(KEY, "guest", ARTEFACT)
    assert read(store.open_sealed(KEY, "guest")) == ARTEFACT


def test_what_was_not_put_is_none(store: ModuleStore) -> None:
    assert store.open_sealed(KEY, "guest") is None


def test_parts_are_apart(store: ModuleStore) -> None:
    store.put(KEY, "guest", ARTEFACT)
    store.put(KEY, "bridge", b"bridge")
    assert read(store.open_sealed(KEY, "bridge")) == b"bridge"
    assert read(store.open_sealed(KEY, "guest")) == ARTEFACT


@pytest.mark.parametrize("field", ArtefactKey.__struct_fields__)
def test_an_artefact_is_not_found_under_a_key_that_differs(store: ModuleStore, field: str) -> None:
    store.put(KEY, "guest", ARTEFACT)
    assert store.open_sealed(msgspec.structs.replace(KEY, **{field: "other"}), "guest") is None


def test_putting_again_replaces(store: ModuleStore) -> None:
    store.put(KEY, "guest", ARTEFACT)
    store.put(KEY, "guest", b"newer")
    assert read(store.open_sealed(KEY, "guest")) == b"newer"


def test_the_descriptor_is_sealed_and_closed_on_exec(store: ModuleStore) -> None:
    store.put(KEY, "guest", ARTEFACT)
    fd = store.open_sealed(KEY, "guest")
    assert fd is not None
    try:
        assert is_sealed(fd)
        assert not os.get_inheritable(fd)
        with pytest.raises(OSError) as caught:
            os.pwrite(fd, b"x", 0)
        assert caught.value.errno == errno.EPERM
        with pytest.raises(OSError):
            os.ftruncate(fd, 0)
    finally:
        os.close(fd)


def test_a_source_is_found_by_its_digest(store: ModuleStore) -> None:
    digest = store.put_source(b"\0asm")
    assert digest == hashlib.sha256(b"\0asm").hexdigest()
    assert store.source(digest) == b"\0asm"
    assert store.put_source(b"\0asm") == digest
    assert store.source("0" * 64) is None
