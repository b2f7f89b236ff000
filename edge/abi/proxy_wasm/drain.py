"""What a driver call left in the inner host: log lines, metric changes, notes."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from edge.abi.proxy_wasm.layout import Area, Control, Flag

if TYPE_CHECKING:
    from edge.abi.proxy_wasm.context import Context
    from edge.abi.proxy_wasm.instance import Instance

_LINE: Final = Struct("<II")
_CHANGE: Final = Struct("<IIq")
_ADD, _SET = 0, 1
# Plain integers: arithmetic of IntFlag costs a microsecond.
_LOGS, _METRICS, _NOTES = int(Flag.LOGS), int(Flag.METRICS), int(Flag.NOTES)
_LOG_BYTES, _LOG_AREA = int(Control.LOG_BYTES), int(Area.LOGS)
WARN: Final = 3
_ESCAPES: Final = {
    **{code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))},
    9: "\\t",
    10: "\\n",
    13: "\\r",
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}


def escape(line: bytes) -> str:
    """One line that no terminal and no line-based log takes for anything else."""
    text = line.decode("utf-8", "replace")
    return text if text.isprintable() else text.translate(_ESCAPES)


def drain(instance: Instance, word: int, entered: Context) -> None:
    """Take what `word` announces; it belongs to the context the call entered with."""
    if word & _LOGS:
        _take_logs(instance, entered)
    if word & _METRICS:
        take_metrics(instance)
    if word & _NOTES:
        _take_notes(instance, entered)


def _take_logs(instance: Instance, entered: Context) -> None:
    at = instance.addresses[_LOG_AREA]
    ring = bytes(instance.memory[at : at + instance.control[_LOG_BYTES]])
    owner = instance.owner
    log, port = instance.services.log, entered.port
    position = 0
    while position < len(ring):
        level, size = _LINE.unpack_from(ring, position)
        position += 8 + size
        if entered.lines_left <= 0:
            owner.lines_dropped += 1
            continue
        entered.lines_left -= 1
        log(owner.name, level, escape(ring[position - size : position]), port)


def take_metrics(instance: Instance) -> None:
    """Hand metric changes to the sink; series it refused are dropped and counted."""
    control = instance.control
    at = instance.addresses[Area.METRICS]
    changes = bytes(instance.memory[at : at + 16 * control[Control.METRICS]])
    control[Control.METRICS] = 0
    sink, series = instance.services.metrics, instance.series
    for number, change, value in _CHANGE.iter_unpack(changes):
        index = number >> 2
        if index >= len(series):
            instance.owner.metrics_dropped += 1
        elif change == _ADD:
            sink.add(series[index], value)
        elif change == _SET:
            sink.set(series[index], value)
        else:
            sink.observe(series[index], value)


def _take_notes(instance: Instance, entered: Context) -> None:
    owner, control = instance.owner, instance.control
    owner.lines_dropped += control[Control.LOGS_DROPPED]
    if control[Control.LATE_EDITS]:
        text = f"{control[Control.LATE_EDITS]} edits ignored: that head or trailer had already gone on"
        instance.services.log(owner.name, WARN, text, entered.port)
