"""Heads of answers that come again, byte for byte, as those of most upstreams do within a second."""

from __future__ import annotations

from typing import Final

from edge.codec.h1.head import Framing, ResponseParse, parse_response
from edge.head import Fields, ResponseHead
from edge.model import Limits

KEPT_BYTES: Final = 1024
"""Longer heads are parsed each time."""


class LastHead:
    """The last head of one upstream connection; it never leaves it, and is used for equal bytes only."""

    __slots__ = ("_block", "_fields", "_framing", "_keep_alive", "_length", "_limits", "_method", "_status")

    def __init__(self) -> None:
        self._block = b""
        self._fields: Fields | None = None
        """None until the head has come a second time: of what never comes again nothing is copied."""
        self._method = b""
        self._limits: Limits | None = None
        self._status = 0
        self._length: int | None = None
        self._framing = Framing.NONE
        self._keep_alive = False

    def parse(self, block: bytes, method: bytes, limits: Limits) -> ResponseParse:
        """As `parse_response`."""
        if block != self._block:
            parsed = parse_response(block, method, limits)
            if len(block) <= KEPT_BYTES:
                self._block = block
                self._fields = None
            return parsed
        fields = self._fields
        if fields is not None and method == self._method and limits is self._limits:
            head = ResponseHead(self._status, fields.copy(), self._length)
            return ResponseParse(head, self._framing, self._keep_alive)
        parsed = parse_response(block, method, limits)
        head = parsed.head
        self._fields = head.fields.copy()
        self._method = method
        self._limits = limits
        self._status = head.status
        self._length = head.length
        self._framing = parsed.framing
        self._keep_alive = parsed.keep_alive
        return parsed
