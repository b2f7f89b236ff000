"""Requests that may go no further, and what a server says that it takes. Spec: RFC 9110 §7.6.2, §10.2.1."""

from __future__ import annotations

from typing import Final

from edge.errors import BadRequest
from edge.head import Field, RequestHead

MAX_FORWARDS: Final = b"max-forwards"
ALLOW: Final[Field] = (b"allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
_OK: Final = 200
TELLS_METHODS: Final = frozenset((_OK, 405))
"""Statuses of answers of a codec's own that carry `ALLOW`."""
_DIGITS: Final = 9
_MOST: Final = 10**_DIGITS


class LastHop(BadRequest):
    """Nothing is wrong: the request has come as far as it may, so that edge answers it itself."""

    flag = ""

    def __init__(self) -> None:
        super().__init__("max-forwards: 0", _OK)


def one_hop_less(head: RequestHead, value: bytes) -> None:
    """Put `value` of max-forwards back among the fields, for OPTIONS one less; other methods ignore it.

    Raises LastHop, or BadRequest for what is no number. (TRACE is never forwarded.)
    """
    if head.method == b"OPTIONS":
        if not value.isdigit():
            raise BadRequest("malformed max-forwards")
        hops = int(value) if len(value) <= _DIGITS else _MOST
        if not hops:
            raise LastHop
        value = b"%d" % (hops - 1)
    head.fields.append((MAX_FORWARDS, value))
