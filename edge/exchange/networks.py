"""Sets of addresses that are trusted with something."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

KNOWN_ADDRESSES: Final = 1024
"""Addresses of which the answer is remembered."""


def plain_address(text: str) -> IPv4Address | IPv6Address:
    """An IPv4 address that is written as IPv6 comes out as what it is. Raises ValueError."""
    address = ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


class Networks:
    """CIDRs. An IPv4 address that is written as IPv6 counts as what it is."""

    __slots__ = ("_known", "_networks")

    def __init__(self, networks: list[str]) -> None:
        """Raises ValueError when one is no network."""
        self._networks = tuple(ip_network(network) for network in networks)
        self._known: dict[str, bool] = {}

    def __bool__(self) -> bool:
        return bool(self._networks)

    def hold(self, host: str) -> bool:
        """Whether the address `host` is in one of them; False for what is no address."""
        known = self._known.get(host)
        if known is None:
            if len(self._known) >= KNOWN_ADDRESSES:
                self._known.clear()
            known = self._known[host] = self._find(host)
        return known

    def _find(self, host: str) -> bool:
        try:
            address = plain_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._networks)
