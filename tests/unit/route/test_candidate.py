"""What a match compares beside the path."""

from __future__ import annotations

import pytest

from edge import model
from edge.head import RequestHead
from edge.route import Candidate
from edge.route.candidate import parameter_reader
from tests.unit.route.heads import get, named


def accepts(head: RequestHead, **match: object) -> bool:
    return Candidate(model.Match(**match), named(), 0).choose(head) is not None


def header(name: bytes, value: bytes, regex: bool = False) -> list[model.HeaderMatch]:
    return [model.HeaderMatch(name=name, value=value, regex=regex)]


def test_a_header_is_compared_whole_and_by_its_first_value() -> None:
    head = get(b"/", (b"x-v", b"1"), (b"x-v", b"2"))
    assert accepts(head, headers=header(b"X-V", b"1"))
    assert not accepts(head, headers=header(b"x-v", b"2"))
    assert not accepts(head, headers=header(b"x-w", b""))
    assert accepts(head, headers=header(b"x-v", b"[0-9]", True))
    assert not accepts(get(b"/", (b"x-v", b"12")), headers=header(b"x-v", b"[0-9]", True))
    assert not accepts(get(b"/"), headers=header(b"x-v", b".*", True))


def test_bytes_beyond_ascii_are_compared_as_they_are() -> None:
    assert accepts(get(b"/", (b"x-v", b"caf\xe9")), headers=header(b"x-v", b"caf\xe9"))
    assert accepts(get(b"/", (b"x-v", b"caf\xe9")), headers=header(b"x-v", b"caf[\xe8-\xea]", True))


def test_host_content_length_and_upgrade_are_found_where_a_head_keeps_them() -> None:
    head = get(b"/", host=b"shop.example:8443")
    head.length, head.upgrade = 3, b"websocket"
    assert accepts(head, headers=header(b"host", b"shop.example:8443"))
    assert accepts(head, headers=header(b"Host", b"shop\\.example(:[0-9]+)?", True))
    assert accepts(head, headers=header(b"content-length", b"3"))
    assert accepts(head, headers=header(b"upgrade", b"websocket"))
    assert not accepts(get(b"/"), headers=header(b"content-length", b"0"))
    assert not accepts(get(b"/"), headers=header(b"upgrade", b".*", True))


def test_of_two_entries_for_one_name_the_first_counts() -> None:
    double = header(b"x-v", b"1") + header(b"X-V", b"2")
    assert accepts(get(b"/", (b"x-v", b"1")), headers=double)
    assert not accepts(get(b"/", (b"x-v", b"2")), headers=double)
    made = Candidate(model.Match(headers=double), named(), 0)
    assert made.headers == 1


def test_methods_are_compared_by_case() -> None:
    assert accepts(get(b"/", method=b"POST"), method=b"POST")
    assert not accepts(get(b"/", method=b"post"), method=b"POST")


@pytest.mark.parametrize(
    ("name", "target", "value"),
    [
        (b"v", b"/?v=1", b"1"),
        (b"v", b"/?v=1&v=2", b"1"),
        (b"v", b"/?w=1&v=2", b"2"),
        (b"v", b"/?vv=1&av=2", None),
        (b"v", b"/", None),
        (b"v", b"/?", None),
        (b"v", b"/?v", b""),
        (b"v", b"/?v=", b""),
        (b"v", b"/?v=a=b", b"a=b"),
        (b"v", b"/?%76=a", b"a"),
        (b"V", b"/?v=1", None),
        (b"v", b"/?v=a%26b%3Dc", b"a&b=c"),
        (b"v", b"/?v=a+b%2Bc", b"a b+c"),
        (b"v", b"/?v=%c3%A9%zz", b"\xc3\xa9%zz"),
        (b"a b", b"/?a+b=1", b"1"),
        (b"a b", b"/?a%20b=1", b"1"),
        (b"a+b", b"/?a%2bb=1", b"1"),
        (b"a+b", b"/?a+b=1", None),
        (b"\xc3\xa9", b"/?%C3%a9=1", b"1"),
        (b"a.c", b"/?abc=1", None),
        (b"v", b"/?x?v=1", None),
        (b"v", b"/?x=?v=1&v=2", b"2"),
        (b"v", b"/v=1", None),
        (b"%", b"/?%25=1", b"1"),
        (b"~", b"/?%7e=1", b"1"),
    ],
)
def test_a_query_parameter_is_read_as_forms_are(name: bytes, target: bytes, value: bytes | None) -> None:
    assert parameter_reader(name)(get(target)) == value


def test_query_parameters_are_matched_exactly_or_by_a_pattern() -> None:
    def query(value: bytes, regex: bool = False) -> list[model.QueryMatch]:
        return [model.QueryMatch(name=b"v", value=value, regex=regex)]

    assert accepts(get(b"/?v=a%20b"), query=query(b"a b"))
    assert accepts(get(b"/?v=12"), query=query(b"[0-9]+", True))
    assert not accepts(get(b"/?v=12x"), query=query(b"[0-9]+", True))
    assert not accepts(get(b"/"), query=query(b".*", True))


def test_a_long_hostile_query_is_read_in_one_pass() -> None:
    read = parameter_reader(b"version")
    assert read(get(b"/?" + b"versio=" * 2000 + b"&version=1")) == b"1"
    assert read(get(b"/?" + b"&%76ersio" * 1700)) is None
