"""Why a request takes the rule it takes, and why every other match lost. Off the hot path.

It judges each match by itself, not by the table's look-ups, and must agree with them.
"""

from __future__ import annotations

from typing import NamedTuple

from edge import model
from edge.head import RequestHead
from edge.route.candidate import Candidate
from edge.route.hostname import covers, host_of, shared
from edge.route.pattern import whole
from edge.route.rule import Rule
from edge.route.table import ANY_HOST, RouteTable

_WORDS = {"exact": "Exact", "regex": "RegularExpression", "prefix": "PathPrefix"}
_OTHER_HOST = "hostname: "
_KINDS = ("exact", "regex", "prefix")


class Verdict(NamedTuple):
    """What became of one match of a rule.

    `match` = its place in the rule. `hostname` = under which it was judged, empty = any. `because` =
    the first criterion by which it lost, empty for the winner; `fits` = it would take the request.
    """

    route: str
    rule: str
    match: int
    hostname: str
    won: bool
    fits: bool
    because: str


class _Judged(NamedTuple):
    candidate: Candidate
    hostname: str
    because: str
    """Why it does not fit, empty if it does."""


def explain(table: RouteTable, head: RequestHead) -> list[Verdict]:
    """The winner first, then the others that fit by precedence, then those that do not in order."""
    judged = _best_hostnames([_judge(hostname, each, head) for hostname, each in table.filed])
    fitting = sorted((each for each in judged if not each.because), key=_key)
    verdicts = [_verdict(each, _lost_to(fitting[0], each), True) for each in fitting]
    return verdicts + [_verdict(each, each.because, False) for each in judged if each.because]


def bare_table(made: model.Model, listener: str) -> RouteTable:
    """The table of a listener for `explain` only: rules that have a name and matches, and nothing else."""
    table = RouteTable()
    served = next((each.hostnames for each in made.listeners if each.name == listener), [])
    order = 0
    for route in made.routes:
        hostnames = shared(served, route.hostnames) if listener in route.listeners else None
        for rule in route.rules:
            named = Rule(route.name, model.Rule(name=rule.name, matches=[], cors=rule.cors), None, ())
            for index, match in enumerate(rule.matches):
                if hostnames is not None:
                    table.add(hostnames, Candidate(match, named, order, None, index))
                order += 1
    table.seal()
    return table


def _verdict(judged: _Judged, because: str, fits: bool) -> Verdict:
    candidate = judged.candidate
    rule = candidate.rule
    return Verdict(
        rule.route, rule.name, candidate.index, judged.hostname, fits and not because, fits, because
    )


def _best_hostnames(judged: list[_Judged]) -> list[_Judged]:
    """A match is filed under each hostname of its route: the best that fits, or nearly, speaks for it."""
    best: dict[int, _Judged] = {}
    for each in judged:
        other = best.get(each.candidate.order)
        if other is None or _nearness(each) < _nearness(other):
            best[each.candidate.order] = each
    return list(best.values())


def _nearness(judged: _Judged) -> tuple[int, tuple[int, int]]:
    """What fits comes before what another part keeps from fitting, and that before another host."""
    missed = (2 if judged.because.startswith(_OTHER_HOST) else 1) if judged.because else 0
    return missed, _host_key(judged.hostname)


def _judge(hostname: str, candidate: Candidate, head: RequestHead) -> _Judged:
    return _Judged(candidate, hostname, _misfit(hostname, candidate, head))


def _misfit(hostname: str, candidate: Candidate, head: RequestHead) -> str:
    host = host_of(head.authority).decode("latin-1")
    if hostname != ANY_HOST and not covers(hostname.lower(), host):
        return f"{_OTHER_HOST}{host} is not {hostname}"
    path = head.path.partition(b"?")[0]
    if not _path_fits(candidate, path):
        return f"path: {_text(path)} is not {_WORDS[candidate.kind]} {_text(candidate.path)}"
    for condition in candidate.conditions:
        if not condition.holds(head):
            return f"{condition.named}: it is missing or another one"
    if candidate.choose(head) is None:
        return f"method: {_text(head.method)} is not {_text(candidate.method or b'')}"
    return ""


def _path_fits(candidate: Candidate, path: bytes) -> bool:
    if candidate.kind == "exact":
        return path == candidate.path
    if candidate.kind == "regex":
        return whole(candidate.path)(path)
    prefix = candidate.path.rstrip(b"/")
    return not prefix or path == prefix or path.startswith(prefix + b"/")


def _host_key(hostname: str) -> tuple[int, int]:
    if hostname == ANY_HOST:
        return 2, 0
    return (1 if hostname.startswith("*") else 0), -len(hostname)


def _path_length(candidate: Candidate) -> int:
    path = candidate.path
    return len(path.rstrip(b"/") if candidate.kind == "prefix" else path)


def _key(judged: _Judged) -> tuple[object, ...]:
    candidate = judged.candidate
    return (
        _host_key(judged.hostname),
        _KINDS.index(candidate.kind),
        -_path_length(candidate),
        candidate.rank(),
    )


def _lost_to(winner: _Judged, other: _Judged) -> str:
    """The first criterion of the precedence by which `winner` is better; empty if they are one."""
    best, mine = winner.candidate, other.candidate
    if best is mine:
        return ""
    if _host_key(winner.hostname) != _host_key(other.hostname):
        return f"hostname: {winner.hostname} is more specific than {other.hostname or 'any'}"
    if best.kind != mine.kind:
        return f"path type: {_WORDS[best.kind]} goes before {_WORDS[mine.kind]}"
    if _path_length(best) != _path_length(mine):
        return f"path length: {_text(best.path)} is longer than {_text(mine.path)}"
    if (best.method is None) != (mine.method is None):
        return f"method: the winner asks for {_text(best.method or b'')}, this one for none"
    if best.headers != mine.headers:
        return f"headers: the winner asks for {best.headers}, this one for {mine.headers}"
    if best.query != mine.query:
        return f"query parameters: the winner asks for {best.query}, this one for {mine.query}"
    return "order: the winner stands before it"


def _text(value: bytes) -> str:
    return value.decode("latin-1")
