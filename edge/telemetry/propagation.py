"""Trace context in header fields: W3C, B3 and Jaeger, read in a configured order.

Most requests carry no context at all, so the way that finds nothing is the one kept cheap.
"""

from __future__ import annotations

from binascii import Error, hexlify, unhexlify
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Final

from edge.head import Fields, RequestHead

_NAME: Final = itemgetter(0)
_ZERO_TRACE: Final = bytes(16)
_ZERO_SPAN: Final = bytes(8)

_HEADERS: Final[dict[str, tuple[bytes, ...]]] = {
    "w3c": (b"traceparent", b"tracestate"),
    "b3": (b"b3", b"x-b3-traceid", b"x-b3-spanid", b"x-b3-sampled", b"x-b3-flags", b"x-b3-parentspanid"),
    "b3multi": (b"b3", b"x-b3-traceid", b"x-b3-spanid", b"x-b3-sampled", b"x-b3-flags", b"x-b3-parentspanid"),
    "jaeger": (b"uber-trace-id",),
}

TRACESTATE_LIMIT_BYTES: Final = 4096
"""Longer vendor state is dropped whole; W3C asks for at least 512 to be carried on."""

_TRACEPARENT_BYTES: Final = 55
_JAEGER_LIMIT_BYTES: Final = 128
_B3_LIMIT_BYTES: Final = 128
_SAMPLED: Final = 1
_JAEGER_SAMPLED_OR_DEBUG: Final = 3
_DASH: Final = ord("-")


class Parent:
    """The caller's span. `sampled` None = the caller leaves the decision to us (B3 only)."""

    __slots__ = ("sampled", "span_id", "trace_id", "tracestate")

    def __init__(
        self, trace_id: bytes, span_id: bytes, sampled: bool | None, tracestate: bytes = b""
    ) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.sampled = sampled
        self.tracestate = tracestate


Found = dict[bytes, list[bytes]]


def parse_traceparent(value: bytes) -> Parent | None:
    """None when malformed. Spec: W3C Trace Context §3.2 (lower-case hex; later versions may be longer)."""
    if len(value) != _TRACEPARENT_BYTES and (
        len(value) < _TRACEPARENT_BYTES or value[:2] == b"00" or value[_TRACEPARENT_BYTES] != _DASH
    ):
        return None
    if value[2] != _DASH or value[35] != _DASH or value[52] != _DASH or value[:2] == b"ff":
        return None
    try:
        unhexlify(value[:2])
        trace_id = unhexlify(value[3:35])
        span_id = unhexlify(value[36:52])
        flags = unhexlify(value[53:55])[0]
    except Error:
        return None
    if trace_id == _ZERO_TRACE or span_id == _ZERO_SPAN or value[:55].lower() != value[:55]:
        return None
    return Parent(trace_id, span_id, flags & _SAMPLED == _SAMPLED)


def _w3c(found: Found) -> Parent | None:
    values = found.get(b"traceparent")
    if values is None or len(values) != 1:
        return None
    parent = parse_traceparent(values[0])
    if parent is not None:
        state = b",".join(found.get(b"tracestate", ()))
        parent.tracestate = state if len(state) <= TRACESTATE_LIMIT_BYTES else b""
    return parent


def _identifier(text: bytes, size: int, lengths: Sequence[int] | None) -> bytes | None:
    """`size` bytes from hex, zero-filled on the left; None when malformed or all zero."""
    digits = 2 * size
    if not 0 < len(text) <= digits or (lengths is not None and len(text) not in lengths):
        return None
    try:
        raw = unhexlify(text.rjust(digits, b"0"))
    except Error:
        return None
    return raw if raw.strip(b"\0") else None


def _b3_sampled(sampled: bytes, debug: bytes = b"") -> bool | None:
    if debug == b"1" or sampled in (b"1", b"d", b"true"):
        return True
    return False if sampled in (b"0", b"false") else None


def _b3(found: Found) -> Parent | None:
    """Single header first, then the multiple form. Spec: openzipkin/b3-propagation.

    A bare decision (`b3: 0`) names no span, so it is no parent: the sampler decides.
    """
    single = found.get(b"b3")
    if single is not None:
        parts = single[0][:_B3_LIMIT_BYTES].split(b"-")
        if len(parts) < 2:
            return None
        trace_text, span_text = parts[0], parts[1]
        sampled = _b3_sampled(parts[2] if len(parts) > 2 else b"")
    else:
        trace_text = found.get(b"x-b3-traceid", [b""])[0]
        span_text = found.get(b"x-b3-spanid", [b""])[0]
        sampled = _b3_sampled(found.get(b"x-b3-sampled", [b""])[0], found.get(b"x-b3-flags", [b""])[0])
    trace_id = _identifier(trace_text, 16, (16, 32))
    span_id = _identifier(span_text, 8, (16,))
    if trace_id is None or span_id is None:
        return None
    return Parent(trace_id, span_id, sampled)


