"""The key of an HTTP/1.1 upgrade and its answer; an extended CONNECT has neither. Spec: RFC 6455 §4."""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Final

KEY: Final = b"sec-websocket-key"
ACCEPT: Final = b"sec-websocket-accept"
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def new_key() -> bytes:
    """A key nobody else knows. Spec: RFC 6455 §4.1."""
    return base64.b64encode(secrets.token_bytes(16))


def accept_of(key: bytes) -> bytes:
    """What the other side must answer to `key`. Spec: RFC 6455 §4.2.2."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
