"""Header lists to heads: what is remembered, and what each limit says."""

from __future__ import annotations

import pytest

from edge.codec.h2 import head as head_module
from edge.codec.h2.fields import CACHE_ENTRIES, CACHE_FIELD_BYTES, Malformed, parse_trailers, response_fields
from edge.codec.h2.head import Repeat, parse_request
from edge.errors import BadRequest
from edge.head import REPEAT_BYTES, Field, RequestHead, ResponseHead
from edge.model import Limits

START: tuple[Field, ...] = (
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":path", b"/"),
    (b":authority", b"a"),
)


def _parse(
    *fields: Field, end: bool = True, start: tuple[Field, ...] = START, limits: Limits | None = None
) -> RequestHead:
    return parse_request((*start, *fields), end, b"https", limits or Limits(), Repeat())


def test_order_and_duplicates_of_fields_stay() -> None:
    head = _parse((b"x-a", b"1"), (b"x-b", b"2"), (b"x-a", b"3"), (b"x-empty", b""))
    assert head.fields == [(b"x-a", b"1"), (b"x-b", b"2"), (b"x-a", b"3"), (b"x-empty", b"")]


def test_the_scheme_is_the_connections() -> None:
    start = tuple((name, b"http" if name == b":scheme" else value) for name, value in START)
    assert _parse(start=start).scheme == b"https"


def test_path_and_authority_are_canonical() -> None:
    start = (*START[:2], (b":path", b"/a/../b?c=%41"), (b":authority", b"EXAMPLE.com.:0443"))
    head = _parse(start=start)
    assert (head.path, head.authority) == (b"/b?c=%41", b"example.com:443")


def test_a_length_leaves_the_fields() -> None:
    head = _parse((b"content-length", b"5"), (b"x", b"y"), end=False)
    assert (head.length, head.fields) == (5, [(b"x", b"y")])
    assert _parse((b"content-length", b"0")).length == 0


def test_an_expectation_without_a_body_means_nothing() -> None:
    assert not _parse((b"expect", b"100-continue")).expect_continue
    assert _parse((b"expect", b"100-Continue"), end=False).expect_continue
    for length, waits in ((b"0", False), (b"1", True)):
        fields = ((b"expect", b"100-continue"), (b"content-length", length))
        assert _parse(*fields, end=False).expect_continue is waits


@pytest.mark.parametrize(
    ("fields", "limits"),
    [
        (((b"x", b"v" * 61_440),), Limits()),
        (tuple((b"x-%d" % i, b"") for i in range(101)), Limits()),
        (((b"x", b"y"),), Limits(head_bytes=60)),
        (((b"x", b"y"), (b"x", b"z")), Limits(head_fields=1)),
    ],
)
def test_a_head_over_its_limits_is_431(fields: tuple[Field, ...], limits: Limits) -> None:
    with pytest.raises(BadRequest) as refused:
        _parse(*fields, limits=limits)
    assert (refused.value.status, isinstance(refused.value, Malformed)) == (431, False)


def test_limits_that_were_lowered_hold_for_a_repeated_head() -> None:
    repeat = Repeat()
    fields = (*START, (b"x", b"y"))
    parse_request(fields, True, b"https", Limits(), repeat)
    assert parse_request(fields, True, b"https", repeat.limits or Limits(), repeat).fields == [(b"x", b"y")]
    with pytest.raises(BadRequest):
        parse_request(fields, True, b"https", Limits(head_fields=0), repeat)


def test_a_repeat_with_another_path_is_another_request() -> None:
    repeat, limits = Repeat(), Limits()
    other = (*START[:2], (b":path", b"/b"), START[3])
    for start, path in ((START, b"/"), (other, b"/b"), (START, b"/"), (other, b"/b")):
        head = parse_request((*start, (b"x", b"y")), True, b"https", limits, repeat)
        assert (head.path, head.fields) == (path, [(b"x", b"y")])


def test_a_head_with_a_length_is_never_repeated() -> None:
    repeat, limits = Repeat(), Limits()
    parse_request((*START, (b"content-length", b"3")), False, b"https", limits, repeat)
    with pytest.raises(Malformed):
        parse_request((*START, (b"content-length", b"3")), True, b"https", limits, repeat)


def test_secrets_are_not_remembered() -> None:
    _parse((b"authorization", b"Bearer s3cret"), (b"cookie", b"id=s3cret"), (b"x-plain", b"kept"))
    remembered = repr(dict(head_module._known)) + repr(head_module._starts)
    assert "kept" in remembered
    assert "s3cret" not in remembered


