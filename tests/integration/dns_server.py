"""A name server of the tests: one UDP socket on 127.0.0.1, records that a test changes as it likes."""

from __future__ import annotations

import asyncio
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


class DnsServer(asyncio.DatagramProtocol):
    """`records`: name → (TTL in s, addresses). `silent` = it hears, counts and says nothing."""

    def __init__(self) -> None:
        self.records: dict[str, tuple[int, list[str]]] = {}
        self.silent = False
        self.asked = 0
        self._transport: asyncio.DatagramTransport | None = None

    @classmethod
    async def start(cls) -> DnsServer:
        _, server = await asyncio.get_running_loop().create_datagram_endpoint(
            cls, local_addr=("127.0.0.1", 0)
        )
        return server

    @property
    def port(self) -> int:
        assert self._transport is not None
        port: int = self._transport.get_extra_info("sockname")[1]
        return port

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked += 1
        if self.silent or self._transport is None:
            return
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True)
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        if name not in self.records:
            response.set_rcode(dns.rcode.NXDOMAIN)
        else:
            ttl, addresses = self.records[name]
            wanted = [a for a in addresses if (":" in a) == (question.rdtype == dns.rdatatype.AAAA)]
            if wanted and question.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA):
                kind = dns.rdatatype.to_text(question.rdtype)
                response.answer.append(dns.rrset.from_text(question.name, ttl, "IN", kind, *wanted))
        self._transport.sendto(response.to_wire(), addr)
