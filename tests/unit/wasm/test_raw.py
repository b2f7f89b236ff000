"""The private bindings: what is checked at import, and what it says when something differs."""

from __future__ import annotations

import pytest

from edge.wasm import raw


def test_the_bindings_of_this_installation_pass_their_check() -> None:
    raw.check_bindings()
    assert len(raw._SYMBOLS) == 36


def test_another_version_is_refused_by_naming_the_one_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw, "version", lambda _name: "51.0.0")
    with pytest.raises(ImportError, match=r"needs wasmtime==50\.0\.1 exactly, found 51\.0\.0"):
        raw.check_bindings()


@pytest.mark.parametrize("arity", [4, 6])
def test_a_symbol_with_other_arguments_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, arity: int
) -> None:
    monkeypatch.setitem(raw._SYMBOLS, "wasmtime_func_call_unchecked", arity)
    with pytest.raises(ImportError, match="wasmtime_func_call_unchecked is missing or takes other"):
        raw.check_bindings()


def test_a_missing_symbol_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(raw._SYMBOLS, "wasmtime_gone", 1)
    with pytest.raises(ImportError, match="wasmtime_gone is missing"):
        raw.check_bindings()