def test_memory_is_bounded() -> None:
    for i in range(CACHE_ENTRIES + 10):
        _parse((b"x-n", b"%d" % i), start=(*START[:2], (b":path", b"/%d" % i), START[3]))
    assert len(head_module._known) <= CACHE_ENTRIES
    assert len(head_module._starts) <= CACHE_ENTRIES


def test_trailers_lose_what_may_not_come_late() -> None:
    kept = parse_trailers(((b"x-sum", b"1"), (b"set-cookie", b"a"), (b"x-forwarded-for", b"b")))
    assert kept == [(b"x-sum", b"1")]


@pytest.mark.parametrize(
    "fields",
    [
        ((b":path", b"/"),),
        ((b"X", b"y"),),
        ((b"x", b"a\nb"),),
        ((b"connection", b"x"),),
        ((b"x", b"y"),) * 101,
    ],
)
def test_malformed_trailers_are_refused(fields: tuple[Field, ...]) -> None:
    with pytest.raises(Malformed):
        parse_trailers(fields)


def _start(**changed: bytes | None) -> tuple[Field, ...]:
    found = ((name, changed.get(name[1:].decode(), value)) for name, value in START)
    return tuple((name, value) for name, value in found if value is not None)


@pytest.mark.parametrize(
    "listed",
    [
        *((*START, (name, b"v")) for name in (b"X", b"x y", b"x:", b"", b"x\0", b"x\xff", b"x\r\n", b":x")),
        *((*START, (b"x", value)) for value in (b"a\0", b"a\rb", b"a\nb", b"a\x7f", b" a", b"a ", b"a\x07b")),
        *(
            (*START, (name, b"v"))
            for name in (b"connection", b"keep-alive", b"upgrade", b"transfer-encoding")
        ),
        (*START, (b"te", b"gzip")),
        (*START, START[0]),
        (*START, (b":status", b"200")),
        (*START[:3], (b"x", b"y"), START[3]),
        *(_start(method=method) for method in (None, b"", b"G T", b"G\xff", b"G\r\n")),
        *(_start(scheme=scheme) for scheme in (None, b"", b"ftp", b"https ")),
        *(_start(path=path) for path in (None, b"", b"a", b"/a b", b"/\xff", b"/a#b", b"*", b"http://a/")),
        *(_start(authority=name) for name in (None, b"", b"a b", b"u@a", b"a,b", b"a\0")),
        (*START, (b":protocol", b"websocket")),
    ],
)
def test_malformed_heads_are_refused_whatever_the_engine_lets_pass(listed: tuple[Field, ...]) -> None:
    """Rows 69 to 72 without an engine, which refuses most of them first."""
    with pytest.raises(Malformed):
        parse_request(listed, True, b"https", Limits(), Repeat())


def test_a_response_tells_its_length_only_where_it_counts() -> None:
    head = ResponseHead(200, [(b"x", b"y")], 5)
    assert response_fields(head, True) == [(b":status", b"200"), (b"x", b"y"), (b"content-length", b"5")]
    assert response_fields(head, False) == [(b":status", b"200"), (b"x", b"y")]


def test_the_promise_to_take_trailers_is_spelt_one_way() -> None:
    assert _parse((b"te", b"Trailers")).fields == [(b"te", b"trailers")]


def test_an_empty_crumb_leaves_no_blank_at_the_end() -> None:
    """A value that ends in a blank is malformed in the HTTP/2 that an upstream may speak."""
    head = _parse(*((b"cookie", crumb) for crumb in (b"", b"a=b", b"", b"c", b"")))
    assert head.get_all(b"cookie") == [b"a=b; c"]


def test_a_repeat_keeps_little_however_long_its_next_path() -> None:
    """Not even where all but the path comes again: what is kept grows by a short start at most."""
    repeat, limits = Repeat(), Limits()
    fields = ((b"x-pad", b"p" * 3900),)
    parse_request((*_start(), *fields), True, b"https", limits, repeat)
    for size in (180, 5000):
        for _ in range(3):
            listed = (*_start(path=b"/" + b"x" * size), *fields)
            parse_request(listed, True, b"https", limits, repeat)
            kept = sum(len(name) + len(value) for name, value in repeat.listed)
            assert kept <= REPEAT_BYTES + CACHE_FIELD_BYTES
