"""Which requests are traced: decided once, from the caller's context, before anything is made."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from random import random
from typing import Final

from edge.telemetry.propagation import Parent

_CACHED_PEERS: Final = 4096
_LOW_64: Final = 1 << 64


class Sampler:
    """Parent-based ratio sampling: `ratio` 0..1 of the requests without a parent we believe.

    The sampled flag of a peer outside `trust` (addresses or CIDRs) is ignored: a client must not
    buy traces. Nor may it by choosing a trace id, so for those the dice are ours. With
    `parent_based` False no flag counts. ValueError for a bad ratio or CIDR.
    """

    def __init__(self, ratio: float, trust: Sequence[str] = (), parent_based: bool = True) -> None:
        if not 0.0 <= ratio <= 1.0:
            raise ValueError(f"sampling ratio {ratio} is not between 0 and 1")
        self.ratio = ratio
        self._bound = round(ratio * _LOW_64)
        self._parent_based = parent_based
        self._networks: list[IPv4Network | IPv6Network] = [ip_network(text, strict=False) for text in trust]
        self._peers: dict[str, bool] = {}

    def trusts(self, peer: str) -> bool:
        """Whether the address `peer` is inside a trusted network (bounded memory)."""
        if not self._networks:
            return False
        known = self._peers.get(peer)
        if known is None:
            if len(self._peers) >= _CACHED_PEERS:
                self._peers.clear()
            known = self._peers[peer] = self._is_inside(peer)
        return known

    def _is_inside(self, peer: str) -> bool:
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        if address.version == 6 and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)

    def decide(self, parent: Parent | None, trace_id: bytes, peer: str) -> bool:
        """`trace_id` is ours when there is no parent. Spec: OpenTelemetry ParentBased, TraceIdRatioBased."""
        if parent is None:
            return int.from_bytes(trace_id[8:], "big") < self._bound
        if self._parent_based and parent.sampled is not None and self.trusts(peer):
            return parent.sampled
        return random() < self.ratio
