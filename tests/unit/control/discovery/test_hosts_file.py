"""/etc/hosts goes before the DNS."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edge.control.discovery.resolver import HOSTS_TTL_S, DnsResolver
from edge.control.discovery.spec import Dns

LINES = """# comment
127.0.0.1 localhost
10.0.0.1  shop.internal Shop # shop2.internal
10.0.0.2 shop.internal
nonsense  shop.internal
::1 six.internal
"""


def lookup(tmp_path: Path, host: str) -> tuple[list[str], float]:
    hosts = tmp_path / "hosts"
    hosts.write_text(LINES)
    resolver = DnsResolver(Dns(nameservers=[("127.0.0.1", 9)]), hosts)
    return tuple(asyncio.run(resolver.lookup(host)))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("shop.internal", ["10.0.0.1", "10.0.0.2"]),
        ("SHOP", ["10.0.0.1"]),
        ("shop.internal.", ["10.0.0.1", "10.0.0.2"]),
        ("six.internal", ["::1"]),
        ("localhost", ["127.0.0.1"]),
        ("app.localhost", ["127.0.0.1"]),
    ],
)
def test_listed_names_need_no_dns(tmp_path: Path, host: str, addresses: list[str]) -> None:
    assert lookup(tmp_path, host) == (addresses, HOSTS_TTL_S)


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_an_address_is_its_own_name_for_ever(tmp_path: Path, address: str) -> None:
    assert lookup(tmp_path, address) == ([address], float("inf"))
