"""Ways an exchange leaves its course: what a filter or the chain decided, before it is carried out."""

from __future__ import annotations

from typing import Final

from edge.chain.filter import LocalReply
from edge.errors import EdgeError, Source
from edge.head import ResponseHead

ALL: Final = -1
"""`before`: the reply passes every filter whose request head ran."""

_FRAMING: Final = frozenset(
    (b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"proxy-connection", b"upgrade")
)
_BODILESS: Final = frozenset((204, 304))


class Replied:
    """`reply` wins. It passes the filters at positions below `before`, backwards."""

    __slots__ = ("before", "reply")

    def __init__(self, reply: LocalReply, before: int) -> None:
        self.reply = reply
        self.before = before


class Failed:
    """`error` ends the exchange: a reply with its status while the head is not out, else a reset."""

    __slots__ = ("before", "error", "name")

    def __init__(self, error: EdgeError, before: int, name: str) -> None:
        self.error = error
        self.before = before
        self.name = name

    def reply(self) -> LocalReply:
        """What the client gets to see: the status, never the detail."""
        error = self.error
        text = b"filter failed\n" if error.source is Source.FILTER else b"not available\n"
        fields = [(b"content-type", b"text/plain")]
        return LocalReply(error.status, fields, text, error.detail, error.source.value, self.name)


class Reset:
    """Both sides are reset."""

    __slots__ = ("error",)

    def __init__(self, error: EdgeError) -> None:
        self.error = error


Verdict = Replied | Failed | Reset


def message_of(reply: LocalReply) -> tuple[ResponseHead, bytes]:
    """Head and body of a reply. Framing is not a filter's to set; 204 and 304 have no body."""
    fields = [field for field in reply.fields if field[0] not in _FRAMING]
    if reply.status in _BODILESS:
        return ResponseHead(reply.status, fields), b""
    return ResponseHead(reply.status, fields, len(reply.body)), reply.body
