"""TLS 1.3 KeyUpdates made beforehand, each sealed with the keys of the one before, so that a client sends
them as fast as its socket takes them. RFC 8446 §4.6.3, §7.2.
"""

from __future__ import annotations

import hmac
import struct
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NOT_ASKED, ASKED = 0, 1
"""Whether the other side must send one in return."""
_KEY_BYTES, _IV_BYTES, _TAG_BYTES = 16, 12, 16
_KEY_UPDATE: Final = 24
_HANDSHAKE: Final = 22
_DATA: Final = 23


class Sealer:
    """The client's half of a connection with TLS_AES_128_GCM_SHA256, from its first application secret on."""

    def __init__(self, secret: bytes) -> None:
        self._use(secret)

    def _use(self, secret: bytes) -> None:
        self._secret = secret
        self._aead = AESGCM(_expanded(secret, b"key", _KEY_BYTES))
        self._iv = int.from_bytes(_expanded(secret, b"iv", _IV_BYTES))
        self._sent = 0

    def sealed(self, kind: int, body: bytes) -> bytes:
        """One record."""
        inner = body + bytes([kind])
        header = struct.pack(">BHH", _DATA, 0x0303, len(inner) + _TAG_BYTES)
        nonce = (self._iv ^ self._sent).to_bytes(_IV_BYTES)
        self._sent += 1
        return header + self._aead.encrypt(nonce, inner, header)

    def key_update(self, asks: int) -> bytes:
        """One record, after which new keys are in use."""
        record = self.sealed(_HANDSHAKE, bytes([_KEY_UPDATE, 0, 0, 1, asks]))
        self._use(_expanded(self._secret, b"traffic upd", len(self._secret)))
        return record

    def data(self, plain: bytes) -> bytes:
        """One record of application data."""
        return self.sealed(_DATA, plain)


def _expanded(secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label with an empty context, of at most one block."""
    name = b"tls13 " + label
    return hmac.digest(secret, struct.pack(">HB", size, len(name)) + name + b"\0\1", "sha256")[:size]
