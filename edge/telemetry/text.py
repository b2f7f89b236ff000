"""Bytes of strangers as JSON text: nothing in a line may end it, colour it or forge another."""

from __future__ import annotations

import json
from typing import Final

PLAIN: Final = bytes(code for code in range(0x20, 0x7F) if code not in b'"\\')
"""Bytes that stand for themselves in a JSON string."""

TEXT_LIMIT_BYTES: Final = 4096
"""Longer values are cut in logs."""


def json_inner(value: bytes) -> bytes:
    """What stands between the quotes of a JSON string; bytes that are not UTF-8 show as `\\\\xNN`."""
    if not value.translate(None, PLAIN):
        return value
    return json.dumps(value.decode("utf-8", "backslashreplace")).replace("\x7f", "\\u007f")[1:-1].encode()


def json_string(value: str) -> bytes:
    """A quoted JSON string of printable characters."""
    return b'"%b"' % json_inner(value.encode("utf-8", "backslashreplace"))
