"""The span of one filter in one direction: where its time went, what it decided and changed."""

from __future__ import annotations

from itertools import islice
from typing import Final

from edge.chain.filter import Direction, FilterRecord
from edge.telemetry import attributes as attr
from edge.telemetry.protobuf import Kept, TextKey
from edge.telemetry.span_frame import INTERNAL, LOCAL_CHILD, STATUS_ERROR, name_field, span_entry
from edge.telemetry.spans import FilterInfo

EDITS_SHOWN: Final = 32
GUEST_ATTRIBUTES: Final = 32
GUEST_KEY_CHARS: Final = 64
GUEST_VALUE_BYTES: Final = 256
_S: Final = 1e-9

_Place = tuple[str, int, Direction, FilterInfo | None]


def _place(place: _Place) -> bytes:
    """What is the same for all spans of a filter at its place in a chain."""
    name, position, direction, info = place
    encoded = attr.FILTER_NAME[name] + attr.POSITION[position]
    encoded += attr.DIRECTION["request" if direction is Direction.REQUEST else "response"]
    if info is None:
        return encoded
    encoded += attr.DIGEST[info.digest] + attr.ABI[info.abi]
    encoded += attr.FAIL_STRATEGY["FAIL_OPEN" if info.fail_open else "FAIL_CLOSE"]
    return encoded + attr.VERSION[info.version] if info.version else encoded


_PLACES: Final = Kept(_place)
_NAMES: Final[Kept[str]] = Kept(lambda name: name_field(b"filter " + name.encode("utf-8", "replace")))


def filter_span(record: FilterRecord, filters: tuple[FilterInfo, ...], start: bytes, parent: bytes) -> bytes:
    """The entry for `record`; `start` as `span_entry` wants it, `parent` the server span's id."""
    position = record.position
    info = filters[position] if 0 <= position < len(filters) else None
    parts = [
        _PLACES[record.name, position, record.direction, info],
        attr.DECISION[record.decision],
        attr.CALLS[record.calls],
        attr.HOST_CALLS[record.host_calls],
        attr.TIMES.fresh(record.guest_ns * _S, record.host_ns * _S, record.wait_ns * _S),
        attr.MEMORY[record.memory_bytes],
        attr.BYTES_IN[record.bytes_in],
        attr.BYTES_OUT[record.bytes_out],
    ]
    if record.edits:
        parts.append(attr.EDITS[tuple(record.edits[:EDITS_SHOWN])])
    if record.attributes:
        parts += _guest(record)
    if record.error:
        parts += (attr.ERROR_TYPE[record.error], STATUS_ERROR)
    body = b"".join(parts)
    name = _NAMES[record.name]
    return span_entry(start, parent, name, INTERNAL, record.start_ns, record.end_ns, LOCAL_CHILD, body)


def _guest(record: FilterRecord) -> list[bytes]:
    """What the guest set; of equal keys the last counts, as OTLP allows each only once."""
    prefix = f"edge.guest.{record.name}."
    values = {key[:GUEST_KEY_CHARS]: value for key, value in record.attributes}
    shown = islice(values.items(), GUEST_ATTRIBUTES)
    return [TextKey(prefix + key, GUEST_VALUE_BYTES).fresh(value) for key, value in shown]
