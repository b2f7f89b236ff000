"""The span of one filter in one direction: where its time went, what it decided and changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from struct import Struct
from typing import Final

from edge.chain.filter import Direction, FilterRecord
from edge.chain.passage import Passage, Shape, recorded
from edge.telemetry import attributes as attr
from edge.telemetry.protobuf import CACHED_VALUES, KEPT_BYTES, TextKey, varint
from edge.telemetry.span_frame import (
    INTERNAL,
    LOCAL_CHILD,
    SPAN_ENTRY,
    STATUS_ERROR,
    described,
    span_entry,
)
from edge.telemetry.spans import FilterInfo

EDITS_SHOWN: Final = 32
GUEST_ATTRIBUTES: Final = 32
GUEST_KEY_CHARS: Final = 64
GUEST_VALUE_BYTES: Final = 256
_S: Final = 1e-9
_IDS_AND_TIMES: Final = 18 + 10 + 10 + 18
"""Bytes of the trace id, the span id, the parent's and both times, with their tags."""
_REQUEST: Final = Direction.REQUEST
_GUEST, _HOST, _WAIT = attr.TIMES.starts

_ZERO: Final = bytes(8)
KEPT_CHAINS: Final = 128
"""Each holds some hundred bytes a filter."""

_Pack = Callable[..., bytes]


class _Templates(dict[tuple[object, ...], tuple[bytes, _Pack, bytes]]):
    """Of spans that are the same but for ids and times: the beginning, how to pack the middle, the rest."""

    def made(
        self, key: tuple[object, ...], record: FilterRecord, info: FilterInfo | None
    ) -> tuple[bytes, _Pack, bytes]:
        """Bounded: strangers choose some of what filters count."""
        rest = _fixed(record, info)
        first = SPAN_ENTRY + varint(_IDS_AND_TIMES + attr.TIMES.size + len(rest)) + b"\x0a\x10"
        pack = Struct(f"<{len(first)}s16s2s8s2s8sBQBQ{attr.TIMES.form}").pack
        if len(self) >= CACHED_VALUES:
            self.clear()
        self[key] = template = (first, pack, rest)
        return template


_templates: Final = _Templates()


_Passed = tuple[_Pack, tuple[bytes, ...]]


class _Packed(dict[tuple[object, ...], _Passed]):
    """Of the spans of one or more filters that let a head pass: how to pack them, what is in between."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def made(
        self, key: tuple[object, ...], shapes: Sequence[Shape], filters: tuple[FilterInfo, ...]
    ) -> _Passed:
        """Bounded: strangers choose some of what filters count. What is long is not kept."""
        pieces = []
        rest = form = b""
        for shape in shapes:
            (record,) = recorded([(shape, 0, 0)])
            info = filters[record.position] if record.position < len(filters) else None
            fixed = b"%b%b%b%b%b" % (_HOST, _ZERO, _WAIT, _ZERO, _fixed(record, info))
            size = varint(_IDS_AND_TIMES + len(_GUEST) + 8 + len(fixed))
            pieces.append(b"%b%b%b\x0a\x10" % (rest, SPAN_ENTRY, size))
            form += b"%ds18s8s11sQBQ%dsd" % (len(pieces[-1]), len(_GUEST))
            rest = fixed
        template = Struct(b"<%b%ds" % (form, len(rest))).pack, (*pieces, rest)
        if _is_short(shapes):
            if len(self) >= self._limit:
                self.clear()
            self[key] = template
        return template


def _is_short(shapes: Sequence[Shape]) -> bool:
    """Whether the names of edited fields, which strangers may choose, are worth being kept."""
    return sum(len(name) for shape in shapes for name in shape[5]) <= KEPT_BYTES


_singles: Final = _Packed(CACHED_VALUES)
_chains: Final = _Packed(KEPT_CHAINS)
_seen: Final[set[tuple[object, ...]]] = set()
"""Chains that came once: those that come again are worth a template of their own."""


def passed_spans(
    passages: Sequence[Passage],
    filters: tuple[FilterInfo, ...],
    trace_id: bytes,
    span_ids: Sequence[bytes],
    parent: bytes,
) -> bytes:
    """All entries for `passages`, at least one, of a trace without a state; as `filter_spans`."""
    trace, above = trace_id + b"\x12\x08", b"\x22\x08%b\x39" % parent
    shapes = [passage[0] for passage in passages]
    key = (filters, *shapes)
    known = _chains.get(key) or _chain(key, shapes, filters)
    if known is None:
        return b"".join(
            passed_span(passage, filters, trace, span_id, above)
            for passage, span_id in zip(passages, span_ids, strict=True)
        )
    pack, pieces = known
    values: list[object] = []
    for piece, span_id, (_, start_ns, end_ns) in zip(pieces, span_ids, passages, strict=False):
        end_ns = max(end_ns, start_ns)
        taken = (end_ns - start_ns) * _S
        values += (piece, trace, span_id, above, start_ns, 0x41, end_ns, _GUEST, taken)
    return pack(*values, pieces[-1])


def _chain(key: tuple[object, ...], shapes: list[Shape], filters: tuple[FilterInfo, ...]) -> _Passed | None:
    if key in _seen:
        _seen.discard(key)
        return _chains.made(key, shapes, filters)
    if _is_short(shapes):
        if len(_seen) >= KEPT_CHAINS:
            _seen.clear()
        _seen.add(key)
    return None


def passed_span(
    passage: Passage, filters: tuple[FilterInfo, ...], trace: bytes, span_id: bytes, above: bytes
) -> bytes:
    """One entry. `trace`, `above`: the ids, each between the tags that stand beside it."""
    shape, start_ns, end_ns = passage
    end_ns = max(end_ns, start_ns)
    key = (filters, shape)
    pack, (piece, rest) = _singles.get(key) or _singles.made(key, (shape,), filters)
    taken = (end_ns - start_ns) * _S
    return pack(piece, trace, span_id, above, start_ns, 0x41, end_ns, _GUEST, taken, rest)


def _fixed(record: FilterRecord, info: FilterInfo | None) -> bytes:
    """Name, kind and every attribute that is no time."""
    parts = [
        described(b"filter " + record.name.encode("utf-8", "replace"), INTERNAL, LOCAL_CHILD),
        attr.FILTER_NAME[record.name],
        attr.POSITION[record.position],
        attr.DIRECTION["request" if record.direction is _REQUEST else "response"],
        attr.DECISION[record.decision],
        attr.CALLS[record.calls],
        attr.HOST_CALLS[record.host_calls],
        attr.MEMORY[record.memory_bytes],
        attr.BYTES_IN[record.bytes_in],
        attr.BYTES_OUT[record.bytes_out],
    ]
    if info is not None:
        strategy = attr.FAIL_STRATEGY["FAIL_OPEN" if info.fail_open else "FAIL_CLOSE"]
        parts += (attr.DIGEST[info.digest], attr.ABI[info.abi], strategy)
        if info.version:
            parts.append(attr.VERSION[info.version])
    if record.edits:
        parts.append(attr.EDITS[tuple(record.edits[:EDITS_SHOWN])])
    return b"".join(parts)


def filter_spans(
    records: Iterable[FilterRecord | Passage],
    filters: tuple[FilterInfo, ...],
    trace_id: bytes,
    span_ids: Iterable[bytes],
    parent: bytes,
) -> list[bytes]:
    """The entries for `records`, of a trace without a state; `parent` is the server span's id."""
    entries = []
    trace, above = trace_id + b"\x12\x08", b"\x22\x08%b\x39" % parent
    for record, span_id in zip(records, span_ids, strict=False):
        if isinstance(record, tuple):
            entries.append(passed_span(record, filters, trace, span_id, above))
        else:
            entries.append(_recorded_span(record, filters, trace_id, span_id, parent))
    return entries


