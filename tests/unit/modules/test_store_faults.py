"""What a killed writer and a full disk do to the store. Source: hardening table, F16 and F17."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import random
import signal
import time
from pathlib import Path

import pytest

from edge import builtin
from edge.control.modules.artefact_key import ArtefactKey
from edge.control.modules.library import ModuleLibrary
from edge.control.modules.sealed import content_of, is_sealed
from edge.control.modules.store import FileModuleStore

KILLS = 200
PARTS = ("guest", "bridge", "inner")
SIZE = 300_000


def _key(number: int) -> ArtefactKey:
    return ArtefactKey(f"{number:064x}", "50.0.1", "core-1", "cpu", "b" * 64, "1")


def _artefact(number: int, part: str) -> bytes:
    return hashlib.sha256(f"{number}{part}".encode()).digest() * (SIZE // 32)


def _write_for_ever(folder: Path, told: int) -> None:
    store = FileModuleStore(folder)
    number = 0
    while True:
        for part in PARTS:
            store.put(_key(number % 4), part, _artefact(number % 4, part))
            os.write(told, b"!")
        number += 1


def _killed_writer(folder: Path, entries: int, after_s: float) -> None:
    """A process that writes entries, and is killed that long after it told of so many."""
    heard, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            _write_for_ever(folder, told)
        finally:
            os._exit(1)
    os.close(told)
    try:
        for _ in range(entries):
            assert os.read(heard, 1) == b"!"
        time.sleep(after_s)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(heard)


def test_two_hundred_killed_writers_leave_no_bad_entry(tmp_path: Path) -> None:
    chance = random.Random(16)
    found = 0
    for _ in range(KILLS):
        _killed_writer(tmp_path, chance.randrange(4), chance.uniform(0.0, 0.005))
        store = FileModuleStore(tmp_path)
        for number in range(4):
            for part in PARTS:
                descriptor = store.open_sealed(_key(number), part)
                if descriptor is not None:
                    found += 1
                    with content_of(descriptor) as content:
                        assert content[:] == _artefact(number, part)
                    os.close(descriptor)
    assert found > KILLS, "writers had written before they were killed"


def test_a_full_disk_costs_only_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wasm = builtin.path("ab-split").read_bytes()
    store = FileModuleStore(tmp_path)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path))

    library = ModuleLibrary(store)
    monkeypatch.setattr(os, "fsync", full)
    provided = asyncio.run(library.provide(wasm))
    try:
        assert is_sealed(provided.guest_fd) and is_sealed(provided.bridge_fd)
        assert "no space left on device" in library.unkept
    finally:
        provided.close()
    assert [each for each in (tmp_path / "modules").iterdir() if each.name != "key"] == []
    monkeypatch.undo()
    again = ModuleLibrary(store)
    asyncio.run(again.provide(wasm)).close()
    assert again.unkept == ""
    assert len(list((tmp_path / "modules").iterdir())) == 4
