"""A head that begins with known fields says the same as one that does not, whatever was done to it."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from edge.codec.h1.render import render_request
from edge.head import Field, Known, RequestHead

NAMES = st.sampled_from((b"cookie", b"accept", b"x-one", b"te", b"x-request-id"))
FIELDS = st.lists(st.tuples(NAMES, st.sampled_from((b"", b"1", b"trailers"))), min_size=1, max_size=6)
IN = (b"x-in", b"1")
Edit = Callable[[RequestHead], object]
EDITS: st.SearchStrategy[Edit] = st.one_of(
    st.builds(lambda name: lambda head: head.remove(name), NAMES),
    st.builds(lambda name: lambda head: head.set(name, b"set"), NAMES),
    st.builds(lambda name: lambda head: head.add(name, b"added"), NAMES),
    st.builds(lambda at: lambda head: head.fields.insert(at, IN) or head.touch(), st.integers(0, 6)),
    st.just(lambda head: head.fields.clear() or head.touch()),
    st.just(lambda head: head.encoded()),
    st.just(lambda head: head.extend([(b"x-two", b"2")], b"x-two\0002")),
    st.just(lambda head: render_request(head, True)),
)


def head_of(fields: list[Field], length: int | None) -> RequestHead:
    return RequestHead(b"GET", b"https", b"shop.example", b"/", fields, length)


@given(FIELDS, st.lists(st.lists(EDITS, max_size=4), max_size=4), st.sampled_from((None, 3)))
def test_known_fields_change_nothing_that_is_said(
    fields: list[Field], lives: list[list[Edit]], length: int | None
) -> None:
    known = Known(fields.copy())
    for edits in lives:
        plain, quick = head_of(fields.copy(), length), head_of(known.fields.copy(), length)
        quick.known = known
        for edit in edits:
            edit(plain)
            edit(quick)
            assert quick.encoded() == plain.encoded()
            assert render_request(quick, False) == render_request(plain, False)
    assert known.fields == fields
