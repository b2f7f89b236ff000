"""Which changes of files are seen, and when."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from edge.control import reload_watch
from edge.control.config.files import files_now
from edge.control.reload_watch import Watcher

WAIT_S = 30.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload_watch, "PERIOD_S", 0.001)
    monkeypatch.setattr(reload_watch, "STILL_S", 0.001)


class Seen:
    """How often the watcher called."""

    def __init__(self) -> None:
        self.times = 0
        self.event = asyncio.Event()

    def __call__(self) -> None:
        self.times += 1
        self.event.set()

    async def once_more(self) -> None:
        await asyncio.wait_for(self.event.wait(), WAIT_S)
        self.event.clear()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def write(path: Path, text: str) -> None:
    """Another size each time: clocks of file systems are coarse."""
    path.write_text(text)


def test_a_file_written_renamed_over_removed_and_made_again_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "a"
    write(file, "1")

    async def watched() -> None:
        seen = Seen()
        watcher = Watcher(seen)
        watcher.watch(files_now([str(file)]))
        write(file, "22")
        await seen.once_more()
        fresh = tmp_path / "b"
        write(fresh, "333")
        fresh.replace(file)
        await seen.once_more()
        file.unlink()
        await seen.once_more()
        write(file, "4444")
        await seen.once_more()
        assert seen.times == 4
        watcher.pause()

    run(watched)


def test_a_link_to_a_folder_that_is_swapped_is_seen(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "file", "same")
    (tmp_path / "data").symlink_to("one")

    async def watched() -> None:
        seen = Seen()
        watcher = Watcher(seen)
        watcher.watch(files_now([str(tmp_path / "data" / "file")]))
        (tmp_path / "new").symlink_to("two")
        (tmp_path / "new").replace(tmp_path / "data")
        await seen.once_more()
        watcher.pause()

    run(watched)


def test_what_changed_between_reading_and_watching_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "a"
    write(file, "1")
    read = files_now([str(file)])
    write(file, "22")

    async def watched() -> None:
        seen = Seen()
        watcher = Watcher(seen)
        watcher.watch(read)
        await seen.once_more()
        watcher.pause()

    run(watched)


def test_nothing_is_seen_while_it_pauses_and_everything_afterwards(tmp_path: Path) -> None:
    file = tmp_path / "a"
    write(file, "1")

    async def watched() -> None:
        seen = Seen()
        watcher = Watcher(seen)
        watcher.watch(files_now([str(file)]))
        watcher.pause()
        write(file, "22")
        for _ in range(20):
            await asyncio.sleep(0.002)
        assert seen.times == 0
        watcher.watch({})
        await seen.once_more()
        watcher.pause()

    run(watched)


def test_a_file_that_never_rests_is_read_all_the_same(tmp_path: Path) -> None:
    file = tmp_path / "a"
    write(file, "")

    async def watched() -> None:
        seen = Seen()
        watcher = Watcher(seen)
        watcher.watch(files_now([str(file)]))
        restless = True

        async def writer() -> None:
            while restless:
                with file.open("a") as open_file:
                    open_file.write("x")
                os.utime(file, ns=(0, file.stat().st_size))
                await asyncio.sleep(0)

        writing = asyncio.create_task(writer())
        await seen.once_more()
        restless = False
        await writing
        watcher.pause()

    run(watched)
