"""The match table of one listener: dict look-ups, built once per revision.

Precedence is the Gateway API's: exact hostname, then the longest wildcard, then any host; exact
path, then the longest prefix; then method, number of headers, and order in the file.
"""

from __future__ import annotations

from edge.head import RequestHead
from edge.route.rule import Candidate

ANY_HOST = ""


class _Host:
    """The rules of one hostname."""

    __slots__ = ("exact", "only_root", "prefix")

    def __init__(self) -> None:
        self.exact: dict[bytes, list[Candidate]] = {}
        self.prefix: dict[bytes, list[Candidate]] = {}
        self.only_root = True

    def seal(self) -> None:
        for candidates in (*self.exact.values(), *self.prefix.values()):
            candidates.sort(key=Candidate.rank)
        self.only_root = not self.exact and self.prefix.keys() <= {b""}

    def match(self, head: RequestHead) -> Candidate | None:
        if self.only_root:
            return _first(self.prefix.get(b""), head)
        path = head.path.partition(b"?")[0]
        found = _first(self.exact.get(path), head)
        if found is not None:
            return found
        prefix = path.rstrip(b"/") if path.endswith(b"/") else path
        while True:
            found = _first(self.prefix.get(prefix), head)
            if found is not None or not prefix:
                return found
            prefix = prefix.rpartition(b"/")[0]


def _first(candidates: list[Candidate] | None, head: RequestHead) -> Candidate | None:
    if candidates is not None:
        for candidate in candidates:
            if candidate.any or candidate.accepts(head):
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

    def add(self, hostnames: list[str], candidate: Candidate, exact: bool) -> None:
        """File `candidate` under each hostname (`*.suffix` = wildcard), or under any host."""
        for hostname in hostnames or [ANY_HOST]:
            host = self._any
            if hostname != ANY_HOST:
                self._by_host = True
                key = hostname.lower().encode("ascii").removeprefix(b"*")
                host = self._hosts.setdefault(key, _Host())
            if exact:
                host.exact.setdefault(candidate.path, []).append(candidate)
            else:
                host.prefix.setdefault(candidate.path.rstrip(b"/"), []).append(candidate)

    def seal(self) -> None:
        """Sort everything; call once after the last `add`."""
        self._any.seal()
        for host in self._hosts.values():
            host.seal()
        first = next(iter(self._any.prefix.get(b"", ())), None)
        if self._any.only_root and not self._by_host and first is not None and first.any:
            self._always = first

    def match(self, head: RequestHead) -> Candidate | None:
        """The rule that takes `head`, by precedence, or None."""
        if self._always is not None:
            return self._always
        if self._by_host:
            name = _host_of(head.authority)
            host = self._hosts.get(name)
            while True:
                if host is not None:
                    found = host.match(head)
                    if found is not None:
                        return found
                dot = name.find(b".", 1)
                if dot < 0:
                    break
                name = name[dot:]
                host = self._hosts.get(name)
        return self._any.match(head)


def _host_of(authority: bytes) -> bytes:
    """Host without port; authority is canonical already (lower case, IPv6 in brackets)."""
    host, colon, _ = authority.rpartition(b":")
    if colon and not authority.endswith(b"]"):
        return host
    return authority
