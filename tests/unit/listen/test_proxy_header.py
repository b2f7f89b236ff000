"""PROXY headers, as their specification writes them and otherwise."""

from __future__ import annotations

import socket
import struct

import pytest

from edge.listen.proxy_header import (
    SIGNATURE,
    V1_BYTES,
    V2_BYTES,
    MalformedHeader,
    NoHeader,
    crc32c,
    parse,
)

TCP4 = socket.inet_aton("192.0.2.1") + socket.inet_aton("198.51.100.2") + struct.pack("!HH", 1234, 443)
TCP6 = (
    socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    + socket.inet_pton(socket.AF_INET6, "2001:db8::2")
    + struct.pack("!HH", 1234, 443)
)


def v2(command: int, family: int, block: bytes) -> bytes:
    return SIGNATURE + bytes([command, family]) + struct.pack("!H", len(block)) + block


def tlv(kind: int, value: bytes) -> bytes:
    return bytes([kind]) + struct.pack("!H", len(value)) + value


def with_checksum(block: bytes) -> bytes:
    """`block` with a CRC32c TLV that is right."""
    zeroed = v2(0x21, 0x11, block + tlv(3, bytes(4)))
    return v2(0x21, 0x11, block + tlv(3, struct.pack("!I", crc32c(zeroed))))


GOOD = {
    b"PROXY TCP4 192.0.2.1 198.51.100.2 1234 443\r\n": ("192.0.2.1", 1234),
    b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n": ("255.255.255.255", 65535),
    b"PROXY TCP6 2001:DB8::1 ::ffff:192.0.2.1 0 443\r\n": ("2001:db8::1", 0),
    b"PROXY UNKNOWN\r\n": None,
    b"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
    b"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n": None,
    v2(0x21, 0x11, TCP4): ("192.0.2.1", 1234),
    v2(0x21, 0x21, TCP6): ("2001:db8::1", 1234),
    v2(0x21, 0x11, TCP4 + tlv(4, bytes(9)) + tlv(1, b"h2")): ("192.0.2.1", 1234),
    with_checksum(TCP4 + tlv(2, b"shop.example")): ("192.0.2.1", 1234),
    v2(0x21, 0x00, b""): None,
    v2(0x21, 0x00, tlv(4, b"")): None,
    v2(0x21, 0x31, bytes(216)): None,
    v2(0x20, 0x00, b""): None,
    v2(0x20, 0x11, TCP4): None,
    v2(0x20, 0xFF, b"whatever"): None,
}


@pytest.mark.parametrize("header", GOOD)
def test_a_good_header_is_read_to_its_end_and_not_further(header: bytes) -> None:
    for rest in (b"", b"GET / HTTP/1.1\r\n", header):
        made = parse(header + rest)
        assert made is not None
        assert (made.size, made.source) == (len(header), GOOD[header])


@pytest.mark.parametrize("header", GOOD)
def test_every_beginning_of_a_good_header_is_waited_for(header: bytes) -> None:
    assert [parse(header[:end]) for end in range(len(header))] == [None] * len(header)


BAD = {
    "v1-lower-case": b"PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n",
    "v1-no-ports": b"PROXY TCP4 192.0.2.1 192.0.2.2\r\n",
    "v1-one-more": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
    "v1-two-spaces": b"PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
    "v1-space-at-the-end": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
    "v1-tab": b"PROXY TCP4\t192.0.2.1 192.0.2.2 1 2\r\n",
    "v1-bare-lf": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
    "v1-cr-inside": b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r 2\r\n",
    "v1-leading-zero-port": b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
    "v1-large-port": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
    "v1-negative-port": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 -2\r\n",
    "v1-leading-zero": b"PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
    "v1-other-family": b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
    "v1-v6-in-v4": b"PROXY TCP4 ::1 ::1 1 2\r\n",
    "v1-scope": b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
    "v1-name": b"PROXY TCP4 localhost localhost 1 2\r\n",
    "v1-long": b"PROXY TCP4 " + b"1" * V1_BYTES,
    "v1-long-unknown": b"PROXY UNKNOWN " + b"a" * V1_BYTES + b"\r\n",
    "v1-nul-in-unknown": b"PROXY UNKNOWN a\0\r\n",
    "v2-version": v2(0x11, 0x11, TCP4),
    "v2-command": v2(0x22, 0x11, TCP4),
    "v2-family": v2(0x21, 0x41, TCP4),
    "v2-protocol": v2(0x21, 0x13, TCP4),
    "v2-datagram": v2(0x21, 0x12, TCP4),
    "v2-short-4": v2(0x21, 0x11, TCP4[:-1]),
    "v2-short-6": v2(0x21, 0x21, TCP4),
    "v2-short-unix": v2(0x21, 0x31, bytes(215)),
    "v2-long": SIGNATURE + b"\x21\x11" + struct.pack("!H", V2_BYTES - 15),
    "v2-tlv-cut": v2(0x21, 0x11, TCP4 + b"\x04\0"),
    "v2-tlv-too-long": v2(0x21, 0x11, TCP4 + b"\x04\0\x02a"),
    "v2-checksum": v2(0x21, 0x11, TCP4 + tlv(3, bytes(4))),
    "v2-checksum-size": v2(0x21, 0x11, TCP4 + tlv(3, bytes(3))),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_header_is_refused(name: str) -> None:
    with pytest.raises(MalformedHeader) as caught:
        parse(BAD[name])
    assert not isinstance(caught.value, NoHeader)


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1", b"\x16\x03\x01", b"PRI * HTTP/2.0", b"\r\nG", b"PROXYTCP4"]
)
def test_what_begins_otherwise_is_no_header(data: bytes) -> None:
    with pytest.raises(NoHeader):
        parse(data)


def test_the_checksum_is_castagnolis() -> None:
    assert crc32c(b"123456789") == 0xE3069283
