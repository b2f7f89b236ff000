"""What in a rule contradicts itself: filters that exclude each other, backends nobody asks.

Works on the file's plain data, so that a wrong type elsewhere hides none of these faults.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from edge.control.config.check import find
from edge.control.config.document import Document
from edge.control.config.problem import Path, Problem
from edge.control.config.secret_places import ANY
from edge.route.hostname import shared

_ANSWERS: Final = ("RequestRedirect", "DirectResponse")
"""Filters that answer in the place of a backend."""
_OUT_OF_PLACE: Final = ("URLRewrite", "RequestMirror", "RequestRedirect", "DirectResponse")
"""What has no meaning beside one of them."""
_REPEATABLE: Final = "RequestMirror"


def check_rules(document: Document) -> list[Problem]:
    """Every rule of every route, and where routes are served."""
    problems = _unserved(document)
    for path, rule in find(document.data, ("routes", ANY, "rules", ANY)):
        if isinstance(rule, dict):
            problems += _filters(document, path, rule)
            problems += _prefixes(document, path, rule)
            problems += _backends(document, path, rule)
    return problems


def _unserved(document: Document) -> list[Problem]:
    """A route and a listener it names share a hostname. Spec: Gateway API NoMatchingListenerHostname."""
    served = {
        listener.get("name"): names
        for _, listener in find(document.data, ("listeners", ANY))
        if isinstance(listener, dict) and (names := _texts(listener.get("hostnames")))
    }
    problems = []
    for path, route in find(document.data, ("routes", ANY)) if served else ():
        own = _texts(route.get("hostnames")) if isinstance(route, dict) else []
        for where, name in find(route, ("parentRefs", ANY, "name")):
            if own and isinstance(name, str) and name in served and shared(served[name], own) is None:
                message = f"listener '{name}' serves none of the route's hostnames"
                hint = f"it serves {', '.join(served[name])}"
                problems.append(document.problem((*path, *where), "wrong-value", message, hint))
    return problems


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _types(rule: dict[str, object]) -> list[tuple[Path, str]]:
    return [(where, kind) for where, kind in find(rule, ("filters", ANY, "type")) if isinstance(kind, str)]


def _filters(document: Document, path: Path, rule: dict[str, object]) -> list[Problem]:
    """One filter of each type but mirrors, and none beside an answer that could not do anything."""
    problems = []
    seen: set[str] = set()
    types = _types(rule)
    answer = next((kind for _, kind in types if kind in _ANSWERS), None)
    for where, kind in types:
        at = (*path, *where)
        if kind in seen and kind != _REPEATABLE:
            message = f"a second filter of type {kind}; a rule takes one"
            problems.append(document.problem(at, "duplicate", message))
        elif answer and kind != answer and kind in _OUT_OF_PLACE:
            message = f"{kind} has no meaning beside {answer}: no backend is asked"
            problems.append(document.problem(at, "wrong-value", message))
        seen.add(kind)
    for where, backend in find(rule, ("backendRefs", ANY)):
        kinds = [kind for _, kind in find(backend, ("filters", ANY, "type"))]
        if len(kinds) > 1 and kinds[0] == kinds[1]:
            message = f"a second filter of type {kinds[0]}; a backend takes one"
            problems.append(document.problem((*path, *where, "filters", 1, "type"), "duplicate", message))
    return problems


def _prefixes(document: Document, path: Path, rule: dict[str, object]) -> list[Problem]:
    """A prefix is replaced only where prefixes are matched."""
    other = [
        (where, kind)
        for where, kind in find(rule, ("matches", ANY, "path", "type"))
        if kind in ("Exact", "RegularExpression")
    ]
    problems = []
    for field in ("urlRewrite", "requestRedirect"):
        for where, kind in find(rule, ("filters", ANY, field, "path", "type")):
            if kind == "ReplacePrefixMatch" and other:
                message = "ReplacePrefixMatch needs PathPrefix in every match of the rule"
                line = document.values[(*path, *other[0][0])].line + 1
                hint = f"line {line} has {other[0][1]}; write ReplaceFullPath"
                problems.append(document.problem((*path, *where), "wrong-value", message, hint))
    return problems


def _backends(document: Document, path: Path, rule: dict[str, object]) -> list[Problem]:
    """A rule has backends, or it answers by itself."""
    backends = rule.get("backendRefs")
    at = (*path, "backendRefs")
    answer = next((kind for _, kind in _types(rule) if kind in _ANSWERS), None)
    if answer is not None:
        if backends:
            message = f"the rule answers by {answer}; it asks no backend"
            return [document.problem(at, "wrong-value", message, "leave backendRefs out")]
        return []
    if backends is None and "backendRefs" not in rule:
        hint = "a rule without backends needs a filter RequestRedirect or DirectResponse"
        return [document.problem(at, "missing-field", "is required", hint)]
    if backends == []:
        return [document.problem(at, "wrong-value", "must not be empty")]
    return _weights(document, at, backends)


def _weights(document: Document, at: Path, backends: object) -> list[Problem]:
    weights = [weight for _, weight in find(backends, (ANY, "weight"))]
    if isinstance(backends, list) and len(weights) == len(backends) and not any(weights):
        problem = document.problem(at, "wrong-value", "every weight is 0: all requests get 500")
        return [replace(problem, severity="warning")]
    return []
