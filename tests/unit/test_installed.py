"""Versions of packages."""

import sys
from importlib import metadata
from pathlib import Path

import pytest

from edge.installed import version


@pytest.mark.parametrize("name", ["hypercorn", "uvloop", "aioquic", "ngh2", "wasmtime", "opentelemetry-sdk"])
def test_a_version_is_the_one_that_metadata_tells(name: str) -> None:
    assert version(name) == metadata.version(name)


def test_the_first_on_the_path_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "h3-9.9.dist-info").mkdir()
    (tmp_path / "h3extra-1.0.dist-info").mkdir()
    monkeypatch.setattr(sys, "path", ["/nowhere", str(tmp_path), *sys.path])
    assert version("h3") == "9.9"
    assert version("h3extra") == "1.0"


def test_what_is_not_installed_is_said_as_ever() -> None:
    with pytest.raises(metadata.PackageNotFoundError):
        version("edge-has-no-such-package")
