"""The file store against damage, other keys, and other processes."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edge.control.modules.artefact_key import ArtefactKey, artefact_key, cpu_features
from edge.control.modules.store import FileModuleStore

KEY = ArtefactKey("a" * 64, "50.0.1", "core-1", "cpu", "b" * 64, "1")


def entry(tmp_path: Path) -> Path:
    return tmp_path / "modules" / f"{KEY.name()}.guest"


def stored(tmp_path: Path) -> FileModuleStore:
    store = FileModuleStore(tmp_path)
    store.put(KEY, "guest", b"artefact" * 100)
    return store


def found(store: FileModuleStore, key: ArtefactKey = KEY, part: str = "guest") -> bool:
    fd = store.open_sealed(key, part)
    if fd is None:
        return False
    os.close(fd)
    return True


@pytest.mark.parametrize("position", [0, 31, 32, 400, -1])
def test_one_flipped_bit_anywhere_makes_an_entry_unknown(tmp_path: Path, position: int) -> None:
    store = stored(tmp_path)
    content = bytearray(entry(tmp_path).read_bytes())
    content[position] ^= 1
    entry(tmp_path).write_bytes(content)
    before = len(os.listdir("/proc/self/fd"))
    assert not found(store)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("size", [0, 10, 32, 33, 500])
def test_a_cut_entry_is_unknown(tmp_path: Path, size: int) -> None:
    store = stored(tmp_path)
    entry(tmp_path).write_bytes(entry(tmp_path).read_bytes()[:size])
    assert not found(store)


def test_an_entry_moved_to_another_name_is_unknown(tmp_path: Path) -> None:
    store = stored(tmp_path)
    other = ArtefactKey("c" * 64, "50.0.1", "core-1", "cpu", "b" * 64, "1")
    entry(tmp_path).rename(tmp_path / "modules" / f"{other.name()}.guest")
    assert not found(store, other)
    store.put(KEY, "guest", b"x")
    entry(tmp_path).rename(tmp_path / "modules" / f"{KEY.name()}.bridge")
    assert not found(store, KEY, "bridge")


def test_an_entry_signed_with_another_key_is_unknown(tmp_path: Path) -> None:
    stored(tmp_path)
    (tmp_path / "modules" / "key").unlink()
    assert not found(FileModuleStore(tmp_path))


def test_an_entry_survives_a_restart(tmp_path: Path) -> None:
    stored(tmp_path)
    assert found(FileModuleStore(tmp_path))


def test_the_key_and_the_entries_are_for_the_owner_only(tmp_path: Path) -> None:
    stored(tmp_path)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "modules").iterdir()}
    assert modes == {"key": 0o600, entry(tmp_path).name: 0o600}
    assert (tmp_path / "modules").stat().st_mode & 0o777 == 0o700


def test_a_key_others_can_read_is_refused(tmp_path: Path) -> None:
    FileModuleStore(tmp_path)
    (tmp_path / "modules" / "key").chmod(0o644)
    with pytest.raises(PermissionError, match="mode 0600"):
        FileModuleStore(tmp_path)


def test_a_damaged_key_is_named(tmp_path: Path) -> None:
    FileModuleStore(tmp_path)
    (tmp_path / "modules" / "key").write_bytes(b"short")
    with pytest.raises(ValueError, match="damaged"):
        FileModuleStore(tmp_path)


def test_stores_opened_at_once_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        stores = list(pool.map(FileModuleStore, [tmp_path] * 16))
    assert len({store._secret for store in stores}) == 1
    assert [path.name for path in (tmp_path / "modules").iterdir()] == ["key"]


def test_writers_at_once_leave_one_whole_entry_and_no_temporary_file(tmp_path: Path) -> None:
    stores = [FileModuleStore(tmp_path) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda k: stores[k % 4].put(KEY, "guest", b"same" * 50_000), range(24)))
    assert found(stores[0])
    assert sorted(path.name for path in (tmp_path / "modules").iterdir()) == sorted(
        ["key", entry(tmp_path).name]
    )


def test_a_write_that_fails_leaves_the_old_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = stored(tmp_path)

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError):
        store.put(KEY, "guest", b"newer")
    monkeypatch.undo()
    assert found(store)
    assert len(list((tmp_path / "modules").iterdir())) == 2


def test_what_a_killed_process_left_behind_is_removed_when_it_is_old(tmp_path: Path) -> None:
    stored(tmp_path)
    old, young = tmp_path / "modules" / ".1-old", tmp_path / "modules" / ".2-young"
    old.touch()
    young.touch()
    os.utime(old, (1, 1))
    assert found(FileModuleStore(tmp_path))
    assert not old.exists() and young.exists()


def test_a_source_with_other_bytes_is_unknown(tmp_path: Path) -> None:
    store = FileModuleStore(tmp_path)
    digest = store.put_source(b"\0asm one")
    (tmp_path / "modules" / f"{digest}.wasm").write_bytes(b"\0asm two")
    assert store.source(digest) is None
    assert store.put_source(b"\0asm one") == digest
    assert store.source(digest) == b"\0asm one"


@pytest.mark.parametrize("digest", ["", "../key", "A" * 64, "key"])
def test_only_digests_name_sources(tmp_path: Path, digest: str) -> None:
    assert FileModuleStore(tmp_path).source(digest) is None


def test_cpu_features_do_not_depend_on_their_order(tmp_path: Path) -> None:
    paths = []
    for number, flags in enumerate(("sse avx", "avx sse", "sse avx avx2")):
        path = tmp_path / str(number)
        path.write_text(f"processor : 0\nflags\t\t: {flags}\n")
        paths.append(str(path))
    first, second, third = (cpu_features(path) for path in paths)
    assert first == second != third
    assert artefact_key("g", "i", "1").cpu == cpu_features()