def _jaeger(found: Found) -> Parent | None:
    """`trace:span:parent:flags`, leading zeros may be missing, `:` may be percent-encoded."""
    values = found.get(b"uber-trace-id")
    if values is None or len(values[0]) > _JAEGER_LIMIT_BYTES:
        return None
    parts = values[0].replace(b"%3A", b":").replace(b"%3a", b":").split(b":")
    if len(parts) != 4:
        return None
    trace_id = _identifier(parts[0], 16, None)
    span_id = _identifier(parts[1], 8, None)
    flags = _flags(parts[3])
    if trace_id is None or span_id is None or flags is None:
        return None
    return Parent(trace_id, span_id, flags & _JAEGER_SAMPLED_OR_DEBUG != 0)


def _flags(text: bytes) -> int | None:
    try:
        return unhexlify(text.rjust(2, b"0"))[0] if len(text) in (1, 2) else None
    except Error:
        return None


_READERS: Final[dict[str, Callable[[Found], Parent | None]]] = {
    "w3c": _w3c,
    "b3": _b3,
    "b3multi": _b3,
    "jaeger": _jaeger,
}


def _write_w3c(trace: bytes, span: bytes, sampled: bool) -> Fields:
    return [(b"traceparent", b"00-%b-%b-0%d" % (trace, span, sampled))]


def _write_b3(trace: bytes, span: bytes, sampled: bool) -> Fields:
    return [(b"b3", b"%b-%b-%d" % (trace, span, sampled))]


def _write_b3multi(trace: bytes, span: bytes, sampled: bool) -> Fields:
    return [(b"x-b3-traceid", trace), (b"x-b3-spanid", span), (b"x-b3-sampled", b"%d" % sampled)]


def _write_jaeger(trace: bytes, span: bytes, sampled: bool) -> Fields:
    return [(b"uber-trace-id", b"%b:%b:0:%d" % (trace, span, sampled))]


_WRITERS: Final[dict[str, Callable[[bytes, bytes, bool], Fields]]] = {
    "w3c": _write_w3c,
    "b3": _write_b3,
    "b3multi": _write_b3multi,
    "jaeger": _write_jaeger,
}


class Propagation:
    """Reads and writes trace context as configured; shared by all exchanges of a revision.

    `extract` and `inject` hold the words w3c, b3, b3multi, jaeger; ValueError for another word.
    `clear` holds these words or header names: such fields never reach the upstream.
    """

    def __init__(self, extract: Sequence[str], inject: Sequence[str], clear: Sequence[str] = ()) -> None:
        for word in (*extract, *inject):
            if word not in _HEADERS:
                raise ValueError(f"unknown propagation format {word!r} (known: {', '.join(_HEADERS)})")
        self._readers = [_READERS[word] for word in extract]
        self._writers = [_WRITERS[word] for word in inject]
        self._only_w3c = list(inject) == ["w3c"]
        self._read_names = frozenset(name for word in extract for name in _HEADERS[word])
        cleared = {name for word in clear for name in _HEADERS.get(word, (word.lower().encode(),))}
        written = {name for word in inject for name in _HEADERS[word]} - {b"tracestate"}
        self._dropped = frozenset(cleared | written)
        self._touched = self._dropped | {b"tracestate"}

    def extract(self, fields: Fields) -> Parent | None:
        """The first format of the order that holds a well-formed context, else None."""
        names = self._read_names
        if names.isdisjoint(map(_NAME, fields)):
            return None
        found: Found = {}
        for name, value in fields:
            if name in names:
                found.setdefault(name, []).append(value)
        for reader in self._readers:
            parent = reader(found)
            if parent is not None:
                return parent
        return None

    def carried(self, head: RequestHead) -> bool:
        """Whether anything in `head` tells of a trace; a rule may have removed what was injected."""
        return not self._touched.isdisjoint(map(_NAME, head.fields))

    def inject(
        self, head: RequestHead, trace_id: bytes, span_id: bytes, sampled: bool, tracestate: bytes = b""
    ) -> None:
        """Replace the context in `head` by ours.

        `tracestate` is the parent's; what the request carried without a valid parent is dropped.
        """
        fields = head.fields
        if not self._touched.isdisjoint(map(_NAME, fields)):
            dropped = self._dropped if tracestate and b"tracestate" not in self._dropped else self._touched
            head.fields = fields = [field for field in fields if field[0] not in dropped]
        trace, span = hexlify(trace_id), hexlify(span_id)
        if self._only_w3c:
            fields.append((b"traceparent", b"00-%b-%b-0%d" % (trace, span, sampled)))
        else:
            for writer in self._writers:
                fields += writer(trace, span, sampled)
        head.touch()
