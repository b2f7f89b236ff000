"""One match of a rule, as a route table files and tries it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote_to_bytes

from edge import model
from edge.head import RequestHead
from edge.route.pattern import whole
from edge.route.rule import Rule

Read = Callable[[RequestHead], bytes | None]
Holds = Callable[[RequestHead], bool]


Subject = tuple[str, bytes]
"""`header` or `query`, and the name."""


class Condition:
    """One part of a match beside path and method, and how to name it to people."""

    __slots__ = ("holds", "named", "read", "regex", "subject", "value")

    def __init__(self, subject: Subject, read: Read, value: bytes, regex: bool, shown: str) -> None:
        self.subject = subject
        self.read = read
        self.value = value
        self.regex = regex
        self.holds = _compared(read, value, regex)
        self.named = shown


class Candidate:
    """One match of a rule, filed in the table under its path.

    A name given twice among headers or query parameters counts once, by its first entry.
    Spec: Gateway API HTTPRouteMatch.
    """

    __slots__ = (
        "any", "conditions", "exact", "headers", "index", "kind", "method", "order", "path", "query",
        "report", "rule",
    )  # fmt: skip

    def __init__(
        self, match: model.Match, rule: Rule, order: int, report: object = None, index: int = 0
    ) -> None:
        """`order` counts all matches of a model; `index` is the match's place in its rule."""
        headers = {each.name.lower(): each for each in reversed(match.headers)}
        query = {each.name: each for each in reversed(match.query)}
        self.path = match.path
        self.kind = match.path_kind
        self.method = match.method
        self.headers = len(headers)
        self.query = len(query)
        self.conditions = (
            *(_header(each) for each in headers.values()),
            *(_parameter(each) for each in query.values()),
        )
        self.exact = {each.subject: each for each in self.conditions if not each.regex}
        self.rule = rule
        self.order = order
        self.index = index
        self.report = report
        """What the worker keeps for the reports of this rule on this listener."""
        self.any = self.method is None and not self.conditions
        """Whether the path alone decides."""

    def choose(self, head: RequestHead) -> Candidate | None:
        """Itself if all but the path holds; repeated headers and parameters match by their first value."""
        if self.method is not None and head.method != self.method and not self._asks_for_method(head):
            return None
        for condition in self.conditions:
            if not condition.holds(head):
                return None
        return self

    def _asks_for_method(self, head: RequestHead) -> bool:
        """A CORS preflight asks for a request of another method; a rule with a policy for that answers."""
        return (
            self.rule.cors
            and head.method == b"OPTIONS"
            and head.get(b"access-control-request-method") == self.method
            and head.get(b"origin") is not None
        )

    def rank(self) -> tuple[int, int, int, int]:
        """Sort key among matches of one path: a method, more headers, more parameters, then order.

        Spec: Gateway API HTTPRouteRule.matches (precedence).
        """
        return (0 if self.method is not None else 1, -self.headers, -self.query, self.order)


def _length(head: RequestHead) -> bytes | None:
    return None if head.length is None else b"%d" % head.length


_BESIDE_FIELDS: Final[dict[bytes, Read]] = {
    b"host": lambda head: head.authority,
    b"content-length": _length,
    b"upgrade": lambda head: head.upgrade,
}
"""What clients send as fields and a head keeps elsewhere."""


def _header(match: model.HeaderMatch) -> Condition:
    name, value = match.name.lower(), match.value
    shown = f"header {name.decode('latin-1')}"
    read = _BESIDE_FIELDS.get(name) or (lambda head: head.get(name))
    return Condition(("header", name), read, value, match.regex, shown)


def _parameter(match: model.QueryMatch) -> Condition:
    shown = f"query parameter {match.name.decode('utf-8', 'replace')}"
    return Condition(("query", match.name), parameter_reader(match.name), match.value, match.regex, shown)


def _compared(read: Read, value: bytes, regex: bool) -> Holds:
    if not regex:
        return lambda head: read(head) == value
    matches = whole(value)

    def holds(head: RequestHead) -> bool:
        found = read(head)
        return found is not None and matches(found)

    return holds


def parameter_reader(name: bytes) -> Read:
    """Reads the first value of query parameter `name`, decoded as forms are (`%xx`, `+` = space).

    One search in C, whichever way the client escaped the name, however many parameters it sent.
    """
    spelt = b"".join(_spellings(byte) for byte in name)
    search = re.compile(rb"(?:\A|&)" + spelt + rb"(?:=([^&]*+))?+(?=&|\Z)").search

    def read(head: RequestHead) -> bytes | None:
        found = search(head.path.partition(b"?")[2])
        if found is None:
            return None
        value = bytes(found[1] or b"")
        if b"+" in value:
            value = value.replace(b"+", b" ")
        return unquote_to_bytes(value) if b"%" in value else value

    return read


def _spellings(byte: int) -> bytes:
    escaped = b"".join(b"[%c%c]" % (c, c | 0x20) if c > 0x39 else b"%c" % c for c in b"%02X" % byte)
    plain = rb"\+|" if byte == 0x20 else b"" if byte in b"+&=%#" else re.escape(b"%c" % byte) + b"|"
    return b"(?:" + plain + b"%" + escaped + b")"
