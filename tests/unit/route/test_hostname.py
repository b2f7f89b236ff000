"""Hostnames that routes and listeners have in common."""

from __future__ import annotations

import pytest

from edge.route.hostname import covers, host_of, shared


@pytest.mark.parametrize(
    ("authority", "host"),
    [(b"a.b", b"a.b"), (b"a.b:80", b"a.b"), (b"[::1]", b"[::1]"), (b"[::1]:80", b"[::1]"), (b"", b"")],
)
def test_the_port_is_no_part_of_the_host(authority: bytes, host: bytes) -> None:
    assert host_of(authority) == host


@pytest.mark.parametrize(
    ("pattern", "hostname", "yes"),
    [
        ("a.example", "a.example", True),
        ("a.example", "b.example", False),
        ("a.example", "*.example", False),
        ("*.example", "a.example", True),
        ("*.example", "b.a.example", True),
        ("*.example", "example", False),
        ("*.example", "aexample", False),
        ("*.example", "*.example", True),
        ("*.example", "*.a.example", True),
        ("*.a.example", "*.example", False),
    ],
)
def test_a_wildcard_stands_for_one_label_or_more(pattern: str, hostname: str, yes: bool) -> None:
    assert covers(pattern, hostname) is yes


@pytest.mark.parametrize(
    ("listener", "route", "both"),
    [
        ([], [], []),
        ([], ["a.example"], ["a.example"]),
        (["a.example"], [], ["a.example"]),
        (["*.example"], ["a.example", "other.test"], ["a.example"]),
        (["a.example"], ["*.example"], ["a.example"]),
        (["*.example", "*.a.example"], ["*.a.example"], ["*.a.example"]),
        (["a.example"], ["b.example"], None),
        (["a.example", "b.example"], ["*.example"], ["a.example", "b.example"]),
    ],
)
def test_a_route_serves_what_its_listener_serves_too(
    listener: list[str], route: list[str], both: list[str] | None
) -> None:
    assert shared(listener, route) == both
