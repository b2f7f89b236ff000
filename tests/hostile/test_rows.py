"""Every row that applies to a protocol has a case there, among what pytest really collects."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest

from tests.hostile.rows import NOT_LIVE, OWN, ROWS, Not, Same

_TESTS: Final = Path(__file__).parents[1]
_named: Final = re.compile(r"test_(?:case_)?(\d+)_").match
_over: Final = re.compile(r"test_(h1|h2|h3|tls)(?:_|$)").match
_PLAIN: Final = {"h1s": "h1", "h2c": "h2"}

Found = tuple[int, str, str, bool]
"""Row, name of the case or of the test, protocol, whether it runs against an edge that runs."""


def _combinations(marks: list[Any]) -> Iterator[dict[str, Any]]:
    """What the test is called with, as far as its marks say."""
    each: list[list[dict[str, Any]]] = []
    for mark in marks:
        if mark.name == "parametrize":
            names = mark.args[0]
            names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
            rows = [value if len(names) > 1 else (value,) for value in mark.args[1]]
            each.append([dict(zip(names, row, strict=True)) for row in rows])
    for made in product(*each):
        yield {name: value for part in made for name, value in part.items()}


def _of(test: Callable[..., None], module: str) -> Iterator[Found]:
    marks = list(getattr(test, "pytestmark", []))
    told = [mark for mark in marks if mark.name == "row"]
    live = "site" in inspect.signature(test).parameters or any("live" in mark.kwargs for mark in told)
    named, where = _named(test.__name__), _over(module)
    numbers = {number for mark in told for number in mark.args} | ({int(named[1])} if named else set())
    for made in _combinations(marks):
        protocol = made.get("protocol") or next((mark.kwargs.get("over") for mark in told), None)
        protocol = _PLAIN.get(protocol, protocol) or (where[1] if where else "")
        for number in numbers:
            yield number, test.__name__, protocol, live
        for value in made.values():
            if isinstance(getattr(value, "number", None), int):
                yield value.number, getattr(value, "id", value.name), protocol, live


def _collected() -> set[Found]:
    found: set[Found] = set()
    for folder in ("hostile", "conformance"):
        for path in (_TESTS / folder).glob("test_*.py"):
            module = importlib.import_module(f"tests.{folder}.{path.stem}")
            for name, test in vars(module).items():
                if name.startswith("test_") and inspect.isfunction(test):
                    found.update(_of(test, path.stem))
    return found


FOUND: Final = _collected()


def _runs(number: int, protocol: str, live: bool) -> bool:
    applies = ROWS[number, protocol]
    here = [each for each in FOUND if each[2] == protocol and each[3] is live]
    if isinstance(applies, Same):
        return set(applies.ids) <= {each[1] for each in here}
    return number in {each[0] for each in here}


@pytest.mark.parametrize(
    ("number", "protocol"), [key for key, applies in ROWS.items() if not isinstance(applies, Not)]
)
def test_a_row_has_a_case_on_each_protocol_it_applies_to(number: int, protocol: str) -> None:
    assert _runs(number, protocol, True) or _runs(number, protocol, False)


@pytest.mark.parametrize(
    ("number", "protocol"), [key for key, applies in ROWS.items() if not isinstance(applies, Not)]
)
def test_it_runs_live_or_it_is_said_why_not(number: int, protocol: str) -> None:
    assert _runs(number, protocol, True) is ((number, protocol) not in NOT_LIVE)


def test_what_is_said_not_to_apply_has_no_case() -> None:
    stale = [key for key, applies in ROWS.items() if isinstance(applies, Not)]
    assert [key for key in stale if any(each[0] == key[0] and each[2] == key[1] for each in FOUND)] == []


def test_the_whole_list_is_here() -> None:
    assert {number for number, _ in ROWS} == set(range(1, 99)) - {52}
    assert all(applies == OWN or isinstance(applies, Same | Not) for applies in ROWS.values())
