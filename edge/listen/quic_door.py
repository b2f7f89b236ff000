"""What becomes of datagrams that belong to no connection yet. Sans-io. Spec: RFC 9000 §5.2, §6, §8, §10.3."""

from __future__ import annotations

from os import urandom
from typing import Any, Final

from aioquic.quic.packet import (
    QuicHeader,
    QuicPacketType,
    QuicProtocolVersion,
    encode_quic_retry,
    encode_quic_version_negotiation,
)
from aioquic.quic.retry import QuicRetryTokenHandler
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from edge.codec.h3.arriving import CID_BYTES
from edge.codec.h3.transport import Transport, TransportSettings

INITIAL_BYTES: Final = 1200
"""A smaller first datagram is dropped, so that no answer is more than three times the question."""
_TYPE: Final = 0x30
"""Of the packet, in a long header of version 1; 0 = Initial. Spec: RFC 9000 §17.2."""
_VERSION_1: Final = b"\0\0\0\1"
RETRY_ABOVE: Final = 64
"""Half-open connections from which on clients must first show that they are where they say."""
HALF_OPEN_LIMIT: Final = 1024
"""Beyond it new clients are dropped, shown or not: handshakes cost a millisecond each."""
RESET_BYTES: Final = 43
LEAST_RESET_BYTES: Final = 22
RESETS_A_SECOND: Final = 100.0


def may_be_first(data: bytes) -> bool:
    """Whether a long header that names nobody may be owed an answer; all else is nobody's for good."""
    return len(data) >= INITIAL_BYTES and not (data[0] & _TYPE and data[1:5] == _VERSION_1)


class Door:
    """Answers without state, and makes connections. `settings` may be replaced, the next client sees it.

    With the same `retry_key` (32 bytes; without one it is its own) a door takes another's tokens.
    """

    def __init__(self, settings: TransportSettings, retry_key: bytes = b"") -> None:
        self.settings = settings
        self._tokens = QuicRetryTokenHandler()
        if retry_key:
            self._tokens._aead = AESGCM(retry_key)
        self._resets = RESETS_A_SECOND
        self._resets_at = 0.0

    def first(
        self, header: QuicHeader, size: int, addr: Any, half_open: int, now: float
    ) -> Transport | bytes | None:
        """A connection for a first packet, or an answer, or nothing; `size` is the datagram's."""
        if size < INITIAL_BYTES or header.packet_type is QuicPacketType.VERSION_NEGOTIATION:
            return None
        if header.version != QuicProtocolVersion.VERSION_1:
            return encode_quic_version_negotiation(
                source_cid=header.destination_cid,
                destination_cid=header.source_cid,
                supported_versions=[QuicProtocolVersion.VERSION_1],
            )
        # Shorter ids could be guessed. Spec: RFC 9000 §7.2.
        if header.packet_type is not QuicPacketType.INITIAL or len(header.destination_cid) < 8:
            return None
        if half_open >= HALF_OPEN_LIMIT:
            return None
        if header.token:
            try:
                original = self._tokens.validate_token(
                    address=addr, destination_cid=header.destination_cid, token=header.token, now=now
                )
            except ValueError:
                # From another server, or from us before a restart: worth nothing, but no fault either.
                pass
            else:
                return Transport(self.settings, original, retry_source_connection_id=header.destination_cid)
        if half_open >= RETRY_ABOVE:
            return self._retry(header, addr, now)
        return Transport(self.settings, header.destination_cid)

    def _retry(self, header: QuicHeader, addr: Any, now: float) -> bytes:
        cid = self.settings.make_cid()
        token = self._tokens.create_token(
            address=addr,
            original_destination_connection_id=header.destination_cid,
            retry_source_connection_id=cid,
            now=now,
        )
        return encode_quic_retry(
            version=QuicProtocolVersion.VERSION_1,
            source_cid=cid,
            destination_cid=header.source_cid,
            original_destination_cid=header.destination_cid,
            retry_token=token,
        )

    def stray(self, data: bytes, now: float) -> bytes | None:
        """A stateless reset for a packet of a connection that is no more; always shorter than `data`."""
        size = min(len(data) - 1, RESET_BYTES)
        if size < LEAST_RESET_BYTES:
            return None
        self._resets = min(RESETS_A_SECOND, self._resets + (now - self._resets_at) * RESETS_A_SECOND)
        self._resets_at = now
        if self._resets < 1:
            return None
        self._resets -= 1
        noise = urandom(size - 16)
        return (
            b"%c" % (noise[0] & 0x3F | 0x40) + noise[1:] + self.settings.reset_token(data[1 : 1 + CID_BYTES])
        )
