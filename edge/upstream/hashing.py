"""What of a request a hashing balancer looks at, and the cookie that edge sets for it."""

from __future__ import annotations

from collections.abc import Callable
from os import urandom
from typing import Final

from edge import model
from edge.exchange.seams import ExchangeResponse
from edge.head import Field, RequestHead
from edge.upstream.maglev import hash_bytes

COOKIE_BYTES: Final = 8
Subject = Callable[[ExchangeResponse, RequestHead], bytes]
"""The bytes that are hashed; empty = the request has none, and any endpoint will do."""


class Hashing:
    """Of one cluster. `fresh(size)` gives random bytes."""

    __slots__ = ("_attributes", "_fresh", "_name", "_sets", "subject")

    def __init__(self, balancing: model.Balancing, fresh: Callable[[int], bytes] = urandom) -> None:
        self.subject = _subject(balancing)
        self._name = balancing.name
        self._sets = balancing.hash_on == "cookie" and balancing.cookie_ttl_s is not None
        ttl_s = balancing.cookie_ttl_s
        self._attributes = (b"; Max-Age=%d" % ttl_s if ttl_s else b"") + balancing.cookie_attributes
        self._fresh = fresh

    def key(self, receiver: ExchangeResponse, head: RequestHead) -> tuple[int, Field | None]:
        """The key of a request, and the field that tells its client the cookie it has now."""
        found = self.subject(receiver, head)
        if found:
            return hash_bytes(found), None
        if not self._sets:
            return int.from_bytes(self._fresh(COOKIE_BYTES), "little"), None
        value = self._fresh(COOKIE_BYTES).hex().encode()
        secure = b"; Secure" if head.scheme == b"https" else b""
        cookie = b"%b=%b%b%b" % (self._name, value, self._attributes, secure)
        return hash_bytes(value), (b"set-cookie", cookie)


def _subject(balancing: model.Balancing) -> Subject:
    name = balancing.name
    if balancing.hash_on == "header":
        return lambda receiver, head: head.get(name) or b""
    if balancing.hash_on == "cookie":
        return lambda receiver, head: _cookie(head, name)
    if balancing.hash_on == "query":
        return lambda receiver, head: _parameter(head.path, name)
    return _source


def _source(receiver: ExchangeResponse, head: RequestHead) -> bytes:
    """The client's address. Callouts of filters have no client."""
    connection = getattr(receiver, "connection", None)
    return connection.peer[0].encode() if connection is not None else b""


def _cookie(head: RequestHead, name: bytes) -> bytes:
    for field, value in head.fields:
        if field == b"cookie":
            for pair in value.split(b";"):
                key, _, found = pair.strip().partition(b"=")
                if key == name:
                    return found
    return b""


def _parameter(path: bytes, name: bytes) -> bytes:
    """The first parameter of that name, as it was written."""
    for pair in path.partition(b"?")[2].split(b"&"):
        key, _, value = pair.partition(b"=")
        if key == name:
            return value
    return b""
