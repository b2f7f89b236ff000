"""The rows of the bench ask for what their titles say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.bench import streams
from tests.bench.drive import drive
from tests.bench.rows import ROWS

_TITLED = re.compile(r"(\d+) connections?\s+×\s+(\d+)")


def _h2load_words(name: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[str]:
    """What the row's tool is started with; the tool itself is not."""
    asked: list[str] = []

    class Done:
        stdout = "requests: 1 total, 1 started, 1 done, 1 succeeded, 0 failed, 0 errored, 0 timeout"

    def run(words: list[object], core: int, seconds: float) -> Done:
        asked.extend(map(str, words))
        return Done()

    monkeypatch.setattr(streams, "_run", run)
    monkeypatch.setattr(streams, "h2load", lambda: folder / "h2load")
    drive(ROWS[name].load, 1, 1.0, 0, folder)
    return asked


def _after(words: list[str], option: str) -> int:
    return int(words[words.index(option) + 1])


@pytest.mark.parametrize("name", ["h2x10", "h2x1"])
def test_h2load_gets_the_connections_and_streams_of_the_title(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    titled = _TITLED.search(ROWS[name].title)
    assert titled is not None
    words = _h2load_words(name, monkeypatch, tmp_path)
    assert (_after(words, "-c"), _after(words, "-m")) == (int(titled[1]), int(titled[2]))


def test_streams_of_each_row_are_those_of_its_work() -> None:
    streams_of = {row.name: (row.load.connections, row.load.streams) for row in ROWS.values()}
    assert streams_of["h2wasm3"] == (8, 10)
    assert streams_of["grpc"] == (8, 10)
    assert streams_of["h3x8"] == (4, 8)
    assert streams_of["h3x1"] == (16, 1)
    for name in ("h2down1m", "h2up1m", "h3down1m", "h3up1m"):
        assert streams_of[name] == (4, 2), name