def _recorded_span(
    record: FilterRecord, filters: tuple[FilterInfo, ...], trace_id: bytes, span_id: bytes, parent: bytes
) -> bytes:
    position, edits = record.position, record.edits
    info = filters[position] if position < len(filters) else None
    if record.error or record.attributes or (edits and sum(map(len, edits)) > KEPT_BYTES):
        start = b"\x0a\x10%b\x12\x08%b" % (trace_id, span_id)
        return odd_filter_span(record, filters, start, parent)
    key = (
        info,
        record.name,
        position,
        record.direction is _REQUEST,
        record.decision,
        record.calls,
        record.host_calls,
        record.memory_bytes,
        record.bytes_in,
        record.bytes_out,
        *edits,
    )
    first, pack, rest = _templates.get(key) or _templates.made(key, record, info)
    start_ns, end_ns = record.start_ns, record.end_ns
    packed = pack(
        first, trace_id, b"\x12\x08", span_id, b"\x22\x08", parent,
        0x39, start_ns, 0x41, end_ns if end_ns > start_ns else start_ns,
        _GUEST, record.guest_ns * _S, _HOST, record.host_ns * _S, _WAIT, record.wait_ns * _S,
    )  # fmt: skip
    return packed + rest


def odd_filter_span(
    record: FilterRecord, filters: tuple[FilterInfo, ...], start: bytes, parent: bytes
) -> bytes:
    """The same for what is rare: errors, attributes of guests, many edits, a trace state in `start`."""
    position = record.position
    info = filters[position] if 0 <= position < len(filters) else None
    parts = [
        _fixed(record, info),
        attr.TIMES.fresh(record.guest_ns * _S, record.host_ns * _S, record.wait_ns * _S),
    ]
    if record.attributes:
        parts += _guest(record)
    if record.error:
        parts += (attr.ERROR_TYPE[record.error], STATUS_ERROR)
    return span_entry(start, parent, record.start_ns, record.end_ns, b"".join(parts))


def _guest(record: FilterRecord) -> list[bytes]:
    """What the guest set; of equal keys the last counts, as OTLP allows each only once."""
    prefix = f"edge.guest.{record.name}."
    values = {key[:GUEST_KEY_CHARS]: value for key, value in record.attributes}
    shown = islice(values.items(), GUEST_ATTRIBUTES)
    return [TextKey(prefix + key, GUEST_VALUE_BYTES).fresh(value) for key, value in shown]
