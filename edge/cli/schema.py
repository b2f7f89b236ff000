"""`edge schema`: the configuration's JSON Schema, for editors."""

from __future__ import annotations

import json
import warnings
from typing import Any

from edge.cli.exits import EXIT_OK
from edge.control.config.quantity import HostPort
from edge.control.config.schema import Root

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def print_schema() -> int:
    """The exit code."""
    print(json.dumps(schema(), ensure_ascii=False, indent=1))
    return EXIT_OK


def schema() -> dict[str, Any]:
    """What a valid file looks like. What only `edge validate` can judge is not in it."""
    with warnings.catch_warnings():
        # pydantic shows defaults as they are inside; `_tidy` writes them as a file would.
        warnings.simplefilter("ignore", UserWarning)
        made = Root.model_json_schema(by_alias=True)
    text = json.dumps(_tidy(made))
    for name in made["$defs"]:
        # Two classes of one name stand under the names of their modules: `…__clusters__Tls`.
        *modules, own = name.split("__")
        if modules:
            text = text.replace(name, modules[-1].removesuffix("s").capitalize() + own)
    described = "The configuration of edge, one file."
    return {"$schema": DIALECT, **json.loads(text), "title": "edge", "description": described}


def _tidy(node: Any) -> Any:
    if isinstance(node, list):
        return [_tidy(each) for each in node]
    if not isinstance(node, dict):
        return node
    if "properties" in node:
        node = {**node, "properties": {name: _field(each) for name, each in node["properties"].items()}}
    return {key: _tidy(value) for key, value in node.items()}


def _field(field: dict[str, Any]) -> dict[str, Any]:
    """Titles only say the name again; defaults of durations and addresses are texts in a file."""
    field = {key: value for key, value in field.items() if key != "title"}
    default = field.get("default")
    if isinstance(default, float) and field.get("type") == "string":
        field["default"] = f"{default:g}s"
    elif isinstance(default, list) and field.get("type") == "string":
        field["default"] = str(HostPort(*default))
    elif isinstance(default, dict) or default is None:
        field.pop("default", None)
    return field
