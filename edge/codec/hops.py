"""Requests that may go no further. Spec: RFC 9110 §7.6.2."""

from __future__ import annotations

from typing import Final

from edge.errors import BadRequest
from edge.head import RequestHead

MAX_FORWARDS: Final = b"max-forwards"
_DIGITS: Final = 9
_MOST: Final = 10**_DIGITS


class LastHop(BadRequest):
    """Nothing is wrong: the request has come as far as it may, so that edge answers it itself."""

    flag = ""

    def __init__(self) -> None:
        super().__init__("max-forwards: 0", 200)


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
