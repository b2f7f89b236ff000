"""Asks the DNS; the only importer of dnspython."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from edge.control.discovery.spec import Dns

HOSTS: Final = Path("/etc/hosts")
HOSTS_TTL_S: Final = 5.0
ADDRESSES_LIMIT: Final = 256
"""Of one name. A server that answers with more is not one of ours."""


class LookupFailed(Exception):
    """The text says what the DNS said."""


class Found(NamedTuple):
    """Addresses of a name, IPv4 first, and for how long they hold, in seconds."""

    addresses: list[str]
    ttl_s: float


class Resolver(Protocol):
    """Finds the addresses of a name. Raises LookupFailed, and nothing else."""

    async def lookup(self, host: str) -> Found: ...


class DnsResolver:
    """A and AAAA at once, after /etc/hosts. One of both suffices; NXDOMAIN is a failure."""

    def __init__(self, dns: Dns, hosts: Path = HOSTS) -> None:
        from dns.asyncresolver import Resolver as Stub
        from dns.nameserver import Do53Nameserver
        from dns.resolver import NoResolverConfiguration

        self._hosts = hosts
        try:
            self._stub = Stub(configure=not dns.nameservers)
        except NoResolverConfiguration:
            self._stub = Stub(configure=False)
        if dns.nameservers:
            self._stub.nameservers = [Do53Nameserver(host, port) for host, port in dns.nameservers]
        self._stub.lifetime = dns.timeout_s
        self._stub.timeout = dns.timeout_s

    async def lookup(self, host: str) -> Found:
        if _is_ip(host):
            return Found([host], float("inf"))
        listed = _listed(self._hosts, host)
        if listed:
            return Found(listed, HOSTS_TTL_S)
        results = await asyncio.gather(self._ask(host, "A"), self._ask(host, "AAAA"), return_exceptions=True)
        found = [each for each in results if isinstance(each, Found)]
        addresses = [address for each in found for address in each.addresses]
        if not addresses:
            raise next(
                (each for each in results if isinstance(each, LookupFailed)),
                LookupFailed(f"{host}: the name has no address"),
            )
        return Found(addresses[:ADDRESSES_LIMIT], min(each.ttl_s for each in found if each.addresses))

    async def _ask(self, host: str, kind: str) -> Found:
        from dns.exception import DNSException
        from dns.resolver import NXDOMAIN, LifetimeTimeout, NoAnswer

        try:
            answer = await self._stub.resolve(host, kind, raise_on_no_answer=False)
        except NXDOMAIN:
            raise LookupFailed(f"{host}: no such name (NXDOMAIN)") from None
        except LifetimeTimeout:
            raise LookupFailed(f"{host}: no name server answered in {self._stub.lifetime:g} s") from None
        except NoAnswer:
            return Found([], float("inf"))
        except (DNSException, OSError, UnicodeError) as error:
            raise LookupFailed(f"{host}: {str(error) or type(error).__name__}") from None
        if answer.rrset is None:
            return Found([], float("inf"))
        return Found([record.address for record in answer.rrset], float(answer.rrset.ttl))


def _listed(hosts: Path, host: str) -> list[str]:
    """Addresses of `host` in the hosts file; a line that cannot be read is passed over."""
    wanted = host.rstrip(".").lower()
    try:
        lines = hosts.read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    found = []
    for line in lines:
        address, *names = line.partition("#")[0].split() or [""]
        if _is_ip(address) and wanted in (name.lower() for name in names):
            found.append(address)
    if not found and (wanted == "localhost" or wanted.endswith(".localhost")):
        return ["127.0.0.1"]  # RFC 6761 section 6.3: never asked of the DNS
    return found


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
