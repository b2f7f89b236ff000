"""The oracle's host functions: one method each, named h_ and as in the specification."""

from __future__ import annotations

from functools import partial

from edge.chain.filter import Direction, LocalReply
from edge.errors import BadRequest, FilterError
from edge.head import Fields, RequestHead, ResponseHead
from edge.syntax import canonical_authority, canonical_path
from tests.conformance.proxy_wasm.rig import NOW_NS, FakePort, FakeServices
from tests.contract.proxy_wasm.guest_memory import Fault, Guest
from tests.contract.proxy_wasm.working_copy import _VALUE, LIMIT_BYTES, WorkingCopy

OK, NOT_FOUND, BAD_ARGUMENT, BAD_MEMORY, CAS_MISMATCH, INTERNAL = 0, 1, 2, 6, 8, 10
ROOT = 1


class Refused(Exception):
    """A host call answers something else than OK."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Context:
    """One exchange in the oracle; `port` None = the root context."""

    def __init__(self, number: int, port: FakePort | None) -> None:
        self.number = number
        self.port = port
        self.properties: dict[bytes, bytes] = {}
        self.reply: LocalReply | None = None
        self.replied = False
        self.closing = False
        self.continued: list[Direction] = []
        self.made: Fields | None = None
        self.phase = -1
        self.gone = 0
        self.failure: FilterError | None = None
        self.created = False


class HostFunctions:
    """What a guest may call. The state is the oracle's, which drives the guest."""

    guest: Guest
    services: FakeServices
    config: bytes
    backends: frozenset[str]
    clusters: frozenset[str]
    contexts: dict[int, Context]
    current: Context
    maps: dict[int, WorkingCopy | None]
    call: tuple[ResponseHead | None, bytes, Fields] | None
    last_call: int
    series: dict[tuple[int, bytes], int]
    sinks: list[int]
    late: int

    def _write_back(self) -> None:
        """Edits of the current context go to its exchange."""
        raise NotImplementedError

    def called_back(
        self, context: Context, token: int, head: ResponseHead | None, body: bytes, trailers: Fields
    ) -> None:
        """A callout was answered."""
        raise NotImplementedError

    # Maps

    def _map(self, kind: int) -> WorkingCopy | None:
        if kind not in self.maps:
            self.maps[kind] = self._load(kind)
        return self.maps[kind]

    def _load(self, kind: int) -> WorkingCopy | None:
        port = self.current.port
        if kind in (6, 7):
            if self.call is None:
                return None
            head, _, trailers = self.call
            if kind == 7:
                return WorkingCopy(None, trailers, False)
            return WorkingCopy(head, head.fields, False) if head is not None else WorkingCopy(None, [], False)
        if port is None or kind > 3:
            return None
        direction = Direction(kind // 2)
        if kind in (0, 2):
            message: RequestHead | ResponseHead | None = port.response if kind else port.request
            if message is None:
                return None
            return WorkingCopy(message, message.fields, port.head_is_open(direction))
        fields = port.response_trailers if direction else port.request_trailers
        if fields is None and self.current.made is not None and self.current.phase == direction:
            fields = self.current.made
        return None if fields is None else WorkingCopy(None, fields, not self.current.gone & 1 << direction)

    def h_get_header_map_value(self, kind: int, at: int, size: int, at_pointer: int, at_size: int) -> int:
        _require(kind < 8)
        if size > 4096:
            return NOT_FOUND
        raw = self.guest.read(at, size)
        copy = self._map(kind)
        name = copy.name(raw) if copy is not None else None
        value = copy.get(name) if copy is not None and name is not None else None
        if value is None:
            return NOT_FOUND
        self.guest.give(value, at_pointer, at_size)
        return OK

    def h_get_header_map_size(self, kind: int, at: int) -> int:
        _require(kind < 8)
        copy = self._map(kind)
        size = copy.size() if copy is not None else 0
        self.guest.store_words(at, size, at, size)
        return OK

    def h_get_header_map_pairs(self, kind: int, at_pointer: int, at_size: int) -> int:
        _require(kind < 8)
        copy = self._map(kind)
        self.guest.give(copy.serialised() if copy is not None else b"", at_pointer, at_size)
        return OK

    def _write(self, kind: int, at: int, size: int, value_at: int, value_size: int, replace: bool) -> int:
        _require(size <= 4096)
        raw = self.guest.read(at, size)
        _require(WorkingCopy(None, [], True).name(raw) is not None)
        _require(value_size <= LIMIT_BYTES)
        value = self.guest.read(value_at, value_size).strip(b" \t")
        _require(kind <= 3 and _VALUE(value) is not None)
        head = kind in (0, 2)
        name = raw.lower()
        if not (kind == 0 and name == b"host"):
            probe = RequestHead(b"GET", b"http", b"a", b"/", []) if head else None
            _require(WorkingCopy(probe, [], True).allowed(name))
        copy = self._map(kind)
        if copy is None:
            return BAD_ARGUMENT
        if not copy.writable:
            self.late += 1
            return OK
        return copy.write(copy.name(raw) or b"", value, replace)

    def h_add_header_map_value(self, *arguments: int) -> int:
        return self._write(*arguments, replace=False)

    def h_replace_header_map_value(self, *arguments: int) -> int:
        return self._write(*arguments, replace=True)

    def h_remove_header_map_value(self, kind: int, at: int, size: int) -> int:
        raw = self.guest.read(at, size) if size <= 4096 else b""
        _require(kind <= 3)
        if WorkingCopy(None, [], True).name(raw) is None:
            return OK
        copy = self._map(kind)
        if copy is None:
            return BAD_ARGUMENT
        if not copy.writable:
            self.late += 1
            return OK
        name = copy.name(raw) or b""
        if name.startswith(b":"):
            return OK if copy.get(name) is None else BAD_ARGUMENT
        copy.remove(name)
        return OK

    def h_set_header_map_pairs(self, kind: int, at: int, size: int) -> int:
        _require(size <= 163840)
        pairs = _parse(self.guest.read(at, size))
        _require(kind <= 3)
        if pairs is None:
            return BAD_ARGUMENT
        head = kind in (0, 2)
        probe: RequestHead | ResponseHead | None = (
            RequestHead(b"GET", b"http", b"a", b"/", []) if kind == 0 else None
        )
        probe = ResponseHead(200, []) if kind == 2 else probe
        checked = WorkingCopy(probe if head else None, [], True).replace_all(pairs)
        if checked != OK:
            return checked
        copy = self._map(kind)
        if copy is None:
            return BAD_ARGUMENT
        if not copy.writable:
            self.late += 1
        return copy.replace_all(pairs)

    # Buffers, properties, time, logs

    def _buffer(self, kind: int) -> bytes | None:
        if kind in (0, 1):
            body = self.current.port.body(Direction(kind)) if self.current.port is not None else None
            return body.data if body is not None else None
        return {6: b"", 7: self.config, 4: self.call[1] if self.call is not None else None}.get(kind)

    def h_get_buffer_bytes(self, kind: int, start: int, most: int, at_pointer: int, at_size: int) -> int:
        _require(kind < 9 and start + most <= 0xFFFFFFFF)
        data = self._buffer(kind)
        if data is None:
            return NOT_FOUND
        self.guest.give(data[start : start + most], at_pointer, at_size)
        return OK

    def h_get_buffer_status(self, kind: int, at_size: int, at_flags: int) -> int:
        data = self._buffer(kind)
        if data is None:
            return NOT_FOUND
        self.guest.store_words(at_size, len(data), at_flags, 0)
        return OK

    def h_set_buffer_bytes(self, kind: int, start: int, size: int, at: int, length: int) -> int:
        _require(kind < 2)
        data = self.guest.read(at, length)
        body = self.current.port.body(Direction(kind)) if self.current.port is not None else None
        if body is None:
            return BAD_ARGUMENT
        start = min(start, len(body))
        body.splice(start, min(size, len(body) - start), data)
        return OK

    def _path(self, at: int, size: int) -> bytes:
        path = self.guest.read(at, size)
        return path[:-1] if path.endswith(b"\0") else path

    def h_get_property(self, at: int, size: int, at_pointer: int, at_size: int) -> int:
        if size > 4096:
            return NOT_FOUND
        path = self._path(at, size)
        own = {b"plugin_name": b"f", b"plugin_root_id": b"", b"plugin_vm_id": b""}
        value = self.current.properties.get(path, own.get(path))
        if value is None and self.current.port is not None:
            value = self.current.port.property(path)
        if value is None:
            return NOT_FOUND
        self.guest.give(value, at_pointer, at_size)
        return OK

    def h_set_property(self, at: int, size: int, value_at: int, value_size: int) -> int:
        _require(size <= 4096)
        path = self._path(at, size)
        _require(value_size <= 65536)
        value = self.guest.read(value_at, value_size)
        port = self.current.port
        if port is not None and path in (b"edge\0backend", b"edge.backend"):
            return (
                OK if value.decode() in self.backends and port.set_backend(value.decode()) else BAD_ARGUMENT
            )
        self.current.properties[path] = value
        return OK

    def h_get_current_time_nanoseconds(self, at: int) -> int:
        self.guest.write(at, (NOW_NS - NOW_NS % 1_000_000).to_bytes(8, "little"))
        return OK

    def h_log(self, level: int, at: int, size: int) -> int:
        _require(level <= 5)
        line = self.guest.read(at, min(size, 4096))
        text = "".join(_escaped(char) for char in line.decode("utf-8", "replace"))
        self.services.lines.append((level, text))
        return OK

    def h_get_log_level(self, at: int) -> int:
        self.guest.store_words(at, 0, at, 0)
        return OK

    # Actions

    def h_set_effective_context(self, number: int) -> int:
        if number not in self.contexts:
            return BAD_ARGUMENT
        if number != self.current.number:
            self._write_back()
            call = {kind: copy for kind, copy in self.maps.items() if kind > 3}
            self.current, self.maps = self.contexts[number], call
        return OK

    def h_set_tick_period_milliseconds(self, _ms: int) -> int:
        return OK

    def h_done(self) -> int:
        return OK

    def h_continue_stream(self, kind: int) -> int:
        _require(kind <= 3 and self.current.port is not None)
        if kind <= 1:
            self.current.continued.append(Direction(kind))
        return OK

    def h_close_stream(self, kind: int) -> int:
        _require(kind <= 3 and self.current.port is not None)
        self.current.closing = True
        return OK

    def h_send_local_response(
        self,
        status: int,
        at: int,
        size: int,
        body_at: int,
        body_size: int,
        head_at: int,
        head_size: int,
        grpc: int,
    ) -> int:
        _require(200 <= status <= 599 and head_size <= LIMIT_BYTES)
        details = self.guest.read(at, min(size, 4096))
        pairs = _parse(self.guest.read(head_at, head_size))
        body = self.guest.read(body_at, body_size)
        fields = _clean(pairs)
        context = self.current
        if fields is None or context.port is None:
            return BAD_ARGUMENT
        text = "".join(_escaped(char) for char in details.decode("utf-8", "replace"))
        kind = context.port.request.get(b"content-type") or b""
        if grpc <= 16 and kind.startswith(b"application/grpc"):
            fields += [(b"grpc-status", b"%d" % grpc), (b"grpc-message", text.encode())]
            status, body = 200, b""
        if not context.replied:
            context.replied = True
            context.reply = LocalReply(status, fields, body, text, "filter", "f")
        return OK

    def h_http_call(self, *arguments: int) -> int:
        name_at, name_size, head_at, head_size, body_at, body_size, trailers_at, trailers_size, ms, at_id = (
            arguments
        )
        _require(name_size <= 4096 and head_size <= LIMIT_BYTES and trailers_size <= LIMIT_BYTES)
        _require(name_size + head_size + trailers_size <= 180224 and ms <= 0x7FFFFFFF)
        try:
            cluster = self.guest.read(name_at, name_size).decode("utf-8", "replace")
            pairs = _parse(self.guest.read(head_at, head_size))
            trailers = _clean(_parse(self.guest.read(trailers_at, trailers_size)) or [])
            body = self.guest.read(body_at, body_size)
        except Fault:
            return INTERNAL
        fields = _clean(pairs)
        named = {name: value for name, value in reversed(pairs or []) if name[:1] == b":"}
        if fields is None or trailers is None or cluster not in self.clusters:
            return BAD_ARGUMENT
        try:
            authority, path = canonical_authority(named[b":authority"]), canonical_path(named[b":path"])
            head = RequestHead(named[b":method"], b"http", authority, path, fields)
        except (KeyError, BadRequest):
            return BAD_ARGUMENT
        _require(bool(_token(head.method)))
        self.last_call += 1
        context, token = self.current, self.last_call
        self.services.callouts.start(
            cluster,
            head,
            body,
            trailers,
            min(ms / 1000 or 60.0, 60.0),
            partial(self.called_back, context, token),
        )
        if context.port is not None:
            context.port.waiting(1)
        try:
            self.guest.store_words(at_id, token, at_id, token)
        except Fault:
            return INTERNAL
        return OK

    def h_get_status(self, at_code: int, at_pointer: int, at_size: int) -> int:
        self.guest.store_words(at_code, 0, at_code, 0)
        self.guest.store_words(at_pointer, 0, at_size, 0)
        return OK

    # Shared data, metrics

    def h_set_shared_data(self, at: int, size: int, value_at: int, value_size: int, cas: int) -> int:
        _require(size <= 4096)
        key, value = self.guest.read(at, size), self.guest.read(value_at, value_size)
        done = self.services.shared.set("", key, value, cas)
        return INTERNAL if done is None else OK if done else CAS_MISMATCH

    def h_get_shared_data(self, at: int, size: int, at_pointer: int, at_size: int, at_cas: int) -> int:
        if size > 4096:
            return NOT_FOUND
        found = self.services.shared.get("", self.guest.read(at, size))
        if found is None:
            return NOT_FOUND
        self.guest.give(found[0], at_pointer, at_size)
        self.guest.store_words(at_cas, found[1], at_cas, found[1])
        return OK

    def h_define_metric(self, kind: int, at: int, size: int, at_id: int) -> int:
        _require(kind <= 2 and size <= 4096)
        name = self.guest.read(at, size)
        if (kind, name) not in self.series:
            text = "".join(_escaped(char) for char in name.decode("utf-8", "replace"))
            self.series[kind, name] = len(self.sinks) << 2 | kind
            self.sinks.append(self.services.metrics.define("f", kind, text))
        number = self.series[kind, name]
        self.guest.store_words(at_id, number, at_id, number)
        return OK

    def _sink(self, number: int) -> int:
        if number not in self.series.values():
            raise Refused(NOT_FOUND)
        return self.sinks[number >> 2]

    def h_increment_metric(self, number: int, by: int) -> int:
        sink, change = self._sink(number), by - (1 << 64) if by >> 63 else by
        _require(number & 3 == 1 or (number & 3 == 0 and change >= 0))
        self.services.metrics.add(sink, change)
        return OK

    def h_record_metric(self, number: int, raw: int) -> int:
        sink, value = self._sink(number), raw - (1 << 64) if raw >> 63 else raw
        metrics = self.services.metrics
        if number & 3 == 0:
            metrics.add(sink, max(0, value))
        else:
            (metrics.set if number & 3 == 1 else metrics.observe)(sink, value)
        return OK

    def h_get_metric(self, number: int, at: int) -> int:
        sink = self._sink(number)
        _require(number & 3 != 2)
        self.guest.write(at, (self.services.metrics.value(sink) & (1 << 64) - 1).to_bytes(8, "little"))
        return OK


def _require(condition: bool) -> None:
    if not condition:
        raise Refused(BAD_ARGUMENT)


def _token(name: bytes) -> bool:
    return WorkingCopy(None, [], True).name(name) is not None and not name.startswith(b":")


def _parse(data: bytes) -> list[tuple[bytes, bytes]] | None:
    if data in (b"", b"\0"):
        return []
    count = int.from_bytes(data[:4], "little")
    if len(data) < 4 or count > 1024 or 4 + 8 * count > len(data):
        return None
    sizes = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "little") for i in range(2 * count)]
    at, parts = 4 + 8 * count, []
    for size in sizes:
        if data[at + size : at + size + 1] != b"\0":
            return None
        parts.append(data[at : at + size])
        at += size + 1
    return list(zip(parts[::2], parts[1::2], strict=True)) if at == len(data) else None


def _clean(pairs: list[tuple[bytes, bytes]] | None) -> Fields | None:
    if pairs is None:
        return None
    gone = (
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"transfer-encoding",
        b"upgrade",
        b"content-length",
    )
    gone += (b"expect", b"http2-settings", b"host")
    kept = [(name.lower(), value) for name, value in pairs]
    kept = [(name, value.strip(b" \t")) for name, value in kept if name[:1] != b":" and name not in gone]
    return kept if all(_token(name) and _VALUE(value) for name, value in kept) else None


def _escaped(char: str) -> str:
    code = ord(char)
    named = {9: "\\t", 10: "\\n", 13: "\\r", 0x2028: "\\u2028", 0x2029: "\\u2029"}
    if code in named:
        return named[code]
    return f"\\x{code:02x}" if code < 32 or 127 <= code < 160 else char
