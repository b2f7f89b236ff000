"""The one narrow callback: what the inner host asks of the world, by number.

Arguments of the guest have been copied into the inner host's memory before; nothing here sees the
guest's memory. Whatever acts on an exchange is noted and carried out after the driver call.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from edge.abi.proxy_wasm import callouts, drain
from edge.abi.proxy_wasm.layout import (
    MAP_LIMIT_BYTES,
    NONE,
    SERIES_LIMIT,
    WINDOW_BYTES,
    WORD,
    Area,
    Buffer,
    Control,
    Map,
    Status,
    World,
)
from edge.abi.proxy_wasm.pairs import clean, parse
from edge.chain.filter import LocalReply
from edge.wasm.host_function import HostFunction

if TYPE_CHECKING:
    from edge.abi.proxy_wasm.cell import Cell
    from edge.abi.proxy_wasm.instance import Instance

SERIES_PER_FILTER: Final = 100
LIVE: Final[dict[int, ref[Cell]]] = {}
"""Cells by the number that the callback gets as its environment."""

# Plain integers: a member of an enum costs a look-up on the way.
_ARGUMENTS, _WINDOW = int(Area.ARGUMENTS), int(Area.WINDOW)
_GUEST: Final = int(Control.GUEST)


def _argument(instance: Instance, start: int, size: int) -> bytes:
    at = instance.addresses[_ARGUMENTS] + start
    return bytes(instance.memory[at : at + size])


def _answer(instance: Instance, value: bytes) -> int:
    """Keep an answer and put its first window where the inner host takes it from."""
    instance.answer = value
    size = len(value)
    at = instance.addresses[_WINDOW]
    if size <= WINDOW_BYTES:
        instance.memory[at : at + size] = value
    else:
        instance.memory[at : at + WINDOW_BYTES] = value[:WINDOW_BYTES]
    return size


def _load(instance: Instance, kind: int, _b: int, _c: int) -> int:
    answer = instance.callout
    if kind in (Map.CALL_HEADERS, Map.CALL_TRAILERS):
        if answer is None:
            return NONE
        head = kind == Map.CALL_HEADERS
        data, count = (answer.head, answer.head_count) if head else (answer.trailers, answer.trailer_count)
        found = (instance.owner.present(data), count, False)
    else:
        loaded = instance.current.load(kind)
        if loaded is None:
            return NONE
        found = loaded
    data, count, writable = found
    if len(data) > MAP_LIMIT_BYTES:
        return NONE
    at = instance.addresses[Area.MAPS + kind]
    instance.memory[at : at + len(data)] = data
    instance.control[Control.COUNT] = count
    instance.control[Control.WRITABLE] = writable
    return len(data)


def _flush(instance: Instance, _a: int, _b: int, _c: int) -> int:
    instance.take_ops()
    return 0


def _context(instance: Instance, number: int, _b: int, _c: int) -> int:
    root = instance.root
    context = root if number == root.id else instance.contexts.get(number)
    if context is None:
        lane = instance.cell.lanes.get(number)
        if lane is None:
            return Status.BAD_ARGUMENT
        context = lane.context(instance.slot)
    if instance.control[Control.OPS]:
        instance.take_ops()
    instance.current = context
    return Status.OK


def _property(instance: Instance, size: int, _b: int, _c: int) -> int:
    value = instance.current.property(_argument(instance, 0, size))
    return NONE if value is None else _answer(instance, value)


def _set_property(instance: Instance, size: int, value_size: int, _c: int) -> int:
    data = _argument(instance, 0, size + value_size)
    return instance.current.set_property(data[:size], data[size:])


def _whole_buffer(instance: Instance, kind: int) -> bytes | None:
    if kind == Buffer.PLUGIN_CONFIGURATION:
        return instance.owner.config
    if kind == Buffer.VM_CONFIGURATION:
        return instance.owner.vm_config
    if kind == Buffer.CALL_BODY and instance.callout is not None:
        return instance.callout.body
    return None


def _buffer(instance: Instance, kind: int, start: int, most: int) -> int:
    if kind <= Buffer.RESPONSE_BODY:
        body = instance.current.body(kind)
        return NONE if body is None else _answer(instance, body.read(start, most))
    whole = _whole_buffer(instance, kind)
    return NONE if whole is None else _answer(instance, whole[start : start + most])


def _buffer_size(instance: Instance, kind: int, _b: int, _c: int) -> int:
    if kind <= Buffer.RESPONSE_BODY:
        body = instance.current.body(kind)
        return NONE if body is None else len(body)
    whole = _whole_buffer(instance, kind)
    return NONE if whole is None else len(whole)


def _set_buffer(instance: Instance, kind: int, start: int, size: int) -> int:
    """Start 0: the first `size` bytes are replaced; at or past the end: append; between: splice."""
    body = instance.current.body(kind)
    if body is None:
        return Status.BAD_ARGUMENT
    start = min(start, len(body))
    data = instance.pushed if instance.control[Control.A0] else b""
    body.splice(start, min(size, len(body) - start), data)
    return Status.OK


def _pull(instance: Instance, start: int, size: int, _c: int) -> int:
    at = instance.addresses[Area.WINDOW]
    instance.memory[at : at + size] = instance.answer[start : start + size]
    return 0


def _push(instance: Instance, start: int, size: int, _c: int) -> int:
    at = instance.addresses[Area.WINDOW]
    part = bytes(instance.memory[at : at + size])
    instance.pushed = instance.pushed + part if start else part
    return 0


def _shared_get(instance: Instance, size: int, _b: int, _c: int) -> int:
    found = instance.services.shared.get(instance.owner.vm_id, _argument(instance, 0, size))
    if found is None:
        return NONE
    instance.control[Control.RESULT] = found[1]
    return _answer(instance, found[0])


def _shared_set(instance: Instance, size: int, value_size: int, cas: int) -> int:
    value = instance.pushed if value_size else b""
    done = instance.services.shared.set(instance.owner.vm_id, _argument(instance, 0, size), value, cas)
    if done is None:
        return Status.INTERNAL_FAILURE
    return Status.OK if done else Status.CAS_MISMATCH


def _queue_register(instance: Instance, size: int, _b: int, _c: int) -> int:
    name = _argument(instance, 0, size)
    instance.hears = True
    return instance.services.queues.register(instance.owner.vm_id, name, instance.queue_ready)


def _queue_resolve(instance: Instance, vm_size: int, size: int, _c: int) -> int:
    vm_id = _argument(instance, 0, vm_size).decode("utf-8", "replace") or instance.owner.vm_id
    return instance.services.queues.resolve(vm_id, _argument(instance, vm_size, size))


def _queue_put(instance: Instance, token: int, size: int, _c: int) -> int:
    """A full queue is one that cannot be found: SDKs make a trap of any other answer."""
    data = instance.pushed if size else b""
    return Status.OK if instance.services.queues.put(token, data) else Status.NOT_FOUND


def _queue_take(instance: Instance, token: int, _b: int, _c: int) -> int:
    try:
        taken = instance.services.queues.take(token)
    except LookupError:
        instance.control[Control.RESULT] = Status.NOT_FOUND
        return NONE
    if taken is None:
        instance.control[Control.RESULT] = Status.EMPTY
        return NONE
    return _answer(instance, taken)


def _tick(instance: Instance, period_ms: int, _b: int, _c: int) -> int:
    return instance.root.set_tick(period_ms)


def _stream(instance: Instance, close: int, kind: int, _c: int) -> int:
    return instance.current.stream(bool(close), kind)


def _reply(instance: Instance, status: int, details_size: int, headers_size: int) -> int:
    control = instance.control
    data = _argument(instance, 0, details_size + headers_size)
    pairs = parse(data[details_size:])
    fields = clean(pairs) if pairs is not None else None
    if fields is None:
        return Status.BAD_ARGUMENT
    details = drain.escape(data[:details_size])
    body = instance.pushed if control[Control.A0] else b""
    grpc = control[Control.A0 + 1]
    if grpc <= 16 and instance.current.is_grpc():
        fields += [(b"grpc-status", b"%d" % grpc), (b"grpc-message", details.encode())]
        status, body = 200, b""
    return instance.current.reply(LocalReply(status, fields, body, details, "filter", instance.owner.name))


def _done(instance: Instance, _a: int, _b: int, _c: int) -> int:
    return instance.root.finish()


def _metric(instance: Instance, kind: int, size: int, _c: int) -> int:
    """Index of a series; all that are refused share the last one, whose changes are dropped."""
    name = _argument(instance, 0, size)
    known = instance.series_ids.get((kind, name))
    if known is not None:
        return known
    series = -1
    if len(instance.series) < SERIES_PER_FILTER:
        series = instance.services.metrics.define(instance.owner.name, kind, drain.escape(name))
    if series < 0:
        return SERIES_LIMIT - 1
    instance.series.append(series)
    instance.series_ids[kind, name] = index = len(instance.series) - 1
    return index


def _metric_value(instance: Instance, number: int, _b: int, _c: int) -> int:
    drain.take_metrics(instance)
    index = number >> 2
    value = instance.services.metrics.value(instance.series[index]) if index < len(instance.series) else 0
    instance.wide[Control.RESULT // 2] = value & 0xFFFFFFFFFFFFFFFF
    return Status.OK


def _metrics(instance: Instance, _a: int, _b: int, _c: int) -> int:
    drain.take_metrics(instance)
    return 0


def _random(instance: Instance, size: int, _b: int, _c: int) -> int:
    at = instance.addresses[Area.WINDOW]
    instance.memory[at : at + size] = os.urandom(size)
    return 0


def _refuse(_instance: Instance, _a: int, _b: int, _c: int) -> int:
    raise LookupError("the inner host asked for something unknown")


_ANSWERS: Final[dict[int, Callable[[Instance, int, int, int], int]]] = {
    World.LOAD: _load,
    World.FLUSH: _flush,
    World.CONTEXT: _context,
    World.PROPERTY: _property,
    World.SET_PROPERTY: _set_property,
    World.BUFFER: _buffer,
    World.BUFFER_SIZE: _buffer_size,
    World.SET_BUFFER: _set_buffer,
    World.PULL: _pull,
    World.PUSH: _push,
    World.SHARED_GET: _shared_get,
    World.SHARED_SET: _shared_set,
    World.HTTP_CALL: callouts.start,
    World.TICK: _tick,
    World.STREAM: _stream,
    World.REPLY: _reply,
    World.DONE: _done,
    World.METRIC: _metric,
    World.METRIC_VALUE: _metric_value,
    World.METRICS: _metrics,
    World.RANDOM: _random,
    World.QUEUE_REGISTER: _queue_register,
    World.QUEUE_RESOLVE: _queue_resolve,
    World.QUEUE_PUT: _queue_put,
    World.QUEUE_TAKE: _queue_take,
}


_BY_NUMBER: Final = tuple(_ANSWERS.get(number, _refuse) for number in range(32))


def _world(number: int, values: Any) -> None:
    cell = LIVE[number]()
    if cell is None:
        raise LookupError("a call from a cell that is gone")
    instance = cell.instances[cell.control[_GUEST]]
    call = values[0] & WORD
    if cell.lane is not None:
        cell.lane.enter(instance, call)
    answer = _BY_NUMBER[call]
    if not instance.timed:
        values[0] = answer(instance, values[2] & WORD, values[4] & WORD, values[6] & WORD)
        return
    begun = perf_counter_ns()
    values[0] = answer(instance, values[2] & WORD, values[4] & WORD, values[6] & WORD)
    instance.host_ns += perf_counter_ns() - begun


FUNCTION: Final = HostFunction("edge.world", "iiii", "i", _world)
