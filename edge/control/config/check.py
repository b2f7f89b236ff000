"""What the schema cannot see: names that must exist, names that must be unique.

Works on the file's plain data, so that a wrong type elsewhere hides none of these faults.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from edge.control.config.document import Document
from edge.control.config.problem import Path, Problem, closest, did_you_mean
from edge.control.config.schema import Root
from edge.control.config.secret_places import ANY, Pattern


class Reference(NamedTuple):
    """Every value at `pattern` names one of `kind`."""

    pattern: Pattern
    kind: str


_MIRROR: Pattern = ("routes", ANY, "rules", ANY, "filters", ANY, "requestMirror")
REFERENCES = (
    Reference(("filterChains", ANY, ANY, "module"), "module"),
    Reference(("filterChains", ANY, ANY, "versions", ANY, "module"), "module"),
    Reference(("filterChains", ANY, ANY, "allow", "backends", ANY), "cluster"),
    Reference(("filterChains", ANY, ANY, "allow", "httpCallouts", ANY), "cluster"),
    Reference(("routes", ANY, "parentRefs", ANY, "name"), "listener"),
    Reference(("routes", ANY, "rules", ANY, "filters", ANY, "extensionRef", "name"), "filter chain"),
    Reference(("routes", ANY, "rules", ANY, "backendRefs", ANY, "name"), "cluster"),
    Reference((*_MIRROR, "backendRef", "name"), "cluster"),
)
SECTIONS = {
    "module": "modules",
    "filter chain": "filterChains",
    "cluster": "clusters",
    "listener": "listeners",
}
_BY_KEY = ("modules", "filterChains")
SHOWN_NAMES = 20
_KNOWN = {field.alias or name for name, field in Root.model_fields.items()}
UNIQUE: tuple[Pattern, ...] = (
    ("listeners", ANY, "name"),
    ("clusters", ANY, "name"),
    ("routes", ANY, "name"),
    ("routes", ANY, "rules", ANY, "name"),
    ("filterChains", ANY, ANY, "name"),
)


def check(document: Document) -> list[Problem]:
    """Undefined and repeated names. Names of a section that could not be read are not missed."""
    defined = {kind: _defined(document.data, section) for kind, section in SECTIONS.items()}
    problems = [
        problem
        for pattern, kind in REFERENCES
        if (names := defined[kind]) is not None
        for problem in _undefined(document, pattern, kind, names)
    ]
    for pattern in UNIQUE:
        problems += _repeated(document, pattern)
    return problems + _same_address(document) + _redirected(document)


def find(data: object, pattern: Pattern, path: Path = ()) -> Iterator[tuple[Path, object]]:
    """Everything at `pattern`, `*` standing for each key or index; what does not fit is passed over."""
    if not pattern:
        yield path, data
    elif pattern[0] == ANY and isinstance(data, list):
        for index, item in enumerate(data):
            yield from find(item, pattern[1:], (*path, index))
    elif isinstance(data, dict):
        for key in data if pattern[0] == ANY else [pattern[0]]:
            if key in data:
                yield from find(data[key], pattern[1:], (*path, key))


def _defined(data: object, section: str) -> list[str] | None:
    """The names `section` defines; None when a fault in it, reported elsewhere, hides some."""
    if not isinstance(data, dict):
        return None
    if section not in data:
        misspelt = any(closest(key, SECTIONS.values()) == section for key in data if key not in _KNOWN)
        return None if misspelt else []
    entries = data[section]
    if isinstance(entries, dict) and section in _BY_KEY:
        return list(entries)
    if not isinstance(entries, list) or section in _BY_KEY:
        return None
    names = [entry.get("name") if isinstance(entry, dict) else None for entry in entries]
    found = [name for name in names if isinstance(name, str)]
    return found if len(found) == len(names) else None


def _undefined(document: Document, pattern: Pattern, kind: str, defined: list[str]) -> list[Problem]:
    problems = []
    for path, name in find(document.data, pattern):
        if isinstance(name, str) and name not in defined:
            message = f"no {kind} is named '{name}'{did_you_mean(name, defined)}"
            hint = f"defined: {_some(defined)}" if defined else f"the file defines no {kind}"
            problems.append(document.problem(path, "undefined", message, hint))
    return problems


def _some(names: list[str]) -> str:
    """Each once, in order, as many as a reader looks through."""
    each = list(dict.fromkeys(names))
    more = len(each) - SHOWN_NAMES
    return ", ".join(each[:SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")


def _repeated(document: Document, pattern: Pattern) -> list[Problem]:
    """Names must differ within the innermost list."""
    first: dict[tuple[Path, object], Path] = {}
    problems = []
    for path, name in find(document.data, pattern):
        if not isinstance(name, str):
            continue
        key = (path[:-2], name)
        if key in first:
            line = document.values[first[key]].line + 1
            message = f"the name '{name}' is taken; the first is on line {line}"
            problems.append(document.problem(path, "duplicate", message))
        else:
            first[key] = path
    return problems


def _redirected(document: Document) -> list[Problem]:
    """A listener that sends everything to https serves no route."""
    redirecting = {
        listener.get("name")
        for _, listener in find(document.data, ("listeners", ANY))
        if isinstance(listener, dict) and listener.get("redirectToHttps") not in (None, False)
    }
    return [
        document.problem(
            path,
            "wrong-value",
            f"listener '{name}' sends every request to https, so this route is never asked",
            "leave redirectToHttps out and redirect by rules, or name another listener",
        )
        for path, name in find(document.data, ("routes", ANY, "parentRefs", ANY, "name"))
        if isinstance(name, str) and name in redirecting
    ]


def _same_address(document: Document) -> list[Problem]:
    first: dict[str, Path] = {}
    problems = []
    for path, address in find(document.data, ("listeners", ANY, "address")):
        if not isinstance(address, str) or address.endswith(":0"):
            continue
        if address in first:
            line = document.values[first[address]].line + 1
            message = f"'{address}' is taken; the first listener on it is on line {line}"
            problems.append(document.problem(path, "duplicate", message))
        first.setdefault(address, path)
    return problems
