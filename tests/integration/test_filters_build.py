"""The filters are built anew: two must come out bit by bit, the third must behave the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from filters.build import BUILDERS, BUILTIN, digest
from tests.tools import asc, cargo, require, zig
from tests.unit.filters.cases import CASES


def test_the_c_filter_comes_out_bit_by_bit(tmp_path: Path) -> None:
    require(zig)
    _is_the_committed_one("ab-split", tmp_path)


def test_the_assemblyscript_filter_comes_out_bit_by_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_ASC", str(require(asc)))
    _is_the_committed_one("header-transform", tmp_path)


def _is_the_committed_one(name: str, folder: Path) -> None:
    fresh = folder / f"{name}.wasm"
    BUILDERS[name](fresh)
    assert digest(fresh) == digest(BUILTIN / fresh.name), (
        f"edge/builtin/{name}.wasm is not what its sources give: python -m filters.build {name}"
    )


@pytest.fixture(scope="module")
def rebuilt_api_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    require(cargo)
    module = tmp_path_factory.mktemp("rust") / "api-key.wasm"
    BUILDERS["api-key"](module)
    yield module


@pytest.mark.parametrize("case", CASES["api-key"], ids=lambda case: case.__name__)
def test_the_rust_filter_built_anew(rebuilt_api_key: Path, case: object) -> None:
    assert callable(case)
    case(rebuilt_api_key)
