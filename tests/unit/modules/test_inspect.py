"""Reports on uploads: every reason at once, in words."""

from __future__ import annotations

import hashlib

import pytest

from edge.control.modules.inspect import report
from edge.wasm.module import assemble


def guest(
    text: str = "", marker: str = "proxy_abi_version_0_2_1", memory: str = '(export "memory")'
) -> bytes:
    return assemble(
        f'(module {text} (memory {memory} 1) (func (export "{marker}"))'
        ' (func (export "malloc") (param i32) (result i32) (i32.const 8)))'
    )


LOG = '(import "env" "proxy_log" (func (param i32 i32 i32) (result i32)))'


@pytest.mark.parametrize(
    ("marker", "abi"),
    [
        ("proxy_abi_version_0_1_0", "proxy-wasm/0.1.0"),
        ("proxy_abi_version_0_2_0", "proxy-wasm/0.2.0"),
        ("proxy_abi_version_0_2_1", "proxy-wasm/0.2.1"),
    ],
)
def test_the_abi_is_recognised_by_its_marker(marker: str, abi: str) -> None:
    wasm = guest(LOG, marker)
    found = report(wasm)
    assert (found.abi, found.errors) == (abi, [])
    assert found.digest == hashlib.sha256(wasm).hexdigest()
    assert [(module, name) for module, name, _ in found.links] == [("env", "proxy_log")]
    assert found.bridge


def test_a_newer_abi_is_named() -> None:
    assert report(guest(marker="proxy_abi_version_0_3_0")).errors == [
        "proxy_abi_version_0_3_0 is exported: this version of Proxy-Wasm is not supported"
    ]


def test_a_module_without_marker_is_refused() -> None:
    assert report(guest(marker="main")).errors == [
        "no known ABI: no proxy_abi_version_0_1_0, _0_2_0 or _0_2_1 is exported"
    ]


def test_http_wasm_is_named_as_not_supported_yet() -> None:
    wasm = guest('(import "http_handler" "log" (func (param i32 i32 i32)))', marker="handle_request")
    assert report(wasm).errors == ["this is an http-wasm module: that ABI is not supported yet"]


def test_all_errors_come_at_once() -> None:
    wasm = guest('(import "env" "exec" (func)) (import "env" "fork" (func)) (memory 1)', memory="")
    errors = report(wasm).errors
    assert errors[0] == "the module has 2 memories, it must have exactly one"
    assert [error.split(" ")[2].rstrip(":,") for error in errors[1:3]] == ["env.exec", "env.fork"]
    assert len(errors) == 4
    assert not report(wasm).bridge


def test_a_start_section_is_a_warning() -> None:
    found = report(guest("(func $s) (start $s)"))
    assert found.errors == []
    assert found.warnings == ["it has a start section: no host call works before the instance is linked"]


def test_what_is_defined_but_not_carried_out_is_a_warning() -> None:
    found = report(guest('(import "env" "proxy_grpc_cancel" (func (param i32) (result i32)))'))
    assert found.errors == []
    assert len(found.warnings) == 1 and "proxy_grpc_cancel" in found.warnings[0]


def test_bytes_that_are_no_module_give_one_error_and_no_inspection() -> None:
    found = report(b"MZ")
    assert found.inspection is None
    assert found.errors == ["not a WASM binary (it does not start with \\0asm)"]


def test_names_of_the_uploader_are_made_printable() -> None:
    errors = report(guest('(import "env" "a\\nok: accepted\\1b[2J" (func))')).errors
    assert len(errors) == 1
    assert errors[0].isprintable() and "env.a?ok: accepted?[2J" in errors[0]
