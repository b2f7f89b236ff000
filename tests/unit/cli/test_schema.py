"""The JSON Schema takes what `edge validate` takes, and tells editors the rest."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from edge.cli.schema import schema
from edge.control.config.document import parse

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "examples").rglob("edge*.yaml"))
GOOD = ROOT / "examples" / "three-filters" / "edge.yaml"


def errors(data: Any) -> list[str]:
    return [error.message for error in Draft202012Validator(schema()).iter_errors(data)]


def good() -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load(GOOD.read_text())
    return data


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_the_examples_satisfy_it(file: Path) -> None:
    document = parse(file.name, file.read_bytes())
    assert errors(document.data) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("listners",), []),
        (("listeners", 0, "protocols"), ["h4"]),
        (("listeners", 0, "address"), 8080),
        (("limits",), {"headTimeout": 10}),
        (("limits",), {"headTimeout": "ten"}),
        (("limits",), {"headFields": 1}),
    ],
)
def test_what_is_wrong_is_seen(path: tuple[str | int, ...], value: object) -> None:
    data = deepcopy(good())
    assert errors(data) == []
    holder: Any = data
    for part in path[:-1]:
        holder = holder[part]
    holder[path[-1]] = value
    assert errors(data)


def test_defaults_read_as_in_a_file() -> None:
    defs = schema()["$defs"]
    assert defs["Admin"]["properties"]["address"]["default"] == "127.0.0.1:9901"
    assert defs["EdgeLimits"]["properties"]["headTimeout"]["default"] == "10s"


def test_no_name_shows_where_a_class_stands() -> None:
    assert not [name for name in schema()["$defs"] if "__" in name]
