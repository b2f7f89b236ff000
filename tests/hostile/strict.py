"""A strict reader of the HTTP/1.1 requests that a gateway sends: it takes nothing that a second reader
could take for something else, however well others would cope with it.

It shares no code and no pattern with edge. Sans-io: whoever owns the connection feeds it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv6Address
from typing import Final

Pairs = list[tuple[bytes, bytes]]

LOG_BYTES: Final = 4096
"""As much of what came last is kept and shown with a fault."""
_MOST_HEAD_BYTES: Final = 1 << 18
_MOST_PORT: Final = 65535
_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9a-z-]+"
"""In lower case, as edge writes names."""

_stray: Final = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|[\0-\x08\x0b\x0c\x0e-\x1f\x7f]").search
_request_line: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/1\.1").fullmatch
_field: Final = re.compile(rb"(" + _TOKEN + rb"): ((?:[!-~\x80-\xff][\t -~\x80-\xff]*)?)").fullmatch
# RFC 3986's pchar and the four that browsers send unescaped; of a query everything visible but `#`.
_target: Final = re.compile(
    rb"(/(?:[A-Za-z0-9._~!$&'()*+,;=:@/|^\[\]-]|%[0-9A-F]{2})*)(?:\?[!\"$-~]*)?"
).fullmatch
_escape: Final = re.compile(rb"%(..)").findall
_needless: Final = re.compile(rb"[A-Za-z0-9._~/\\\0-\x1f\x7f-]").fullmatch
_overlong: Final = re.compile(rb"%(?:C[01]|F[89A-F])%[89AB]|%E0%[89]|%F0%8").search
_dots: Final = re.compile(rb"\.\.?(?:(?:;|%3B).*)?").fullmatch
_host: Final = re.compile(
    rb"(?:[a-z0-9_-][a-z0-9._-]*(?<!\.)|\[([0-9a-f:.]+)\])(?::(0|[1-9][0-9]{0,4}))?"
).fullmatch
_chunk_size: Final = re.compile(rb"0|[1-9a-f][0-9a-f]{0,14}").fullmatch
_length: Final = re.compile(rb"0|[1-9][0-9]{0,17}").fullmatch
_protocol: Final = re.compile(rb"(?!h2|http|tls)" + _TOKEN + rb"(?:/" + _TOKEN + rb")?").fullmatch

_FRAMING: Final = {
    b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"expect", b"te",
}  # fmt: skip
_NEVER: Final = {b"keep-alive", b"proxy-connection", b"http2-settings"}
_SINGLE: Final = _FRAMING - {b"connection"} | {
    b"authorization", b"proxy-authorization", b"content-type", b"origin", b"max-forwards",
    b"if-modified-since", b"if-unmodified-since",
}  # fmt: skip
_NOT_IN_TRAILERS: Final = _SINGLE | _NEVER | {
    b"connection", b"trailer", b"cookie", b"range", b"if-match", b"if-none-match", b"if-range",
    b"content-encoding", b"content-range", b"cache-control", b"traceparent", b"tracestate", b"x-request-id",
    b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-client-cert", b"forwarded",
}  # fmt: skip


class Malformed(Exception):
    """What upstream saw is no request that a gateway may send."""


@dataclass(slots=True)
class Arrived:
    """A request whose head came; `complete` when its end came too."""

    method: bytes = b""
    target: bytes = b""
    fields: Pairs = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    trailers: Pairs = field(default_factory=list)
    complete: bool = False


def _require(true: object, reason: str) -> None:
    if not true:
        raise Malformed(reason)


class StrictReader:
    """One connection's requests. The next may begin when the one before was `answered`."""

    def __init__(self) -> None:
        self.requests: list[Arrived] = []
        self.log = b""
        """The last bytes that came."""
        self._held = b""
        self._left = 0
        self._step: Callable[[], bool] = self._head

    @property
    def pending(self) -> bytes:
        """What came of a line or chunk that has not ended."""
        return self._held

    def feed(self, data: bytes) -> None:
        """Bytes in any pieces. Raises Malformed, with the bytes, at the first that is wrong."""
        self.log = (self.log + data)[-LOG_BYTES:]
        self._held += data
        try:
            while self._held and self._step():
                pass
        except Malformed as fault:
            raise Malformed(f"{fault}: {self.log!r}") from None

    def answered(self) -> None:
        """The response was sent."""
        assert self.requests[-1].complete
        self._step = self._head

    def _upto(self, end: bytes) -> bytes | None:
        """What comes before `end`, None while that is not here; a stray byte is not waited out."""
        block, found, rest = self._held.partition(end)
        _require(_stray(block) is None, "stray CR, LF or control byte")
        _require(len(block) <= _MOST_HEAD_BYTES, "endless line")
        if not found:
            return None
        self._held = rest
        return block

    def _head(self) -> bool:
        block = self._upto(b"\r\n\r\n")
        if block is None:
            return False
        first, *lines = block.split(b"\r\n")
        line = _request_line(first)
        if line is None:
            raise Malformed("request line")
        request = Arrived(line[1], line[2], list(map(_pair, lines)))
        _check_target(request.method, request.target)
        framing = _framing(request.fields)
        self.requests.append(request)
        if framing == b"chunked":
            self._step = self._size
        else:
            self._left = int(framing)
            self._step = self._body
            if not self._left:
                self._end()
        return True

    def _body(self) -> bool:
        piece, self._held = self._held[: self._left], self._held[self._left :]
        self.requests[-1].body += piece
        self._left -= len(piece)
        if not self._left:
            self._end()
        return True

    def _size(self) -> bool:
        line = self._upto(b"\r\n")
        if line is None:
            return False
        _require(_chunk_size(line), "chunk size")
        self._left = int(line, 16)
        self._step = self._chunk if self._left else self._trailer
        return True

    def _chunk(self) -> bool:
        size = self._left
        ending = self._held[size : size + 2]
        _require(b"\r\n".startswith(ending), "end of a chunk")
        if len(ending) < 2:
            return False
        self.requests[-1].body += self._held[:size]
        self._held = self._held[size + 2 :]
        self._step = self._size
        return True

    def _trailer(self) -> bool:
        line = self._upto(b"\r\n")
        if line is None:
            return False
        if line:
            pair = _pair(line)
            _require(pair[0].replace(b"_", b"-") not in _NOT_IN_TRAILERS, "field in trailers")
            self.requests[-1].trailers.append(pair)
        else:
            self._end()
        return True

    def _end(self) -> None:
        self.requests[-1].complete = True
        self._step = self._more

    def _more(self) -> bool:
        raise Malformed("bytes after the end of a request")


