"""The match table of one listener: dict look-ups, built once per revision.

Precedence is the Gateway API's: exact hostname, then the longest wildcard, then any host; exact
path, then regular expressions (longer patterns first, as Envoy Gateway does), then the longest
prefix; then method, number of headers, number of query parameters, and order in the model. A
request that no rule of the best hostname takes is left to the next one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from edge.head import RequestHead
from edge.route.candidate import Candidate
from edge.route.fork import Choices, first, forked
from edge.route.hostname import host_of
from edge.route.pattern import Whole, first_segment, whole

ANY_HOST = ""
KNOWN: Final = 1024
"""Requests whose winner is kept, where nothing but their host and path decided; the same few come again."""
KNOWN_BYTES: Final = 256


class _Host:
    """The rules of one hostname."""

    __slots__ = ("_exact", "_prefix", "by_path", "depth", "exact", "only_root", "prefix", "regex", "segments")

    def __init__(self) -> None:
        self._exact: dict[bytes, list[Candidate]] = {}
        self._prefix: dict[bytes, list[Candidate]] = {}
        self.exact: dict[bytes, Choices] = {}
        self.prefix: dict[bytes, Choices] = {}
        """By path, what `seal` makes of what was added."""
        self.regex: list[tuple[Whole, Candidate]] = []
        """After `seal`: those that may match whatever the first segment of the path is."""
        self.segments: dict[bytes, list[tuple[Whole, Candidate]]] | None = None
        """By first segment, those that may match; None = no regular expressions."""
        self.depth = 0
        """Segments of the longest prefix: no request pays for more of its own."""
        self.only_root = True
        self.by_path = True
        """Whether no rule looks at more of a request than its path."""

    @property
    def empty(self) -> bool:
        """After `seal`."""
        return not self.exact and not self.prefix and self.segments is None

    def add(self, candidate: Candidate) -> None:
        self.by_path &= candidate.any
        if candidate.kind == "exact":
            self._exact.setdefault(candidate.path, []).append(candidate)
        elif candidate.kind == "regex":
            self.regex.append((whole(candidate.path), candidate))
        else:
            self._prefix.setdefault(candidate.path.rstrip(b"/"), []).append(candidate)

    def sealing(self) -> Iterator[None]:
        for added, made in ((self._exact, self.exact), (self._prefix, self.prefix)):
            for path, candidates in added.items():
                candidates.sort(key=Candidate.rank)
                made[path] = forked(candidates)
                yield
            added.clear()
        self._seal_patterns()
        self.depth = max((prefix.count(b"/") for prefix in self.prefix), default=0)
        self.only_root = not self.exact and self.segments is None and self.prefix.keys() <= {b""}

    def _seal_patterns(self) -> None:
        self.regex.sort(key=lambda each: (-len(each[1].path), each[1].rank()))
        if not self.regex:
            return
        starts = [(first_segment(each[1].path), each) for each in self.regex]
        segments: dict[bytes, list[tuple[Whole, Candidate]]]
        segments = {segment: [] for segment, _ in starts if segment is not None}
        for segment, each in starts:
            for some in segments.values() if segment is None else (segments[segment],):
                some.append(each)
        self.segments = segments
        self.regex = [each for segment, each in starts if segment is None]

    def taking_apart(self) -> Iterator[None]:
        for made in (self.exact, self.prefix, self.segments or {}):
            while made:
                made.popitem()
                yield

    def match(self, head: RequestHead) -> Candidate | None:
        if self.only_root:
            return first(self.prefix.get(b""), head)
        path = head.path
        query = path.find(b"?")
        if query >= 0:
            path = path[:query]
        if self.exact:
            found = first(self.exact.get(path), head)
            if found is not None:
                return found
        if self.segments is not None:
            found = self._match_pattern(self.segments, path, head)
            if found is not None:
                return found
        end = 0
        for _ in range(self.depth):
            end = path.find(b"/", end + 1)
            if end < 0:
                prefix = path.rstrip(b"/") if path.endswith(b"/") else path
                break
        else:
            prefix = path[:end]
        while True:
            here = self.prefix.get(prefix)
            if here is not None:
                found = first(here, head)
                if found is not None:
                    return found
            if not prefix:
                return None
            end = prefix.rfind(b"/")
            prefix = prefix[:end] if end > 0 else b""

    def _match_pattern(
        self, segments: dict[bytes, list[tuple[Whole, Candidate]]], path: bytes, head: RequestHead
    ) -> Candidate | None:
        for matches, candidate in segments.get(path[1:].partition(b"/")[0], self.regex):
            if (candidate.any or candidate.choose(head) is not None) and matches(path):
                return candidate
        return None


class RouteTable:
    """`match(head)` gives the winning candidate or None; hosts compare without port, lower case."""

    def __init__(self) -> None:
        self._hosts: dict[bytes, _Host] = {}
        self._any = _Host()
        self._by_host = False
        self._always: Candidate | None = None
        """The winner of every request, where there is but one rule for all."""
        self._known: dict[tuple[bytes, bytes], Candidate] = {}
        """By authority and path."""
        self._remembers = False
        """Whether there is a host of which that may decide; else no request pays for a look."""
        self.filed: list[tuple[str, Candidate]] = []
        """Every candidate under each of its hostnames, in order; for explanations."""

    def add(self, hostnames: list[str], candidate: Candidate) -> None:
        """File `candidate` under each hostname (`*.suffix` = wildcard), or under any host."""
        for hostname in hostnames or [ANY_HOST]:
            host = self._any
            if hostname != ANY_HOST:
                self._by_host = True
                key = hostname.lower().encode("ascii").removeprefix(b"*")
                host = self._hosts.setdefault(key, _Host())
            host.add(candidate)
            self.filed.append((hostname, candidate))

    def seal(self) -> None:
        """Sort everything; call once after the last `add`."""
        for _ in self.sealing():
            pass

    def sealing(self) -> Iterator[None]:
        """`seal` in steps, for a caller who has other things to do between them."""
        yield from self._any.sealing()
        for host in self._hosts.values():
            yield from host.sealing()
            yield
        hosts = (self._any, *self._hosts.values())
        self._remembers = any(host.by_path and not host.empty for host in hosts)
        winner = next(iter(self._any.prefix.get(b"", ())), None)
        if self._any.only_root and not self._by_host and isinstance(winner, Candidate) and winner.any:
            self._always = winner

    def taking_apart(self) -> Iterator[None]:
        """Let everything go in steps: of ten thousand rules that takes longer than a request may wait."""
        self._always = None
        self._remembers = False
        self._known.clear()
        for host in (self._any, *self._hosts.values()):
            yield from host.taking_apart()
        while self.filed:
            self.filed.pop()
            yield

    def match(self, head: RequestHead) -> Candidate | None:
        """The rule that takes `head`, by precedence, or None."""
        if self._always is not None:
            return self._always
        by_path = self._remembers
        if by_path:
            known = self._known.get((head.authority, head.path))
            if known is not None:
                return known
        authority, path, any_host = head.authority, head.path, self._any
        name = b""
        host: _Host | None = any_host
        if self._by_host:
            name = host_of(authority)
            host = self._hosts.get(name)
        while True:
            if host is not None:
                by_path = by_path and host.by_path
                found = host.match(head)
                if found is not None:
                    break
                if host is any_host:
                    return None
            dot = name.find(b".", 1)
            name = name[dot:]
            host = any_host if dot < 0 else self._hosts.get(name)
        if by_path and len(authority) + len(path) <= KNOWN_BYTES:
            if len(self._known) >= KNOWN:
                self._known.clear()
            self._known[authority, path] = found
        return found
