"""Paths and authorities: canonical once is canonical for ever, and nothing climbs."""

from __future__ import annotations

import re
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import BadRequest
from edge.syntax import canonical_authority, canonical_path

PARTS = st.sampled_from(
    (
        b"/",
        b".",
        b"..",
        b"%2e",
        b"%2E",
        b"%61",
        b"%25",
        b"%c3%a9",
        b"%c0%ae",
        b";",
        b"%3b",
        b"a",
        b"B",
        b"?",
        b"&",
    )
)


@settings(max_examples=1500, deadline=None)
@given(st.lists(PARTS | st.binary(max_size=2), max_size=14).map(b"".join))
def test_a_canonical_path_is_final_and_stays_below_the_root(tail: bytes) -> None:
    with suppress(BadRequest):
        canonical = canonical_path(b"/" + tail)
        assert canonical_path(canonical) == canonical
        path, _, query = canonical.partition(b"?")
        assert not {b".", b".."} & set(path.split(b"/"))
        assert b"//" not in path
        assert re.fullmatch(rb"[\x21-\x7e]+", canonical)
        assert b"#" not in canonical
        assert not re.search(rb"%(?![0-9A-F]{2})|%(?:2F|5C|00|2E|61)", path)
        assert (b"/" + tail).partition(b"?")[2] == query


@settings(max_examples=500, deadline=None)
@given(st.from_regex(rb"[A-Za-z0-9.:@\[\]% ,/-]{0,12}", fullmatch=True) | st.binary(max_size=8))
def test_a_canonical_authority_is_final(authority: bytes) -> None:
    with suppress(BadRequest):
        canonical = canonical_authority(authority)
        assert canonical_authority(canonical) == canonical
        assert re.fullmatch(rb"(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]+)?", canonical)