def _pair(line: bytes) -> tuple[bytes, bytes]:
    found = _field(line)
    if found is None or found[2].endswith((b" ", b"\t")):
        raise Malformed("field line")
    return found[1], found[2]


def _check_target(method: bytes, target: bytes) -> None:
    """Origin-form in its one canonical spelling, or `*` of OPTIONS."""
    _require(method not in (b"CONNECT", b"TRACE"), "method")
    if (method, target) == (b"OPTIONS", b"*"):
        return
    found = _target(target)
    if found is None:
        raise Malformed("target")
    *segments, last = found[1].split(b"/")[1:]
    _require(b"" not in segments and not any(map(_dots, (*segments, last))), "target not canonical")
    escaped = [bytes.fromhex(digits.decode()) for digits in _escape(found[1])]
    _require(not any(map(_needless, escaped)), "target not canonical")
    _require(not _overlong(found[1]), "target of overlong UTF-8")


def _framing(fields: Pairs) -> bytes:
    """How the body ends: `chunked`, or its length in digits."""
    names = [name for name, _ in fields]
    said = dict(fields)
    for name in names:
        known = name.replace(b"_", b"-")
        _require(known == name or known not in _FRAMING | _NEVER, "underscored framing")
        _require(name not in _NEVER, "field of one connection")
        _require(name not in _SINGLE or names.count(name) == 1, "field twice")
    _check_host(said.get(b"host", b""))
    _check_connection(fields)
    length, coding = said.get(b"content-length"), said.get(b"transfer-encoding")
    _require(length is None or coding is None, "length and coding")
    _require(coding in (None, b"chunked"), "coding")
    _require(length is None or _length(length), "length")
    framing = coding or length or b"0"
    _require(b"upgrade" not in said or framing == b"0", "upgrade with a body")
    expected = said.get(b"expect")
    _require(expected is None or (expected == b"100-continue" and framing != b"0"), "expectation")
    return framing


def _check_host(host: bytes) -> None:
    found = _host(host)
    if found is None or b".." in host or int(found[2] or 0) > _MOST_PORT:
        raise Malformed("host")
    try:
        IPv6Address((found[1] or b"::").decode())
    except AddressValueError:
        raise Malformed("host") from None


def _check_connection(fields: Pairs) -> None:
    """Only `te` and `upgrade` are named, each with its own field."""
    said = dict(fields)
    named = sorted(value for name, value in fields if name == b"connection")
    _require(named == [name for name in (b"te", b"upgrade") if name in said], "connection")
    _require(said.get(b"te", b"trailers") == b"trailers", "te")
    _require(_protocol(said.get(b"upgrade", b"x")), "upgrade")
