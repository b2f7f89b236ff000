"""Which rule takes a request, read off the texts of Gateway API, one request at a time, with no table.

Written from HTTPRouteSpec.hostnames, HTTPRouteRule.matches, HTTPRouteMatch, HTTPPathMatch,
HTTPHeaderMatch and HTTPQueryParamMatch; for regular expressions from Envoy Gateway's order. Knows
nothing of `edge.route`.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from edge import model
from edge.head import RequestHead

Place = tuple[str, str, int]
"""Route, rule, number of the match in it."""


def winner(routes: list[model.Route], head: RequestHead) -> Place | None:
    """Collects all that match, then keeps the best by each criterion in turn."""
    left = [
        (route, rule, index, match, hostname)
        for route in routes
        for rule in route.rules
        for index, match in enumerate(rule.matches)
        for hostname in (route.hostnames or [""])
        if host_matches(hostname, head) and matches(match, head)
    ]
    criteria = (
        lambda each: 0 if each[4] and not each[4].startswith("*") else 1,
        lambda each: -len(each[4]),
        lambda each: ("exact", "regex", "prefix").index(each[3].path_kind),
        lambda each: -path_characters(each[3]),
        lambda each: 0 if each[3].method else 1,
        lambda each: -len({header.name.lower() for header in each[3].headers}),
        lambda each: -len({parameter.name for parameter in each[3].query}),
    )
    for criterion in criteria:
        if left:
            best = min(criterion(each) for each in left)
            left = [each for each in left if criterion(each) == best]
    return (left[0][0].name, left[0][1].name, left[0][2]) if left else None


def path_characters(match: model.Match) -> int:
    """A last slash of a prefix is ignored."""
    path = match.path
    if match.path_kind == "prefix" and path.endswith(b"/"):
        path = path[:-1]
    return len(path)


def host_matches(hostname: str, head: RequestHead) -> bool:
    """Ports are ignored; a wildcard label stands for one label or more."""
    host = re.sub(r":[0-9]+\Z", "", head.authority.decode())
    if not hostname:
        return True
    if hostname.startswith("*."):
        return re.fullmatch(r"[^.]+(\.[^.]+)*" + re.escape(hostname[1:]), host) is not None
    return host == hostname


def matches(match: model.Match, head: RequestHead) -> bool:
    return (
        path_matches(match, head.path.split(b"?", 1)[0])
        and (match.method is None or match.method == head.method)
        and all(header_matches(each, match, head) for each in match.headers)
        and all(parameter_matches(each, match, head) for each in match.query)
    )


def path_matches(match: model.Match, path: bytes) -> bool:
    if match.path_kind == "exact":
        return path == match.path
    if match.path_kind == "regex":
        return re.fullmatch(match.path, path) is not None
    wanted = [segment for segment in match.path.split(b"/") if segment]
    given = path.split(b"/")[1:]
    return given[: len(wanted)] == wanted


def header_matches(header: model.HeaderMatch, match: model.Match, head: RequestHead) -> bool:
    """Of equal names in a match the first counts; of equal names in a request too."""
    first = next(each for each in match.headers if each.name.lower() == header.name.lower())
    if header is not first:
        return True
    name = header.name.lower()
    if name == b"host":
        return value_matches(header, head.authority)
    if name == b"content-length":
        return value_matches(header, None if head.length is None else str(head.length).encode())
    return value_matches(header, next((value for key, value in head.fields if key == name), None))


def parameter_matches(parameter: model.QueryMatch, match: model.Match, head: RequestHead) -> bool:
    first = next(each for each in match.query if each.name == parameter.name)
    if parameter is not first:
        return True
    for part in head.path.partition(b"?")[2].split(b"&"):
        name, _, value = (unquote_to_bytes(each.replace(b"+", b" ")) for each in part.partition(b"="))
        if part and name == parameter.name:
            return value_matches(parameter, value)
    return False


def value_matches(wanted: model.HeaderMatch | model.QueryMatch, value: bytes | None) -> bool:
    if value is None:
        return False
    if wanted.regex:
        return re.fullmatch(wanted.value, value) is not None
    return value == wanted.value
