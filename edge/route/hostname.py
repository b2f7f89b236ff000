"""Hostnames: of a request, of routes and listeners, and what two of them have in common."""

from __future__ import annotations


def host_of(authority: bytes) -> bytes:
    """Host without port; authority is canonical already (lower case, IPv6 in brackets)."""
    host, colon, _ = authority.rpartition(b":")
    if colon and not authority.endswith(b"]"):
        return host
    return authority


def covers(pattern: str, hostname: str) -> bool:
    """Whether all that `hostname` (exact or `*.suffix`) stands for is among what `pattern` stands for.

    A wildcard stands for one label or more. Spec: Gateway API HTTPRoute.hostnames.
    """
    if not pattern.startswith("*."):
        return pattern == hostname
    return hostname.removeprefix("*").endswith(pattern[1:])


def shared(listener: list[str], route: list[str]) -> list[str] | None:
    """The hostnames of a route that a listener for `listener` serves; either empty = all.

    Where one side is wider the narrower name counts. None = they have nothing in common.
    Spec: Gateway API HTTPRoute.hostnames (intersection).
    """
    if not listener or not route:
        return [*(route or listener)]
    narrower = [
        mine if covers(theirs, mine) else theirs
        for mine in route
        for theirs in listener
        if covers(theirs, mine) or covers(mine, theirs)
    ]
    return list(dict.fromkeys(narrower)) or None
