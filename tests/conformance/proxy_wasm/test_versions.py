"""Guests of 0.1.0, 0.2.0 and 0.2.1: markers, arities, other declared types, ways to start."""

from __future__ import annotations

import pytest

from edge.abi.proxy_wasm.bridge import UnfitGuest, generate
from edge.chain.filter import Action
from edge.errors import FilterUnavailable
from edge.wasm.binary import inspect
from edge.wasm.module import assemble
from tests.conformance.proxy_wasm import build
from tests.conformance.proxy_wasm.rig import FakePort, FakeServices, request_head, response_head, started

TEXTS = '(data (i32.const 100) "x-none") (data (i32.const 200) "configuredstarted")'
COMMON = f"""
(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
(import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
(memory (export "memory") 2) {TEXTS}
(global $heap (mut i32) (i32.const 65536))
(func (export "{{allocator}}") (param i32) (result i32)
  (global.get $heap) (global.set $heap (i32.add (global.get $heap) (local.get 0))))
(func $digit (param i32) (i32.store8 (i32.const 300) (i32.add (local.get 0) (i32.const 48)))
  (drop (call $log (i32.const 2) (i32.const 300) (i32.const 1))))
"""

OLD = """(module
(import "env" "proxy_get_configuration" (func $configuration (param i32 i32) (result i32)))
(import "env" "proxy_continue_request" (func $continue))
(import "env" "proxy_clear_route_cache" (func $clear))
(import "wasi_unstable" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
%s
(func (export "proxy_abi_version_0_1_0"))
(func (export "proxy_on_configure") (param i32 i32) (result i32)
  (drop (call $configuration (i32.const 400) (i32.const 404)))
  (drop (call $log (i32.const 3) (i32.load (i32.const 400)) (i32.load (i32.const 404)))) (i32.const 1))
(func (export "proxy_on_request_headers") (param i32 i32) (result i32)
  (call $digit (call $get (i32.const 0) (i32.const 100) (i32.const 6) (i32.const 400) (i32.const 404)))
  (call $digit (i32.load (i32.const 404)))
  (call $clear) (call $continue) (i32.const 1))
(func (export "proxy_on_log") (param i32))
)""" % COMMON.format(allocator="malloc")  # noqa: UP031

NEW = """(module
%s
(func (export "proxy_abi_version_%s"))
(func (export "_start") (drop (call $log (i32.const 3) (i32.const 210) (i32.const 7))))
(func (export "proxy_on_context_create") (param i32 i32))
(func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
  (call $digit (call $get (i32.const 0) (i32.const 100) (i32.const 6) (i32.const 400) (i32.const 404)))
  (call $digit (local.get 2)) (i32.const 0))
(func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) (i32.const 4))
)"""


def test_a_0_1_0_guest_gets_an_empty_value_for_a_missing_name_and_two_arguments() -> None:
    services = FakeServices()
    module = build.module(assemble(OLD), "proxy-wasm/0.1.0")
    bound = started(module, services, config=b"the configuration")
    assert services.lines == [(3, "the configuration")]
    port = FakePort(request_head())
    stream = bound.open(port)
    assert not isinstance(stream, Exception)
    assert stream.request_head(True) is Action.PAUSE
    assert [text for _, text in services.lines[1:]] == ["0", "0"]
    assert port.resumed == [0]


@pytest.mark.parametrize("version", ["0_2_0", "0_2_1"])
def test_a_0_2_guest_gets_not_found_and_three_arguments(version: str) -> None:
    services = FakeServices()
    wasm = assemble(NEW % (COMMON.format(allocator="proxy_on_memory_allocate"), version))
    bound = started(build.module(wasm, f"proxy-wasm/{version.replace('_', '.')}"), services)
    assert services.lines == [(3, "started")]
    port = FakePort(request_head())
    stream = bound.open(port)
    assert not isinstance(stream, Exception)
    assert stream.request_head(True) is Action.CONTINUE
    assert [text for _, text in services.lines[1:]] == ["1", "1"]
    port.response = response_head()
    assert stream.response_head(True) is Action.PAUSE
    stream.done()


def test_an_answer_outside_of_the_specification_pauses() -> None:
    text = NEW % (COMMON.format(allocator="malloc"), "0_2_1")
    port = FakePort(request_head(), response_head())
    for answer in ("1", "3", "255", "-1"):
        bound = started(build.module(assemble(text.replace("(i32.const 4)", f"(i32.const {answer})"))))
        stream = bound.open(port)
        assert not isinstance(stream, Exception)
        assert stream.response_head(True) is Action.PAUSE, answer


STARTS = [
    ('(func (export "_start") (call $exit (i32.const 0)))', None),
    ('(func (export "_start") (call $exit (i32.const 7)))', "code 7"),
    ('(func (export "_initialize")) (func (export "main") (param i32 i32) (result i32) (i32.const 0))', None),
    ('(func (export "_initialize") unreachable) (func (export "_start"))', "unreachable"),
    ('(func (export "_initialize") (loop (br 0)))', "cpu_budget"),
]


@pytest.mark.parametrize(("start", "error"), STARTS)
def test_a_guest_starts_by_initialize_and_main_or_by_start(start: str, error: str | None) -> None:
    wasm = assemble(
        f"""(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1) (func (export "malloc") (param i32) (result i32) (i32.const 0))
        {start})"""
    )
    if error is None:
        assert started(build.module(wasm)).life.state == "ready"
    else:
        with pytest.raises(FilterUnavailable, match=error):
            started(build.module(wasm))


MEMORY = '(memory (export "memory") 1)'
MALLOC = '(func (export "malloc") (param i32) (result i32) (i32.const 0))'
UNFIT = [
    (MEMORY, "allocator"),
    (MALLOC, "memory"),
    (MEMORY + MALLOC + '(func (export "proxy_on_log") (param i64))', "proxy_on_log"),
    (MEMORY + MALLOC + '(global (export "proxy_on_log") i32 (i32.const 0))', "proxy_on_log"),
    (MEMORY + MALLOC.replace("param i32", "param i64"), "allocator"),
]


@pytest.mark.parametrize(("body", "words"), UNFIT)
def test_a_guest_that_cannot_be_driven_is_refused_by_name(body: str, words: str) -> None:
    with pytest.raises(UnfitGuest, match=words):
        generate(inspect(assemble(f"(module {body})")))


def test_a_start_section_that_calls_the_host_meets_no_memory_yet() -> None:
    wasm = assemble(
        f"""(module (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
        {MEMORY} {MALLOC} (global $status (mut i32) (i32.const -1))
        (func $begin
          (global.set $status (call $log (i32.const 2) (i32.const 0) (i32.const 1))))
        (start $begin)
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
          (i32.eq (global.get $status) (i32.const 6))))"""
    )
    assert started(build.module(wasm)).life.state == "ready"
