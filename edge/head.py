"""The only form a request or response head has inside edge, whatever protocol it came by.

Names are lower-case bytes. `fields` keeps order and duplicates and never joins values.
What frames or routes a message is not a field: `host` is `authority`, `content-length` is
`length`, `transfer-encoding`, `connection`, `keep-alive`, `proxy-connection` and `upgrade`
are gone (`upgrade` holds the protocol of an accepted upgrade). Codecs write framing anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Final

Field = tuple[bytes, bytes]
"""(lower-case name, value); both already validated against `edge.syntax`."""

Fields = list[Field]

_FLAT: Final = chain.from_iterable
_JOIN: Final = b"\0".join
_DECIMAL: Final = tuple(b"%d" % number for number in range(1000))


class _Head:
    """Fields and the operations filters and rules use on them.

    Every edit goes through a method here, or the caller drops the cached guest encoding
    itself with `touch()`.
    """

    __slots__ = ("_encoded", "fields", "length")

    fields: Fields
    _encoded: tuple[bytes, int] | None
    length: int | None
    """Value of content-length, None when there was none (no body, chunked, or unknown)."""

    def get(self, name: bytes) -> bytes | None:
        """First value of `name` (lower case), or None."""
        for field_name, value in self.fields:
            if field_name == name:
                return value
        return None

    def get_all(self, name: bytes) -> list[bytes]:
        """All values of `name` (lower case) in order."""
        return [value for field_name, value in self.fields if field_name == name]

    def add(self, name: bytes, value: bytes) -> None:
        """Append one field. The caller has validated both."""
        self.fields.append((name, value))
        self._encoded = None

    def extend(self, added: Fields, encoded: bytes) -> None:
        """Append fields whose guest encoding (as in `encoded`, without a NUL at either end) is known."""
        self.fields.extend(added)
        cached = self._encoded
        if cached is not None:
            self._encoded = (cached[0] + b"\0" + encoded, cached[1] + len(added))

    def set(self, name: bytes, value: bytes) -> None:
        """Replace the first `name` by `value` and drop the others; append if there was none."""
        fields = self.fields
        for index, (field_name, _) in enumerate(fields):
            if field_name == name:
                fields[index + 1 :] = [f for f in fields[index + 1 :] if f[0] != name]
                fields[index] = (name, value)
                break
        else:
            fields.append((name, value))
        self._encoded = None

    def remove(self, name: bytes) -> None:
        """Drop every `name`."""
        self.fields = [f for f in self.fields if f[0] != name]
        self._encoded = None

    def touch(self) -> None:
        """Forget the cached guest encoding after a direct edit of `fields`."""
        self._encoded = None


REPEAT_BYTES: Final = 4 << 10
"""Of a head that a connection keeps: thousands of idle connections must stay cheap."""


class Known:
    """Fields with which heads of one connection begin again and again, and what was made of them.

    At least one. Whoever uses it compares first: a head may have been edited since.
    """

    __slots__ = ("count", "encoded", "fields", "lines")

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.count = len(fields)
        self.lines = b""
        """As HTTP/1 says them; empty until they are needed, as `encoded`."""
        self.encoded = b""


class RequestHead(_Head):
    """Method, scheme, authority and path as bytes, the fields, and what the codec learnt.

    `path` is canonical (see `edge.syntax.canonical_path`) and includes the query.
    `protocol` is the downstream version, `HTTP/1.0` .. `HTTP/3`. `upgrade` is the protocol
    token of an accepted `Upgrade` (lower case), else None. `expect_continue` says that the
    client waits for a 100.
    """

    __slots__ = ("authority", "expect_continue", "known", "method", "path", "protocol", "scheme", "upgrade")

    def __init__(
        self,
        method: bytes,
        scheme: bytes,
        authority: bytes,
        path: bytes,
        fields: Fields,
        length: int | None = None,
        protocol: str = "HTTP/1.1",
        upgrade: bytes | None = None,
        expect_continue: bool = False,
    ) -> None:
        self.method = method
        self.scheme = scheme
        self.authority = authority
        self.path = path
        self.fields = fields
        self.length = length
        self.protocol = protocol
        self.upgrade = upgrade
        self.expect_continue = expect_continue
        self.known: Known | None = None
        self._encoded = None

    def encoded(self) -> tuple[bytes, int]:
        """`name NUL value NUL name NUL value` without a last NUL, and the number of pairs.

        Pseudo headers come first, then `content-length` if there is one, then the fields.
        This is what guests see, before any transcoding.
        """
        cached = self._encoded
        if cached is not None:
            return cached
        parts = [b":method", self.method, b":path", self.path]
        parts += (b":scheme", self.scheme, b":authority", self.authority)
        if self.length is not None:
            parts += (b"content-length", b"%d" % self.length)
        count = (len(parts) >> 1) + len(self.fields)
        known = self.known
        if known is not None and self.fields[: known.count] == known.fields:
            if not known.encoded:
                known.encoded = _JOIN(_FLAT(known.fields))
            parts.append(known.encoded)
            parts += _FLAT(self.fields[known.count :])
        else:
            parts += _FLAT(self.fields)
        self._encoded = result = (_JOIN(parts), count)
        return result


class ResponseHead(_Head):
    """Status 100..599 and the fields."""

    __slots__ = ("status",)

    def __init__(self, status: int, fields: Fields, length: int | None = None) -> None:
        self.status = status
        self.fields = fields
        self.length = length
        self._encoded = None

    def encoded(self) -> tuple[bytes, int]:
        """As `RequestHead.encoded`, with `:status` as the only pseudo header."""
        cached = self._encoded
        if cached is not None:
            return cached
        parts = [b":status", _DECIMAL[self.status]]
        length = self.length
        if length is not None:
            parts += (b"content-length", _DECIMAL[length] if length < 1000 else b"%d" % length)
        parts += _FLAT(self.fields)
        self._encoded = result = (_JOIN(parts), len(parts) >> 1)
        return result


def encode_fields(fields: Iterable[Field]) -> tuple[bytes, int]:
    """Trailers and callout heads for guests: pairs as in `encoded`, and their number."""
    listed = list(fields)
    return _JOIN(_FLAT(listed)), len(listed)
