"""Proxy-Wasm's serialisation of pairs: u32 count, sizes, then `name NUL value NUL` each."""

from __future__ import annotations

from struct import unpack_from
from typing import Final

from edge.abi.proxy_wasm.layout import MAP_LIMIT_FIELDS
from edge.head import Fields
from edge.syntax import is_field_value, is_token

_FRAMING: Final = frozenset(
    (
        *(b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"),
        *(b"content-length", b"expect", b"http2-settings", b"host"),
    )
)
"""Fields that say how a message is framed or where it goes: edge writes those itself."""


def parse(data: bytes) -> Fields | None:
    """Pairs with names in lower case, or None when the sizes do not fit exactly."""
    if len(data) <= 1:
        return [] if data in (b"", b"\0") else None
    if len(data) < 4:
        return None
    (count,) = unpack_from("<I", data)
    at = 4 + 8 * count
    if count > MAP_LIMIT_FIELDS or at > len(data):
        return None
    sizes = unpack_from(f"<{2 * count}I", data, 4)
    parts = []
    for size in sizes:
        end = at + size
        if end >= len(data) or data[end]:
            return None
        parts.append(data[at:end])
        at = end + 1
    if at != len(data):
        return None
    return [(name.lower(), value) for name, value in zip(parts[::2], parts[1::2], strict=True)]


def clean(fields: Fields) -> Fields | None:
    """Without pseudo headers, framing and blanks around values; None for what is not fit for a wire."""
    kept = [
        (name, value.strip(b" \t"))
        for name, value in fields
        if not name.startswith(b":") and name not in _FRAMING
    ]
    if all(is_token(name) and is_field_value(value) for name, value in kept):
        return kept
    return None
