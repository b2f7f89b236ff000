"""Every broken configuration in `cases/` says exactly what its .txt file holds.

After a wanted change of texts: `EDGE_GOLDEN=write pytest tests/golden/config`, then read the diff.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import trustme

from edge.control.config.load import Loaded, load

HERE = Path(__file__).parent / "cases"
MODULES = Path(__file__).parent / "modules"
CASES = sorted(path.stem for path in HERE.glob("*.yaml"))
CASES_FLOOR = 35


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cases beside files they name; keys are made here, so that none is committed."""
    root = tmp_path_factory.mktemp("config")
    shutil.copytree(HERE, root / "cases")
    shutil.copytree(MODULES, root / "modules")
    authority = trustme.CA()
    (root / "pem").mkdir()
    shop = authority.issue_cert("shop.example")
    shop.cert_chain_pems[0].write_to_path(root / "pem" / "shop.crt")
    shop.private_key_pem.write_to_path(root / "pem" / "shop.key")
    authority.issue_cert("other.example").private_key_pem.write_to_path(root / "pem" / "other.key")
    return root / "cases"


def said(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(folder)
    loaded = load(f"{name}.yaml")
    assert not isinstance(loaded, Loaded), "a broken file was loaded"
    return "\n".join(problem.text() for problem in loaded) + "\n"


@pytest.mark.parametrize("name", CASES)
def test_a_broken_file_is_explained(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = said(name, folder, monkeypatch)
    golden = HERE / f"{name}.txt"
    if os.environ.get("EDGE_GOLDEN") == "write":
        golden.write_text(text, encoding="utf-8")
        pytest.fail("golden file written; run again without EDGE_GOLDEN")
    assert text == golden.read_text(encoding="utf-8")


def test_no_case_is_lost() -> None:
    assert len(CASES) >= CASES_FLOOR
    assert {path.stem for path in HERE.glob("*.txt")} == set(CASES)
