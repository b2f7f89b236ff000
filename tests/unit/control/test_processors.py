"""The number of CPUs that the default number of workers goes by."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.control import processors
from edge.control.processors import usable


@pytest.fixture(autouse=True)
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors.os, "sched_getaffinity", lambda pid: set(range(8)))


def groups(folder: Path, own: str, **limits: str) -> int:
    """With `cpu.max` of groups by their path, `__` for a slash, `root` for the mount itself."""
    for name, text in limits.items():
        place = folder if name == "root" else folder / name.replace("__", "/")
        place.mkdir(parents=True, exist_ok=True)
        (place / "cpu.max").write_text(text)
    (folder / "own").write_text(own)
    return usable(folder, folder / "own")


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("1000 100000", 1),
        ("9900000 100000", 8),
    ],
)
def test_a_quota_is_kept_and_begun_cpus_count(tmp_path: Path, quota: str, expected: int) -> None:
    assert groups(tmp_path, "0::/\n", root=quota) == expected


def test_the_least_quota_on_the_way_counts(tmp_path: Path) -> None:
    limits = {"a": "300000 100000", "a__b": "max 100000", "other": "100000 100000"}
    assert groups(tmp_path, "0::/a/b\n", **limits) == 3


@pytest.mark.parametrize("own", ["", "1:cpu:/x\n", "0::/not/there\n"])
@pytest.mark.parametrize("quota", ["", "x y", "1 0", "1 2 3"])
def test_what_cannot_be_read_limits_nothing(tmp_path: Path, own: str, quota: str) -> None:
    assert groups(tmp_path, own, root=quota) == 8


def test_without_control_groups_the_affinity_counts(tmp_path: Path) -> None:
    assert usable(tmp_path / "none", tmp_path / "none") == len(os.sched_getaffinity(0)) == 8
