"""The frame that every span entry has: ids and times before all that is the same for many spans."""

from __future__ import annotations

from struct import Struct
from typing import Final

from edge.telemetry.protobuf import delimited, utf8, varint

INTERNAL: Final = 1
SERVER: Final = 2
CLIENT: Final = 3

LOCAL_CHILD: Final = 0x101
"""Flags: sampled, and we know that the parent is not remote."""
REMOTE_CHILD: Final = 0x301
"""Flags: sampled, and the parent is remote."""
STATUS_ERROR: Final = b"\x7a\x02\x18\x02"
"""Field `status` with code Error and no description."""
SPAN_ENTRY: Final = b"\x12"
"""Field `ScopeSpans.spans`."""

_NAME_LIMIT_BYTES: Final = 320
_TIMES: Final = Struct("<BQBQ").pack
_FLAGS: Final = {flags: Struct("<HI").pack(0x0185, flags) for flags in (LOCAL_CHILD, REMOTE_CHILD)}


def described(name: bytes, kind: int, flags: int) -> bytes:
    """Fields `name`, `kind` and `flags`."""
    return delimited(b"\x2a", utf8(name, _NAME_LIMIT_BYTES)) + bytes((0x30, kind)) + _FLAGS[flags]


def span_entry(start: bytes, parent: bytes, start_ns: int, end_ns: int, body: bytes) -> bytes:
    """One `ScopeSpans.spans` field.

    `start` holds the fields trace id, trace state and span id, `body` what `described` gives, attributes
    and status. A clock that went back gives a span of no length.
    """
    payload = b"%b%b%b%b" % (
        start,
        b"\x22\x08" + parent if parent else b"",
        _TIMES(0x39, start_ns, 0x41, end_ns if end_ns > start_ns else start_ns),
        body,
    )
    return SPAN_ENTRY + varint(len(payload)) + payload
