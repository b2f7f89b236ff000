"""Which export of the inner host serves which import of a guest: by name *and* type.

Everything a guest may import stands in this allow list, so that it can reach neither the inner
host's memory nor its drivers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple, Protocol


class Import(Protocol):
    """A declared import, as `edge.wasm.binary` reads it. One letter a value: i = i32, I = i64."""

    @property
    def module(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def params(self) -> str: ...
    @property
    def results(self) -> str: ...


class Plan(NamedTuple):
    """`links`: (module, name, export of the inner host) in the order of the imports.

    `missing` and `warnings` are lines for people; a module with missing imports is refused.
    """

    links: list[tuple[str, str, str]]
    missing: list[str]
    warnings: list[str]


_ENV: Final = {
    "proxy_log": "iii",
    "proxy_get_log_level": "i",
    "proxy_get_current_time_nanoseconds": "i",
    "proxy_set_tick_period_milliseconds": "i",
    "proxy_get_buffer_bytes": "iiiii",
    "proxy_set_buffer_bytes": "iiiii",
    "proxy_get_buffer_status": "iii",
    "proxy_get_header_map_size": "ii",
    "proxy_get_header_map_pairs": "iii",
    "proxy_set_header_map_pairs": "iii",
    "proxy_get_header_map_value": "iiiii",
    "proxy_add_header_map_value": "iiiii",
    "proxy_replace_header_map_value": "iiiii",
    "proxy_remove_header_map_value": "iii",
    "proxy_get_property": "iiii",
    "proxy_set_property": "iiii",
    "proxy_continue_stream": "i",
    "proxy_close_stream": "i",
    "proxy_send_local_response": "iiiiiiii",
    "proxy_http_call": "iiiiiiiiii",
    "proxy_grpc_call": "iiiiiiiiiiii",
    "proxy_grpc_stream": "iiiiiiiii",
    "proxy_grpc_send": "iiii",
    "proxy_grpc_cancel": "i",
    "proxy_grpc_close": "i",
    "proxy_get_status": "iii",
    "proxy_set_shared_data": "iiiii",
    "proxy_get_shared_data": "iiiii",
    "proxy_register_shared_queue": "iii",
    "proxy_resolve_shared_queue": "iiiii",
    "proxy_enqueue_shared_queue": "iii",
    "proxy_dequeue_shared_queue": "iii",
    "proxy_define_metric": "iiii",
    "proxy_record_metric": "iI",
    "proxy_increment_metric": "iI",
    "proxy_get_metric": "ii",
    "proxy_call_foreign_function": "iiiiii",
    "proxy_set_effective_context": "i",
    "proxy_done": "",
    "proxy_get_configuration": "ii",
    "proxy_continue_request": "",
    "proxy_continue_response": "",
    "proxy_clear_route_cache": "",
    "pthread_equal": "ii",
}
"""Functions of `env` that answer one i32, with their parameters."""

_ENV_VOID: Final = {
    "proxy_continue_request": "",
    "proxy_continue_response": "",
    "proxy_clear_route_cache": "",
    "emscripten_notify_memory_growth": "i",
}
"""The same without an answer: Proxy-Wasm 0.1.0 as its specification has it."""

_WASI: Final = {
    "args_get": "ii",
    "args_sizes_get": "ii",
    "environ_get": "ii",
    "environ_sizes_get": "ii",
    "fd_write": "iiii",
    "fd_read": "iiii",
    "fd_pread": "iiiIi",
    "fd_pwrite": "iiiIi",
    "fd_seek": "iIii",
    "fd_tell": "ii",
    "fd_close": "i",
    "fd_advise": "iIIi",
    "fd_allocate": "iII",
    "fd_datasync": "i",
    "fd_sync": "i",
    "fd_renumber": "ii",
    "fd_readdir": "iiiIi",
    "fd_fdstat_get": "ii",
    "fd_fdstat_set_flags": "ii",
    "fd_fdstat_set_rights": "iII",
    "fd_filestat_get": "ii",
    "fd_filestat_set_size": "iI",
    "fd_filestat_set_times": "iIIi",
    "fd_prestat_get": "ii",
    "fd_prestat_dir_name": "iii",
    "path_open": "iiiiiIIii",
    "path_create_directory": "iii",
    "path_remove_directory": "iii",
    "path_unlink_file": "iii",
    "path_filestat_get": "iiiii",
    "path_filestat_set_times": "iiiiIIi",
    "path_link": "iiiiiii",
    "path_symlink": "iiiii",
    "path_readlink": "iiiiii",
    "path_rename": "iiiiii",
    "sock_accept": "iii",
    "sock_recv": "iiiiii",
    "sock_send": "iiiii",
    "sock_shutdown": "ii",
    "clock_time_get": "iIi",
    "clock_res_get": "ii",
    "random_get": "ii",
    "poll_oneoff": "iiii",
    "sched_yield": "",
    "proc_raise": "i",
}
_WASI_VOID: Final = {"proc_exit": "i"}
_WASI_MODULES: Final = ("wasi_snapshot_preview1", "wasi_unstable")


def _exports() -> dict[tuple[str, str, str, str], str]:
    table: dict[tuple[str, str, str, str], str] = {}
    for name, params in _ENV.items():
        table["env", name, params, "i"] = name
    for name, params in _ENV_VOID.items():
        table["env", name, params, ""] = f"{name}.void" if name in _ENV else name
    for module in _WASI_MODULES:
        for name, params in _WASI.items():
            table[module, name, params, "i"] = f"wasi.{name}"
        for name, params in _WASI_VOID.items():
            table[module, name, params, ""] = f"wasi.{name}"
    return table


EXPORTS: Final = _exports()
"""(module, name, params, results) -> export of the inner host. Spec: facts of `env` and WASI."""

_KNOWN: Final = {(module, name) for module, name, _, _ in EXPORTS}

_WARNINGS: Final = {
    **dict.fromkeys(
        ("proxy_grpc_call", "proxy_grpc_stream"), "answers INTERNAL_FAILURE: gRPC is not supported yet"
    ),
    **dict.fromkeys(
        ("proxy_grpc_send", "proxy_grpc_cancel", "proxy_grpc_close"),
        "answers NOT_FOUND: gRPC is not supported yet",
    ),
    "proxy_call_foreign_function": "answers NOT_FOUND: there are no foreign functions",
}


def plan(imports: Iterable[Import]) -> Plan:
    """Link every import, or say what is missing."""
    result = Plan([], [], [])
    for wanted in imports:
        label = f"{wanted.module}.{wanted.name}"
        export = EXPORTS.get((wanted.module, wanted.name, wanted.params, wanted.results))
        if wanted.kind != "func":
            result.missing.append(f"{label}: a {wanted.kind} cannot be imported")
        elif export is not None:
            result.links.append((wanted.module, wanted.name, export))
            if warning := _WARNINGS.get(wanted.name):
                result.warnings.append(f"{label} {warning}")
        elif (wanted.module, wanted.name) in _KNOWN:
            result.missing.append(
                f"{label}: known, but not with the type ({wanted.params}) -> ({wanted.results})"
            )
        else:
            result.missing.append(f"{label}: unknown function")
    return result
