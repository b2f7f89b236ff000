"""Case 96 of the list of hostile inputs: the names that ClientHellos ask for, over TCP and over QUIC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from aioquic._buffer import Buffer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection

SERVER_NAME: Final = 0
_UNRECOGNIZED_NAME, _DECODE_ERROR, _ILLEGAL_PARAMETER = 112, 50, 47
_CRYPTO_ERROR: Final = 0x100
"""An alert over QUIC is this and its number. Spec: RFC 9001 §4.8."""
_CRYPTO_BUFFER_EXCEEDED: Final = 0x0D


def server_name(name: bytes) -> bytes:
    """The extension's content. Spec: RFC 6066 §3."""
    return b"%b\0%b%b" % ((len(name) + 3).to_bytes(2), len(name).to_bytes(2), name)


@dataclass(frozen=True)
class Asked:
    """`contents` of server_name extensions, and the answers: whose certificate, or the number of an error."""

    name: str
    contents: tuple[bytes, ...]
    over_tcp: str | int
    """A number is an alert's."""
    over_quic: str | int
    """A number is what the connection is closed with."""


def _alike(name: str, answer: str | int, *contents: bytes) -> Asked:
    return Asked(name, contents, answer, answer if isinstance(answer, str) else _CRYPTO_ERROR + answer)


NAMES: Final = (
    _alike("unknown", "shop.example", server_name(b"nobody.example")),
    _alike("known", "docs.example", server_name(b"docs.example")),
    _alike("upper-case", "docs.example", server_name(b"DOCS.example")),
    _alike("255", "shop.example", server_name(b"a" * 255)),
    _alike("256", _UNRECOGNIZED_NAME, server_name(b"a" * 256)),
    Asked("64k", (server_name(b"a" * 65_000),), _UNRECOGNIZED_NAME, _CRYPTO_BUFFER_EXCEEDED),
    _alike("nul", _UNRECOGNIZED_NAME, server_name(b"shop.example\0.evil")),
    _alike("only-nul", _UNRECOGNIZED_NAME, server_name(b"\0")),
    _alike("8-bit", _UNRECOGNIZED_NAME, server_name(b"\xff\xfe.example")),
    _alike("empty", "shop.example", server_name(b"")),
    _alike("none", "shop.example"),
    _alike("no-names", _DECODE_ERROR, b"\0\0"),
    _alike("two-names", _DECODE_ERROR, b"\0\x08\0\0\x01a\0\0\x01b"),
    _alike("name-of-no-host", _DECODE_ERROR, b"\0\x04\x01\0\x01a"),
    _alike("octets-after-names", _DECODE_ERROR, server_name(b"shop.example") + b"x"),
    _alike("name-too-long-for-list", _DECODE_ERROR, b"\0\x04\0\0\x09a"),
    _alike("twice", _ILLEGAL_PARAMETER, server_name(b"shop.example"), server_name(b"docs.example")),
)


class Asking(QuicConnection):
    """A client of QUIC whose ClientHello has exactly these server_name extensions."""

    def __init__(self, configuration: QuicConfiguration, contents: tuple[bytes, ...]) -> None:
        configuration.server_name = None
        super().__init__(configuration=configuration)
        self._contents = contents

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        context: Any = self.tls
        context.handshake_extensions += [(SERVER_NAME, content) for content in self._contents]
        for epoch in self._crypto_buffers:
            self._crypto_buffers[epoch] = Buffer(capacity=1 << 17)
