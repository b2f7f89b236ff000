"""The committed modules of the built-in filters, on a host that shares no code with edge."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.builtin import NAMES, path
from tests.unit.filters.cases import CASES

_ALL = [pytest.param(name, case, id=case.__name__) for name in NAMES for case in CASES[name]]


@pytest.mark.parametrize(("name", "case"), _ALL)
def test_the_committed_filter(name: str, case: Callable[[Path], None]) -> None:
    case(path(name))


def test_every_filter_has_its_cases() -> None:
    assert {name: len(cases) for name, cases in CASES.items()} == {
        "api-key": 5,
        "header-transform": 5,
        "ab-split": 9,
    }


def test_only_known_names_have_a_path() -> None:
    with pytest.raises(KeyError):
        path("../conftest")
