"""A small Proxy-Wasm host over wasmtime's public API: slow, simple, and no code of edge in it.

It judges filters by themselves. Only what the built-in filters call is answered; every other
import is defined and answers 0.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import wasmtime

_OK, _NOT_FOUND = 0, 1
_REQUEST, _RESPONSE = 0, 2
_ROOT = 1


@dataclass
class Exchange:
    """What a filter saw and did in one exchange."""

    maps: dict[int, list[tuple[bytes, bytes]]]
    properties: dict[bytes, bytes] = field(default_factory=dict)
    reply: tuple[int, bytes] | None = None

    def request(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.maps[_REQUEST] if key == name]

    def response(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.maps[_RESPONSE] if key == name]


class FilterHost:
    """One instance of a filter with one root context. `backends` may be chosen by the filter."""

    def __init__(self, module: Path, config: bytes, backends: frozenset[bytes] = frozenset()) -> None:
        self.logs: list[str] = []
        self._config = config
        self._backends = backends
        self._exchange = Exchange({_REQUEST: [], _RESPONSE: []})
        self._context = _ROOT
        self._store = wasmtime.Store()
        code = wasmtime.Module.from_file(self._store.engine, str(module))
        functions = [self._function(item) for item in code.imports]
        self._exports = wasmtime.Instance(self._store, code, functions).exports(self._store)
        memory = self._exports["memory"]
        assert isinstance(memory, wasmtime.Memory)
        self._memory = memory
        self._call("_initialize")
        self._call("proxy_on_context_create", _ROOT, 0)
        self._call("proxy_on_vm_start", _ROOT, 0)
        self.configured = bool(self._call("proxy_on_configure", _ROOT, len(config)))

    def exchange(
        self,
        fields: list[tuple[bytes, bytes]],
        response: list[tuple[bytes, bytes]] | None = None,
        path: bytes = b"/",
    ) -> Exchange:
        """Run one whole exchange; a local reply of the filter skips the response phase."""
        self._context += 1
        head = [(b":method", b"GET"), (b":path", path), (b":scheme", b"https")]
        head.append((b":authority", b"shop.example"))
        answer = [(b":status", b"200"), *(response or [])]
        self._exchange = Exchange({_REQUEST: head + fields, _RESPONSE: answer})
        self._call("proxy_on_context_create", self._context, _ROOT)
        self._call("proxy_on_request_headers", self._context, len(fields) + 4, 1)
        if self._exchange.reply is None:
            self._call("proxy_on_response_headers", self._context, 1, 1)
        for name in ("proxy_on_done", "proxy_on_log", "proxy_on_delete"):
            self._call(name, self._context)
        return self._exchange

    def memory_bytes(self) -> int:
        return int(self._memory.data_len(self._store))

    def _call(self, name: str, *arguments: int) -> Any:
        export = self._exports.get(name)
        return export(self._store, *arguments) if isinstance(export, wasmtime.Func) else None

    def _function(self, item: wasmtime.ImportType) -> wasmtime.Func:
        assert isinstance(item.type, wasmtime.FuncType)
        answer = 0 if item.type.results else None
        known: Callable[..., Any] | None = getattr(self, f"_{item.name}", None)
        return wasmtime.Func(self._store, item.type, known or (lambda *_: answer))

    def _read(self, start: int, size: int) -> bytes:
        return bytes(self._memory.read(self._store, start, start + size))

    def _hand_over(self, value: bytes, start_to: int, size_to: int) -> int:
        allocator = "malloc" if "malloc" in self._exports else "proxy_on_memory_allocate"
        start = self._call(allocator, len(value)) if value else 0
        self._memory.write(self._store, value, start)
        self._memory.write(self._store, start.to_bytes(4, "little"), start_to)
        self._memory.write(self._store, len(value).to_bytes(4, "little"), size_to)
        return _OK

    def _proxy_log(self, _level: int, start: int, size: int) -> int:
        self.logs.append(self._read(start, size).decode())
        return _OK

    def _proxy_get_log_level(self, level_to: int) -> int:
        self._memory.write(self._store, b"\0\0\0\0", level_to)
        return _OK

    def _proxy_get_buffer_bytes(self, _kind: int, start: int, size: int, start_to: int, size_to: int) -> int:
        # wasmtime gives words as signed numbers; guests ask for "all" with the largest unsigned one.
        most = size & 0xFFFF_FFFF
        return self._hand_over(self._config[start : start + most], start_to, size_to)

    def _proxy_get_header_map_value(
        self, kind: int, start: int, size: int, start_to: int, size_to: int
    ) -> int:
        name = self._read(start, size)
        found = [value for key, value in self._exchange.maps[kind] if key == name]
        return self._hand_over(found[0], start_to, size_to) if found else _NOT_FOUND

    def _proxy_add_header_map_value(self, kind: int, name: int, name_size: int, value: int, size: int) -> int:
        self._exchange.maps[kind].append((self._read(name, name_size), self._read(value, size)))
        return _OK

    def _proxy_replace_header_map_value(
        self, kind: int, name: int, name_size: int, value: int, size: int
    ) -> int:
        self._proxy_remove_header_map_value(kind, name, name_size)
        return self._proxy_add_header_map_value(kind, name, name_size, value, size)

    def _proxy_remove_header_map_value(self, kind: int, start: int, size: int) -> int:
        name = self._read(start, size)
        self._exchange.maps[kind] = [item for item in self._exchange.maps[kind] if item[0] != name]
        return _OK

    def _proxy_set_property(self, path: int, path_size: int, value: int, size: int) -> int:
        chosen = self._read(value, size)
        if chosen not in self._backends:
            return 2
        self._exchange.properties[self._read(path, path_size)] = chosen
        return _OK

    def _proxy_send_local_response(
        self, status: int, _details: int, _size: int, body: int, body_size: int, *_: int
    ) -> int:
        self._exchange.reply = (status, self._read(body, body_size))
        return _OK

    def _random_get(self, start: int, size: int) -> int:
        self._memory.write(self._store, os.urandom(size), start)
        return _OK
