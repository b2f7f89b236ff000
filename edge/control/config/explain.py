"""pydantic's errors in our words, with a suggestion where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from edge.control.config.document import Document
from edge.control.config.problem import Path, Problem, closest, did_you_mean, path_text
from edge.control.config.schema import Root, Section
from edge.control.config.secret_places import is_secret

_KINDS: Mapping[str, str] = {
    "string_type": "a string",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def explain(document: Document, error: ValidationError) -> list[Problem]:
    """One problem for each fault the schema found.

    Not for a missing field whose misspelling is beside it, nor for what could not be read at all:
    those have a problem of their own.
    """
    faults = error.errors(include_url=False)
    unread = {problem.path for problem in document.problems}
    misspelt = {
        (*each["loc"][:-1], meant)
        for each in faults
        if each["type"] == "extra_forbidden" and (meant := _meant(tuple(each["loc"])))
    }
    return [
        _problem(document, each)
        for each in faults
        if path_text(each["loc"]) not in unread
        and not (each["type"] == "missing" and tuple(each["loc"]) in misspelt)
    ]


def _meant(path: Path) -> str:
    """The field of the schema that an unknown one resembles."""
    section = section_at(path[:-1])
    if section is None or path[-1] in section.later:
        return ""
    return closest(path[-1], [field.alias or key for key, field in section.model_fields.items()])


def _problem(document: Document, each: ErrorDetails) -> Problem:
    # `[key]` stands behind the name of a mapping when the name itself is wrong.
    at_key = bool(each["loc"]) and each["loc"][-1] == "[key]"
    path: Path = tuple(part for part in each["loc"] if part != "[key]")
    kind = each["type"]
    if kind == "extra_forbidden":
        return _unknown(document, path)
    if kind == "missing":
        where = document.problem(path, "missing-field", "is required")
        return where
    if kind == "edge":
        details: dict[str, Any] = each.get("ctx", {})
        return document.problem(path, details["code"], details["message"], details["hint"], at_key=at_key)
    if kind in _KINDS:
        return _wrong_type(document, path, kind, each["input"])
    if kind in ("too_short", "too_long"):
        details = each["ctx"]
        limit = details.get("min_length", details.get("max_length"))
        message = "must not be empty" if limit == 1 else f"may have at most {limit} items"
        return document.problem(path, "wrong-value", message)
    message = each["msg"][:1].lower() + each["msg"][1:]
    return document.problem(path, "wrong-value", message, at_key=at_key)


def _wrong_type(document: Document, path: Path, kind: str, given: object) -> Problem:
    wanted = _KINDS[kind]
    hint = ""
    if kind == "string_type" and isinstance(given, int | float):
        hint = "write it in quotes"
    if kind == "list_type":
        hint = "begin each item with -, or write [ … ]"
    named = _kind(given) if is_secret(path) else _named(given)
    return document.problem(path, "wrong-type", f"must be {wanted}, not {named}", hint)


def _named(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"'{value}'" if len(value) <= 40 else "a string"
    return _kind(value)


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, int | float):
        return "true or false" if isinstance(value, bool) else "a number"
    return "a list" if isinstance(value, list) else "a mapping"


def _unknown(document: Document, path: Path) -> Problem:
    name = str(path[-1])
    section = section_at(path[:-1])
    if section is None:
        return document.problem(path, "unknown-field", "unknown field", at_key=True)
    if name in section.later:
        message = "is not supported by this version"
        return document.problem(path, "not-supported", message, section.later[name], at_key=True)
    known = [field.alias or key for key, field in section.model_fields.items()]
    suggestion = did_you_mean(name, known) or did_you_mean(name, section.later)
    hint = "" if suggestion else f"known here: {', '.join(known)}"
    return document.problem(path, "unknown-field", f"unknown field{suggestion}", hint, at_key=True)


def section_at(path: Path) -> type[Section] | None:
    """The section of the schema that a path of the file falls in, None when there is none."""
    shape: Any = Root
    for part in path:
        shape = _inside(shape, part)
        if shape is None:
            return None
    return _as_section(shape)


def _inside(shape: Any, part: str | int) -> Any:
    section = _as_section(shape)
    if section is not None:
        for name, field in section.model_fields.items():
            if (field.alias or name) == part:
                return field.annotation
        return None
    for option in _options(shape):
        origin, arguments = get_origin(option), get_args(option)
        if origin is list and isinstance(part, int):
            return arguments[0]
        if origin is dict:
            return arguments[1]
    return None


def _as_section(shape: Any) -> type[Section] | None:
    for option in _options(shape):
        if isinstance(option, type) and issubclass(option, Section):
            return option
    return None


def _options(shape: Any) -> list[Any]:
    """The members of a union, with `Annotated` taken off."""
    while hasattr(shape, "__metadata__"):
        shape = get_args(shape)[0]
    if isinstance(shape, type) or get_origin(shape) in (list, dict):
        return [shape]
    return [inner for option in get_args(shape) for inner in _options(option)] or [shape]
