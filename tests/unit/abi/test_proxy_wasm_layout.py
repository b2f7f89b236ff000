"""Python and C name the same numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path

import pytest

from edge.abi.proxy_wasm import bridge, layout

INNER = Path(__file__).parents[3] / "edge" / "abi" / "proxy_wasm" / "inner"


def c_enum(file: str, name: str) -> dict[str, int]:
    """Names and numbers of an enum in a header."""
    text = re.sub(r"/\*.*?\*/", "", (INNER / file).read_text(), flags=re.S)
    match = re.search(rf"enum {name} \{{(.*?)\}}", text, re.S)
    assert match is not None, name
    numbers: dict[str, int] = {}
    last = -1
    for item in match[1].split(","):
        if not item.strip():
            continue
        key, _, value = (part.strip() for part in item.partition("="))
        last = int(value) if value else last + 1
        numbers[key] = last
    return numbers


def defined(name: str) -> int:
    match = re.search(rf"#define {name} (\d+)", (INNER / "inner.h").read_text())
    assert match is not None, name
    return int(match[1])


@pytest.mark.parametrize(
    ("file", "name", "prefix", "python"),
    [
        ("inner.h", "control", "CTL_", layout.Control),
        ("inner.h", "own", "OWN_", layout.Own),
        ("inner.h", "world_call", "WORLD_", layout.World),
        ("maps.h", "op", "OP_", layout.Op),
    ],
)
def test_an_enum_is_the_same_on_both_sides(file: str, name: str, prefix: str, python: type[IntEnum]) -> None:
    numbers = {key.removeprefix(prefix): value for key, value in c_enum(file, name).items()}
    assert numbers == {item.name: item.value for item in python}


def test_statuses_that_c_gives_are_known_in_python() -> None:
    ours = {item.name: item.value for item in layout.Status}
    assert c_enum("inner.h", "status").items() <= ours.items()


def test_every_trap_has_a_name() -> None:
    assert sorted(c_enum("inner.h", "trap").values()) == sorted(layout.TRAPS)


def test_every_recorded_function_has_a_name() -> None:
    assert len(c_enum("inner.h", "function")) == len(layout.FUNCTIONS) - 1


@pytest.mark.parametrize("name", ["WINDOW_BYTES", "MAP_LIMIT_BYTES", "MAP_LIMIT_FIELDS", "RECORD_LIMIT"])
def test_a_limit_is_the_same_on_both_sides(name: str) -> None:
    assert defined(name) == getattr(layout, name)


def test_the_bridge_fills_the_slots_the_inner_host_calls() -> None:
    slots = c_enum("slots.h", "slot")
    assert [slots["SLOT_COPY_IN"], slots["SLOT_ALLOCATE"]] == [bridge.SLOT_COPY_IN, bridge.SLOT_ALLOCATE]
    names = list(slots)[5:-1]
    expected = [
        *("CREATE", "VM_START", "VALIDATE", "CONFIGURE", "TICK", "REQUEST_HEADERS", "REQUEST_BODY"),
        *("REQUEST_TRAILERS", "RESPONSE_HEADERS", "RESPONSE_BODY", "RESPONSE_TRAILERS", "CALL_RESPONSE"),
        *("DONE", "LOG", "DELETE", "QUEUE_READY"),
    ]
    assert names == [f"SLOT_{name}" for name in expected]
    assert len(bridge.CALLBACKS) == len(expected)


def _words(areas: Iterable[int]) -> list[int]:
    return sorted(areas)


def test_every_area_is_one_that_c_knows() -> None:
    text = (INNER / "drivers.c").read_text()
    cases = [int(number) for number in re.findall(r"case (\d+): return \(u32\)", text)]
    assert _words(cases) == _words(area for area in layout.Area if area < layout.Area.MAPS)
