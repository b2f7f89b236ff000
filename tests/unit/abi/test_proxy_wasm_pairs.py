"""Serialised pairs from a guest: exact sizes or nothing, and only what may go on a wire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.abi.proxy_wasm.pairs import clean, parse
from tests.conformance.proxy_wasm.script import pairs

FIELDS = st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=20)), max_size=10)


@given(fields=FIELDS)
def test_what_was_serialised_is_read_back_with_lower_names(fields: list[tuple[bytes, bytes]]) -> None:
    assert parse(pairs(*fields)) == [(name.lower(), value) for name, value in fields]


@given(fields=FIELDS.filter(bool), cut=st.integers(1, 3), data=st.data())
def test_a_cut_or_longer_serialisation_is_refused(
    fields: list[tuple[bytes, bytes]], cut: int, data: st.DataObject
) -> None:
    whole = pairs(*fields)
    assert parse(whole[:-cut]) is None
    assert parse(whole + data.draw(st.binary(min_size=1, max_size=3))) is None


@given(junk=st.binary(max_size=64))
def test_junk_never_raises(junk: bytes) -> None:
    found = parse(junk)
    assert found is None or isinstance(found, list)


@pytest.mark.parametrize("empty", [b"", b"\0", b"\0\0\0\0"])
def test_an_empty_map_has_several_forms(empty: bytes) -> None:
    assert parse(empty) == []


def test_framing_and_pseudo_headers_are_dropped_and_controls_refused() -> None:
    assert clean([(b":status", b"200"), (b"content-length", b"3"), (b"x", b"y"), (b"connection", b"x")]) == [
        (b"x", b"y")
    ]
    assert clean([(b"x", b"y\r\nz: 1")]) is None
    assert clean([(b"x y", b"z")]) is None
