"""The cache folder of tools and the one way to put something into it."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest


class ToolMissing(Exception):
    """A tool can be neither found nor made here; the text says why."""


def root() -> Path:
    """The folder: EDGE_TEST_CACHE, else ~/.cache/edge-tests."""
    folder = Path(os.environ.get("EDGE_TEST_CACHE") or Path.home() / ".cache" / "edge-tests")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def once(name: str, make: Callable[[Path], None]) -> Path:
    """The cached file or folder `name`, made by `make(path)` by whoever asks first.

    `name` holds the version, so a new version is a new entry. Safe across processes: `make`
    runs under a lock and beside the final place, so that half an entry is never seen.
    """
    final = root() / name
    if final.exists():
        return final
    with _locked(name):
        if final.exists():
            return final
        final.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix="making-", dir=root()))
        try:
            make(work / final.name)
            (work / final.name).rename(final)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return final


@contextmanager
def _locked(name: str) -> Iterator[None]:
    locks = root() / "locks"
    locks.mkdir(exist_ok=True)
    with (locks / name.replace("/", "-")).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(
    command: Sequence[str | Path],
    timeout_s: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Standard output of `command`; ToolMissing when it is absent, fails or takes too long."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except FileNotFoundError as error:
        raise ToolMissing(f"{words[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise ToolMissing(f"{' '.join(words)} took longer than {timeout_s:.0f} s") from error
    if done.returncode:
        raise ToolMissing(f"{' '.join(words)} failed: {done.stderr.strip()[-600:]}")
    return done.stdout


def require(tool: Callable[[], Path]) -> Path:
    """The tool's path. Without it the test is skipped out loud, or fails if EDGE_TEST_REQUIRE=all."""
    try:
        return tool()
    except ToolMissing as missing:
        reason = f"{tool.__name__}: {missing}"
        if os.environ.get("EDGE_TEST_REQUIRE") == "all":
            pytest.fail(f"EDGE_TEST_REQUIRE=all, but {reason}", pytrace=False)
        pytest.skip(reason)
