"""Every host function, one row each: what it answers to good arguments and to bad ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edge import model
from edge.chain.filter import Action
from tests.conformance.proxy_wasm import build
from tests.conformance.proxy_wasm.rig import NOW_NS, FakePort, Output, request_head, started
from tests.conformance.proxy_wasm.script import FUNCTIONS, Script, cell, configuration, pairs

OK, NOT_FOUND, BAD_ARGUMENT, BAD_MEMORY, CAS_MISMATCH, INTERNAL = 0, 1, 2, 6, 8, 10
PAST_END, WRAPS = 0xFFFFFFF0, 0xFFFFFFFE
HEAD = pairs((b":method", b"GET"), (b":path", b"/x"), (b":authority", b"a"))
METRIC = [0, b"count", cell(3)]


def run(script: Script, **fields: Any) -> tuple[Output, FakePort, Any]:
    """The script as on_request_headers of one exchange."""
    allow = model.Allow(backends=["blue"], callouts=["auth"])
    bound = started(
        build.module(build.compiled("script")),
        config=configuration(request_headers=script),
        allow=allow,
        **fields,
    )
    port = FakePort(request_head())
    opened = bound.open(port)
    assert not isinstance(opened, Exception)
    port.action = opened.request_head(True)  # type: ignore[attr-defined]
    opened.done()
    return Output(bound.services), port, bound


STATUSES: list[tuple[str, list[int | bytes], int]] = [
    ("log", [2, b"line"], OK),
    ("log", [6, b"line"], BAD_ARGUMENT),
    ("log", [2, PAST_END, 32], BAD_MEMORY),
    ("log", [2, 4096, 0xFFFFFFFF], OK),
    ("get_log_level", [cell(0)], OK),
    ("get_log_level", [WRAPS], BAD_MEMORY),
    ("get_current_time_nanoseconds", [cell(0)], OK),
    ("get_current_time_nanoseconds", [0xFFFFFFF9], BAD_MEMORY),
    ("set_tick_period_milliseconds", [50], OK),
    ("get_buffer_bytes", [7, 0, 4, cell(0), cell(1)], OK),
    ("get_buffer_bytes", [7, 0xFFFFFFFF, 1, cell(0), cell(1)], BAD_ARGUMENT),
    ("get_buffer_bytes", [7, 0x7FFFFFFF, 1, cell(0), cell(1)], OK),
    ("get_buffer_bytes", [0, 0, 4, cell(0), cell(1)], NOT_FOUND),
    ("get_buffer_bytes", [9, 0, 4, cell(0), cell(1)], BAD_ARGUMENT),
    ("get_buffer_bytes", [7, 0, 4, WRAPS, cell(1)], BAD_MEMORY),
    ("get_buffer_bytes", [7, 0, 4, cell(0), WRAPS], BAD_MEMORY),
    ("set_buffer_bytes", [0, 0, 0, b"x"], BAD_ARGUMENT),
    ("set_buffer_bytes", [7, 0, 0, b"x"], BAD_ARGUMENT),
    ("set_buffer_bytes", [0, 0, 0, PAST_END, 32], BAD_MEMORY),
    ("get_buffer_status", [7, cell(0), cell(1)], OK),
    ("get_buffer_status", [0, cell(0), cell(1)], NOT_FOUND),
    ("get_buffer_status", [7, WRAPS, cell(1)], BAD_MEMORY),
    ("get_header_map_size", [0, cell(0)], OK),
    ("get_header_map_size", [8, cell(0)], BAD_ARGUMENT),
    ("get_header_map_size", [0, WRAPS], BAD_MEMORY),
    ("get_header_map_pairs", [0, cell(0), cell(1)], OK),
    ("get_header_map_pairs", [2, cell(0), cell(1)], OK),
    ("get_header_map_pairs", [0xFFFFFFFF, cell(0), cell(1)], BAD_ARGUMENT),
    ("get_header_map_pairs", [0, WRAPS, cell(1)], BAD_MEMORY),
    ("set_header_map_pairs", [0, pairs((b":path", b"/p"), (b"x", b"y"))], OK),
    ("set_header_map_pairs", [0, b"\1\0\0\0"], BAD_ARGUMENT),
    ("set_header_map_pairs", [0, b"\xff\xff\xff\xff\0\0\0\0"], BAD_ARGUMENT),
    ("set_header_map_pairs", [0, pairs((b"x", b"y")) + b"z"], BAD_ARGUMENT),
    ("set_header_map_pairs", [0, pairs((b"x", b"y\r\nz: 1"))], BAD_ARGUMENT),
    ("set_header_map_pairs", [0, pairs((b"transfer-encoding", b"chunked"))], BAD_ARGUMENT),
    ("set_header_map_pairs", [2, pairs((b"x", b"y"))], BAD_ARGUMENT),
    ("set_header_map_pairs", [0, PAST_END, 32], BAD_MEMORY),
    ("get_header_map_value", [0, b"x-in", cell(0), cell(1)], OK),
    ("get_header_map_value", [0, b"none", cell(0), cell(1)], NOT_FOUND),
    ("get_header_map_value", [2, b"x-in", cell(0), cell(1)], NOT_FOUND),
    ("get_header_map_value", [8, b"x-in", cell(0), cell(1)], BAD_ARGUMENT),
    ("get_header_map_value", [0, PAST_END, 32, cell(0), cell(1)], BAD_MEMORY),
    ("get_header_map_value", [0, b"x-in", WRAPS, cell(1)], BAD_MEMORY),
    ("add_header_map_value", [0, b"x", b"y"], OK),
    ("add_header_map_value", [0, b"x", b"y\r\nz: 1"], BAD_ARGUMENT),
    ("add_header_map_value", [0, b"x", b"y\0"], BAD_ARGUMENT),
    ("add_header_map_value", [0, b"x\r\ny", b"z"], BAD_ARGUMENT),
    ("add_header_map_value", [0, b"", b"z"], BAD_ARGUMENT),
    ("add_header_map_value", [0, b"connection", b"close"], BAD_ARGUMENT),
    ("add_header_map_value", [0, b"content-length", b"7"], OK),
    ("add_header_map_value", [0, b"content-length", b"7, 7"], BAD_ARGUMENT),
    ("add_header_map_value", [0, b":path", b"/"], BAD_ARGUMENT),
    ("add_header_map_value", [2, b"x", b"y"], BAD_ARGUMENT),
    ("add_header_map_value", [6, b"x", b"y"], BAD_ARGUMENT),
    ("add_header_map_value", [0, b"x", PAST_END, 32], BAD_MEMORY),
    ("add_header_map_value", [0, b"x", 65_536, 200_000], BAD_ARGUMENT),
    ("replace_header_map_value", [0, b"x-in", b"y"], OK),
    ("replace_header_map_value", [0, b"host", b"other.example"], OK),
    ("replace_header_map_value", [0, b":authority", b"a b"], BAD_ARGUMENT),
    ("replace_header_map_value", [0, b":nothing", b"x"], BAD_ARGUMENT),
    ("replace_header_map_value", [0, b"x", b"\x7f"], BAD_ARGUMENT),
    ("remove_header_map_value", [0, b"x-in"], OK),
    ("remove_header_map_value", [0, b"none"], OK),
    ("remove_header_map_value", [0, b"bad name"], OK),
    ("remove_header_map_value", [0, b":path"], BAD_ARGUMENT),
    ("remove_header_map_value", [2, b"x"], BAD_ARGUMENT),
    ("remove_header_map_value", [0, PAST_END, 32], BAD_MEMORY),
    ("get_property", [b"source\0address", cell(0), cell(1)], OK),
    ("get_property", [b"source\0address\0", cell(0), cell(1)], OK),
    ("get_property", [b"nothing", cell(0), cell(1)], NOT_FOUND),
    ("get_property", [PAST_END, 32, cell(0), cell(1)], BAD_MEMORY),
    ("set_property", [b"mine", b"value"], OK),
    ("set_property", [b"edge\0backend", b"blue"], OK),
    ("set_property", [b"edge\0backend", b"elsewhere"], BAD_ARGUMENT),
    ("set_property", [b"mine", PAST_END, 32], BAD_MEMORY),
    ("continue_stream", [0], OK),
    ("continue_stream", [3], OK),
    ("continue_stream", [4], BAD_ARGUMENT),
    ("close_stream", [9], BAD_ARGUMENT),
    ("send_local_response", [403, b"why", b"no", pairs((b"x", b"y")), 0xFFFFFFFF], OK),
    ("send_local_response", [100, b"", b"", b"", 0xFFFFFFFF], BAD_ARGUMENT),
    ("send_local_response", [101, b"", b"", b"", 0xFFFFFFFF], BAD_ARGUMENT),
    ("send_local_response", [999, b"", b"", b"", 0xFFFFFFFF], BAD_ARGUMENT),
    ("send_local_response", [403, b"", b"", pairs((b"x", b"y\n")), 0xFFFFFFFF], BAD_ARGUMENT),
    ("send_local_response", [403, b"", PAST_END, 32, b"", 0xFFFFFFFF], BAD_MEMORY),
    ("http_call", [b"auth", HEAD, b"", b"", 100, cell(0)], OK),
    ("http_call", [b"other", HEAD, b"", b"", 100, cell(0)], BAD_ARGUMENT),
    ("http_call", [b"auth", pairs((b":method", b"GET")), b"", b"", 100, cell(0)], BAD_ARGUMENT),
    ("http_call", [b"auth", HEAD, b"", b"", 0xFFFFFFFF, cell(0)], BAD_ARGUMENT),
    ("http_call", [b"auth", PAST_END, 32, b"", b"", 100, cell(0)], INTERNAL),
    ("grpc_call", [b"a", b"b", b"c", b"", b"", 1, cell(0)], INTERNAL),
    ("grpc_stream", [b"a", b"b", b"c", b"", cell(0)], INTERNAL),
    ("grpc_send", [1, b"", 1], NOT_FOUND),
    ("grpc_cancel", [1], NOT_FOUND),
    ("grpc_close", [1], NOT_FOUND),
    ("get_status", [cell(0), cell(1), cell(2)], OK),
    ("get_status", [WRAPS, cell(1), cell(2)], BAD_MEMORY),
    ("set_shared_data", [b"k", b"v", 0], OK),
    ("set_shared_data", [b"k", b"v", 77], OK),
    ("set_shared_data", [b"k", PAST_END, 32, 0], BAD_MEMORY),
    ("get_shared_data", [b"none", cell(0), cell(1), cell(2)], NOT_FOUND),
    ("get_shared_data", [PAST_END, 32, cell(0), cell(1), cell(2)], BAD_MEMORY),
    ("register_shared_queue", [b"q", cell(0)], OK),
    ("register_shared_queue", [b"q" * 5000, cell(0)], BAD_ARGUMENT),
    ("register_shared_queue", [PAST_END, 32, cell(0)], BAD_MEMORY),
    ("register_shared_queue", [b"q", PAST_END], BAD_MEMORY),
    ("resolve_shared_queue", [b"", b"none", cell(0)], NOT_FOUND),
    ("resolve_shared_queue", [b"other", b"none", cell(0)], NOT_FOUND),
    ("resolve_shared_queue", [b"", b"q" * 5000, cell(0)], NOT_FOUND),
    ("resolve_shared_queue", [b"", PAST_END, 32, cell(0)], BAD_MEMORY),
    ("enqueue_shared_queue", [1, b"x"], NOT_FOUND),
    ("enqueue_shared_queue", [0, b"x"], NOT_FOUND),
    ("enqueue_shared_queue", [0xFFFFFFFF, b"x"], NOT_FOUND),
    ("enqueue_shared_queue", [1, PAST_END, 32], BAD_MEMORY),
    ("dequeue_shared_queue", [1, cell(0), cell(1)], NOT_FOUND),
    ("define_metric", METRIC, OK),
    ("define_metric", [3, b"count", cell(3)], BAD_ARGUMENT),
    ("define_metric", [0, b"count", WRAPS], BAD_MEMORY),
    ("increment_metric", [400, 1, 0], NOT_FOUND),
    ("record_metric", [400, 1, 0], NOT_FOUND),
    ("get_metric", [400, cell(0)], NOT_FOUND),
    ("call_foreign_function", [b"compress", b"", cell(0), cell(1)], NOT_FOUND),
    ("set_effective_context", [1], OK),
    ("set_effective_context", [99], BAD_ARGUMENT),
    ("done", [], OK),
    ("args_get", [cell(0), 65_536], 0),
    ("args_get", [WRAPS, 65_536], 21),
    ("args_sizes_get", [cell(0), cell(1)], 0),
    ("environ_get", [cell(0), 65_536], 0),
    ("environ_sizes_get", [WRAPS, cell(1)], 21),
    ("fd_write", [5, cell(0), 0, cell(1)], 8),
    ("fd_write", [1, PAST_END, 1, cell(1)], 21),
    ("fd_fdstat_get", [1, cell(0)], 0),
    ("fd_fdstat_get", [3, cell(0)], 8),
    ("clock_time_get", [0, cell(0)], 0),
    ("clock_time_get", [7, cell(0)], 58),
    ("random_get", [cell(0), 16], 0),
    ("random_get", [cell(0), 70_000], 28),
    ("random_get", [PAST_END, 32], 21),
    ("poll_oneoff", [0, 0, 1, cell(0)], 0),
    ("fd_prestat_get", [3, cell(0)], 8),
    ("path_open", [3, 0, 0, 0, 0, 0, 0], 44),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    STATUSES,
    ids=[f"{index}-{row[0]}" for index, row in enumerate(STATUSES)],
)
def test_a_host_call_answers_this_status(name: str, arguments: list[int | bytes], expected: int) -> None:
    script = Script().poke(cell(0), b"\0" * 64).call(name, *arguments)
    output, _, bound = run(script)
    assert output.word() == expected
    assert output.at_end()
    assert bound.life.traps == 0


def test_the_table_names_every_host_function() -> None:
    traps = {"proc_exit"}
    assert {row[0] for row in STATUSES} | traps == set(FUNCTIONS)
    assert len(STATUSES) == 142


def test_values_are_given_in_memory_of_the_guests_own_allocator() -> None:
    script = Script().get("get_header_map_value", 0, b"X-IN").get("get_property", b"plugin_name")
    output, _, _ = run(script)
    assert (output.word(), output.bytes()) == (OK, b"hello")
    assert (output.word(), output.bytes()) == (OK, b"f")


def test_the_host_header_is_the_authority() -> None:
    script = (
        Script()
        .get("get_header_map_value", 0, b"Host")
        .call("replace_header_map_value", 0, b"host", b"B.example")
    )
    output, port, _ = run(script.get("get_header_map_value", 0, b":authority"))
    assert (output.word(), output.bytes(), output.word()) == (OK, b"example.com", OK)
    assert (output.word(), output.bytes()) == (OK, b"B.example")
    assert port.request.authority == b"b.example"


def test_time_is_the_services_clock_in_whole_milliseconds() -> None:
    output, _, _ = run(Script().call("get_current_time_nanoseconds", cell(0)).peek(cell(0), 8))
    assert output.word() == OK
    assert output.bytes() == (NOW_NS // 1_000_000 * 1_000_000).to_bytes(8, "little")


def test_argv_is_the_filters_name_and_environ_its_env() -> None:
    script = Script().call("args_sizes_get", cell(0), cell(1)).peek(cell(0), 4).peek(cell(1), 4)
    script.call("environ_sizes_get", cell(0), cell(1)).peek(cell(0), 4).peek(cell(1), 4)
    script.call("environ_get", cell(0), 70_000).peek(70_000, 8).peek(cell(0), 8)
    output, _, _ = run(script, env={"A": "1", "BC": ""})
    assert [output.word(), output.bytes(), output.bytes()] == [0, b"\1\0\0\0", b"\2\0\0\0"]
    assert [output.word(), output.bytes(), output.bytes()] == [0, b"\2\0\0\0", b"\x08\0\0\0"]
    assert [output.word(), output.bytes()] == [0, b"A=1\0BC=\0"]
    assert output.bytes() == (70_000).to_bytes(4, "little") + (70_004).to_bytes(4, "little")


def test_standard_output_is_a_log_line() -> None:
    script = Script()
    at, size = script.text(b"to stderr\x1b[0m\n")
    script.poke(cell(0), at.to_bytes(4, "little") + size.to_bytes(4, "little"))
    output, _, bound = run(script.call("fd_write", 2, cell(0), 1, cell(2)).peek(cell(2), 4))
    assert [output.word(), output.bytes()] == [0, b"\x0e\0\0\0"]
    assert bound.services.lines == [(4, "to stderr\\x1b[0m")]


ALLOCATORS: list[tuple[int, int]] = [(1, BAD_MEMORY), (2, BAD_MEMORY), (5, OK), (3, OK), (7, BAD_MEMORY)]


@pytest.mark.parametrize(("mode", "expected"), ALLOCATORS)
def test_a_lying_allocator_harms_only_its_guest(mode: int, expected: int) -> None:
    script = Script().allocator(mode).get("get_header_map_value", 0, b"x-in")
    output, port, bound = run(script.call("add_header_map_value", 0, b"x-after", b"1"))
    assert output.word() == expected
    assert output.bytes() == (b"hello" if expected == OK else b"")
    assert output.word() == OK
    assert port.request.fields[-1] == (b"x-after", b"1")
    assert bound.life.traps == 0


def test_an_allocator_that_grows_memory_gets_every_value_right() -> None:
    script = Script().allocator(3)
    for _ in range(20):
        script.get("get_header_map_pairs", 0).get("get_header_map_value", 0, b"cookie")
    output, _, _ = run(script)
    for _ in range(20):
        assert output.word() == OK
        assert (output.bytes() or b"").endswith(b"x-request-id\0" + b"6e3b0c62-7a3b-4f0e-9a3b-0c627a3b4f0e\0")
        assert (output.word(), output.bytes()) == (OK, b"sid=31d4d96e407aad42; theme=dark")


def _read_in(mode: int) -> Callable[[Script], Script]:
    return lambda script: script.allocator(mode).get("get_header_map_value", 0, b"x-in")


def _pairs_twice(script: Script) -> Script:
    return script.get("get_header_map_pairs", 0).get("get_header_map_pairs", 0)


FEW_CALLS = {"limits": model.FilterLimits(host_calls=10)}
FEW_BYTES = {"limits": model.FilterLimits(bytes_copied=700)}
TRAPS: list[tuple[str, Callable[[Script], Script], dict[str, Any], str]] = [
    ("an allocator that calls the host", _read_in(4), {}, "host_call_in_allocator"),
    ("an allocator that traps", _read_in(6), {}, "unreachable"),
    ("leaving", lambda s: s.call("proc_exit", 3), {}, "exit"),
    ("a trap of its own", Script.trap, {}, "unreachable"),
    ("too many host calls", lambda s: _repeat(s, 12), FEW_CALLS, "host_calls_budget"),
    ("too many bytes", _pairs_twice, FEW_BYTES, "bytes_copied_budget"),
    ("a loop", Script.loop, {}, "cpu_budget"),
]


def _repeat(script: Script, times: int) -> Script:
    for _ in range(times):
        script.call("get_log_level", cell(0))
    return script


@pytest.mark.parametrize(("what", "write", "fields", "code"), TRAPS, ids=[row[0] for row in TRAPS])
def test_a_guest_is_ended_with_a_code_that_says_why(
    what: str, write: Callable[[Script], Script], fields: dict[str, Any], code: str
) -> None:
    _, port, bound = run(write(Script()), **fields)
    assert port.action is Action.FAIL  # type: ignore[attr-defined]
    assert bound.life.traps == 1
    assert what


def test_traps_carry_their_code_and_frames() -> None:
    for what, write, fields, code in TRAPS:
        config = configuration(request_headers=write(Script()))
        bound = started(build.module(build.compiled("script")), config=config, **fields)
        opened = bound.open(FakePort(request_head()))
        assert not isinstance(opened, Exception)
        assert opened.request_head(True) is Action.FAIL, what
        assert opened.failure is not None
        assert getattr(opened.failure, "code", "") == code, what
        assert opened.failure.detail.startswith(code), what


def test_more_than_a_hundred_lines_are_dropped_and_counted() -> None:
    script = Script()
    for number in range(130):
        script.call("log", 3, b"line %d" % number)
    _, _, bound = run(script)
    warnings = [line for line in bound.services.lines if line[0] == 3]
    assert len(warnings) == 100
    assert bound.lines_dropped >= 30


def test_the_hundred_and_first_series_is_dropped() -> None:
    script = Script()
    for number in range(105):
        script.call("define_metric", 0, b"m%d" % number, cell(0))
    output, _, bound = run(script)
    assert output.words(105) == [OK] * 105
    assert len(bound.services.metrics.values) == 100


def test_an_unknown_function_number_would_be_seen() -> None:
    """The rows above say something only because a wrong number answers differently."""
    script = Script()
    script._code.append((2).to_bytes(4, "little") + (99).to_bytes(4, "little") + b"\0" * 48)
    assert run(script)[0].word() == 0xFFFFFFFF
