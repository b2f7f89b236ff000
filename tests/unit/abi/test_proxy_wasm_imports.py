"""The allow list of imports: names, types, both names of WASI, and what is said about the rest."""

from __future__ import annotations

from edge.abi.proxy_wasm.imports import EXPORTS, plan
from edge.wasm.binary import FuncSig, Import, inspect
from tests.conformance.proxy_wasm.build import INNER


def function(module: str, name: str, params: str, results: str) -> Import:
    return Import(module, name, "func", params, results)


def test_every_export_named_exists_in_the_inner_host_with_that_type() -> None:
    exports = inspect(INNER.read_bytes()).exports
    for (_, name, params, results), export in EXPORTS.items():
        assert exports[export] == FuncSig(params, results), name
    served = set(EXPORTS.values())
    functions = {name for name in exports if name.startswith(("proxy_", "wasi."))}
    assert functions <= served


def test_the_inner_hosts_memory_table_and_drivers_are_not_in_the_list() -> None:
    exports = set(inspect(INNER.read_bytes()).exports)
    inside = {
        "memory",
        "__indirect_function_table",
        "address",
        "slot",
        "request_head",
        "enter_context",
        "end",
    }
    assert inside <= exports
    assert not inside & set(EXPORTS.values())


def test_wasi_has_the_same_functions_under_both_names() -> None:
    by_module: dict[str, set[tuple[str, str]]] = {}
    for module, name, params, _ in EXPORTS:
        by_module.setdefault(module, set()).add((name, params))
    assert by_module["wasi_unstable"] == by_module["wasi_snapshot_preview1"]
    assert len(by_module["wasi_unstable"]) == 46


def test_links_keep_the_order_of_the_imports() -> None:
    wanted = [
        function("wasi_unstable", "fd_write", "iiii", "i"),
        function("env", "proxy_log", "iii", "i"),
        function("env", "proxy_clear_route_cache", "", ""),
        function("env", "proxy_clear_route_cache", "", "i"),
    ]
    planned = plan(wanted)
    assert [export for _, _, export in planned.links] == [
        *("wasi.fd_write", "proxy_log", "proxy_clear_route_cache.void", "proxy_clear_route_cache"),
    ]
    assert (planned.missing, planned.warnings) == ([], [])


def test_what_is_missing_is_named_with_the_reason() -> None:
    planned = plan(
        [
            function("env", "proxy_redis_call", "iiiii", "i"),
            function("env", "proxy_log", "ii", "i"),
            Import("env", "memory", "memory", "", ""),
            function("inner", "address", "i", "i"),
        ]
    )
    assert planned.links == []
    assert planned.missing == [
        "env.proxy_redis_call: unknown function",
        "env.proxy_log: known, but not with the type (ii) -> (i)",
        "env.memory: a memory cannot be imported",
        "inner.address: unknown function",
    ]


def test_what_is_defined_but_not_carried_out_is_a_warning() -> None:
    planned = plan(
        [
            function("env", "proxy_grpc_call", "iiiiiiiiiiii", "i"),
            function("env", "proxy_call_foreign_function", "iiiiii", "i"),
            function("env", "proxy_register_shared_queue", "iii", "i"),
        ]
    )
    assert len(planned.links) == 3
    assert planned.warnings == [
        "env.proxy_grpc_call answers INTERNAL_FAILURE: gRPC is not supported yet",
        "env.proxy_call_foreign_function answers NOT_FOUND: there are no foreign functions",
    ]
