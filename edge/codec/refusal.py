"""What a codec answers by itself, where no exchange does. Spec: RFC 9110 §10.2.1, §15.5.6."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from edge.head import Field, Fields, ResponseHead

ALLOW: Final[Field] = (b"allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
_TELLS_METHODS: Final = frozenset((200, 405))
"""A codec's own 200 is that of the last hop, to OPTIONS."""


def refusal(status: int) -> tuple[ResponseHead, bytes]:
    """(head, body), the same over every protocol."""
    body = b"%d %b\n" % (status, HTTPStatus(status).phrase.encode())
    fields: Fields = [(b"content-type", b"text/plain")]
    if status in _TELLS_METHODS:
        fields.append(ALLOW)
    return ResponseHead(status, fields, len(body)), body
