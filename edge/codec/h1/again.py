"""Heads of answers that come again, byte for byte, as those of most upstreams do within a second."""

from __future__ import annotations

from typing import Final

from edge.codec.h1.head import Framing, ResponseParse, parse_response
from edge.head import Fields, ResponseHead
from edge.model import Limits

KEPT_BYTES: Final = 1024
"""Longer heads are parsed each time."""

_END: Final = b"\r\n\r\n"
_FIRST_FINAL: Final = 200


class LastHead:
    """The last head of one upstream connection; it never leaves it, and is used for equal bytes only."""

    __slots__ = (
        "_block",
        "_fields",
        "_final",
        "_length",
        "_limits",
        "_method",
        "_status",
        "framing",
        "keep_alive",
        "size",
    )

    def __init__(self) -> None:
        self._block = b""
        self._fields: Fields | None = None
        """None until the head has come a second time: of what never comes again nothing is copied."""
        self._method = b""
        self._limits: Limits | None = None
        self._status = 0
        self._length: int | None = None
        self._final = b""
        """The head with its end, where it is no 1xx and has come a second time."""
        self.size = 0
        """Of `_final`."""
        self.framing = Framing.NONE
        self.keep_alive = False

    def again(self, data: bytes, method: bytes, limits: Limits) -> ResponseHead | None:
        """The final head with which `data` begins, if it is the last one; attributes say the rest."""
        final = self._final
        if final and data.startswith(final) and method == self._method and limits is self._limits:
            return ResponseHead(self._status, self._fields.copy(), self._length)  # type: ignore[union-attr]
        return None

    def parse(self, block: bytes, method: bytes, limits: Limits) -> ResponseParse:
        """As `parse_response`."""
        if block != self._block:
            parsed = parse_response(block, method, limits)
            if len(block) <= KEPT_BYTES:
                self._block = block
                self._fields = None
                self._final = b""
            return parsed
        fields = self._fields
        if fields is not None and method == self._method and limits is self._limits:
            head = ResponseHead(self._status, fields.copy(), self._length)
            return ResponseParse(head, self.framing, self.keep_alive)
        parsed = parse_response(block, method, limits)
        head = parsed.head
        self._fields = head.fields.copy()
        self._method = method
        self._limits = limits
        self._status = head.status
        self._length = head.length
        self.framing = parsed.framing
        self.keep_alive = parsed.keep_alive
        if head.status >= _FIRST_FINAL:
            self._final = block + _END
            self.size = len(self._final)
        return parsed
