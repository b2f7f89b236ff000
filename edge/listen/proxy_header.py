"""The PROXY protocol's header, versions 1 and 2, as strict as its specification. Sans-io.

Spec: haproxy.org, "The PROXY protocol", versions 1 & 2, §2.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Final

V1_BYTES: Final = 107
"""The longest header of version 1, with its CRLF."""
V2_BYTES: Final = 4096
"""Of version 2 with its TLVs; the specification asks for 536, TLS details of a proxy fit well inside."""
SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_PROXY: Final = b"PROXY "
_V2_HEAD: Final = 16
_CRC_TLV: Final = 0x03
_CRC_BYTES: Final = 4
_TLV_HEAD: Final = 3
_LOCAL, _PROXIED = 0x20, 0x21
_UNSPEC, _TCP4, _TCP6, _UNIX = 0x00, 0x11, 0x21, 0x31
_BLOCK_BYTES: Final = {_UNSPEC: 0, _TCP4: 12, _TCP6: 36, _UNIX: 216}

_v1: Final = re.compile(
    rb"PROXY (?:(UNKNOWN)(?: [\x20-\x7e]*+)?|TCP([46]) ([0-9A-Fa-f:.]++) ([0-9A-Fa-f:.]++)"
    rb" (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4}))\r\n"
).fullmatch
_MAX_PORT: Final = 65535

Address = tuple[str, int]


class MalformedHeader(ValueError):
    """The sender does not speak the PROXY protocol, or not as it is specified."""


class NoHeader(MalformedHeader):
    """What came begins like something else."""


class ProxyHeader:
    """What a proxy says of a connection. No `source` = it speaks for itself, or cannot say."""

    __slots__ = ("destination", "size", "source")

    def __init__(self, size: int, source: Address | None = None, destination: Address | None = None) -> None:
        self.size = size
        """Bytes that belong to the header; what follows is the connection's."""
        self.source = source
        self.destination = destination


def parse(data: bytes) -> ProxyHeader | None:
    """The header at the start of `data`, or None while it may still become one.

    Raises NoHeader when it begins otherwise, MalformedHeader for anything else that is wrong.
    """
    if data.startswith(SIGNATURE):
        return _version_2(data)
    if data.startswith(_PROXY):
        return _version_1(data)
    if SIGNATURE.startswith(data) or _PROXY.startswith(data):
        return None
    raise NoHeader("no PROXY header")


def _version_1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\n", 0, V1_BYTES)
    if end < 0:
        if len(data) >= V1_BYTES:
            raise MalformedHeader(f"a line of more than {V1_BYTES} bytes")
        return None
    match = _v1(data[: end + 1])
    if match is None:
        raise MalformedHeader("a malformed line")
    unknown, family, source, destination, source_port, destination_port = match.groups()
    if unknown is not None:
        return ProxyHeader(end + 1)
    kind = IPv4Address if family == b"4" else IPv6Address
    ports = int(source_port), int(destination_port)
    try:
        hosts = str(kind(source.decode())), str(kind(destination.decode()))
    except ValueError:
        raise MalformedHeader("a malformed address") from None
    if max(ports) > _MAX_PORT:
        raise MalformedHeader("a port out of range")
    return ProxyHeader(end + 1, (hosts[0], ports[0]), (hosts[1], ports[1]))


def _version_2(data: bytes) -> ProxyHeader | None:
    if len(data) < _V2_HEAD:
        return None
    command, family = data[12], data[13]
    size = _V2_HEAD + int.from_bytes(data[14:16], "big")
    if command not in (_LOCAL, _PROXIED):
        raise MalformedHeader(f"version and command 0x{command:02x}")
    if size > V2_BYTES:
        raise MalformedHeader(f"a header of {size} bytes, the limit is {V2_BYTES}")
    if command == _PROXIED and family not in _BLOCK_BYTES:
        raise MalformedHeader(f"family and protocol 0x{family:02x}")
    if len(data) < size:
        return None
    if command == _LOCAL:
        return ProxyHeader(size)
    block = _V2_HEAD + _BLOCK_BYTES[family]
    if size < block:
        raise MalformedHeader("addresses that are cut short")
    _check_tlvs(data[:size], block)
    if family not in (_TCP4, _TCP6):
        return ProxyHeader(size)
    kind, width = (IPv4Address, 4) if family == _TCP4 else (IPv6Address, 16)
    at = _V2_HEAD
    hosts = str(kind(data[at : at + width])), str(kind(data[at + width : at + 2 * width]))
    at += 2 * width
    source_port, destination_port = (
        int.from_bytes(data[at : at + 2], "big"),
        int.from_bytes(data[at + 2 : at + 4], "big"),
    )
    return ProxyHeader(size, (hosts[0], source_port), (hosts[1], destination_port))


def _check_tlvs(header: bytes, at: int) -> None:
    """They fill what is left of the header exactly; a checksum is right. Spec: §2.2.1, §2.2.3."""
    while at < len(header):
        start = at + _TLV_HEAD
        end = start + int.from_bytes(header[at + 1 : start], "big")
        if start > len(header) or end > len(header):
            raise MalformedHeader("a TLV that is cut short")
        if header[at] == _CRC_TLV:
            zeroed = header[:start] + bytes(end - start) + header[end:]
            if end - start != _CRC_BYTES or int.from_bytes(header[start:end], "big") != crc32c(zeroed):
                raise MalformedHeader("a checksum that is wrong")
        at = end


def _table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_CRC_TABLE: Final = _table()


def crc32c(data: bytes) -> int:
    """Castagnoli's. Spec: RFC 9260 Appendix A."""
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _CRC_TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF
