"""Redirects and direct responses."""

from __future__ import annotations

import pytest

from edge import model
from edge.errors import BadRequest
from edge.head import RequestHead
from edge.route import Rule, Site
from tests.unit.route.heads import FakeExchange, get


def answer(head: RequestHead, port: int = 443, match: model.Match | None = None, **fields: object):
    rule = model.Rule(name="r", matches=[], **fields)
    outbound = Rule("route", rule, None, (), Site(port)).outbound
    assert outbound is not None
    reply = outbound(FakeExchange(match), head)
    assert reply is not None and reply.source == "edge"
    return reply


def location(head: RequestHead, listens: int = 443, matched: bytes = b"/", **redirect: object) -> bytes:
    reply = answer(head, listens, model.Match(path=matched), redirect=model.Redirect(**redirect))
    assert reply.body == b"" and reply.details == "redirect"
    (field,) = reply.fields
    assert field[0] == b"location"
    return field[1]


@pytest.mark.parametrize(
    ("listener", "redirect", "expected"),
    [
        # The table of GEP-1364 and of the conformance tests: given port, scheme's port, listener's port.
        (80, {"scheme": b"https"}, b"https://shop.example/x"),
        (80, {"scheme": b"https", "port": 443}, b"https://shop.example/x"),
        (80, {"scheme": b"https", "port": 8443}, b"https://shop.example:8443/x"),
        (80, {"scheme": b"http", "port": 80}, b"http://shop.example/x"),
        (8080, {"scheme": b"https"}, b"https://shop.example/x"),
        (8080, {"scheme": b"http"}, b"http://shop.example/x"),
        (443, {"hostname": b"other.example"}, b"https://other.example/x"),
        (8443, {"hostname": b"other.example"}, b"https://other.example:8443/x"),
        (8443, {"hostname": b"other.example", "port": 443}, b"https://other.example/x"),
        (80, {"hostname": b"other.example"}, b"https://other.example:80/x"),
    ],
)
def test_the_port_is_the_one_given_else_the_schemes_else_the_listeners(
    listener: int, redirect: dict[str, object], expected: bytes
) -> None:
    assert location(get(b"/x", host=b"shop.example:9999"), listener, **redirect) == expected


def test_path_and_query_are_kept_unless_the_path_is_replaced() -> None:
    head = get(b"/old/a/b?q=/old")
    assert location(head, hostname=b"h.example") == b"https://h.example/old/a/b?q=/old"
    assert location(head, full=b"/new") == b"https://shop.example/new?q=/old"
    assert location(head, matched=b"/old", prefix=b"/new") == b"https://shop.example/new/a/b?q=/old"
    assert location(get(b"/old"), matched=b"/old/", prefix=b"/") == b"https://shop.example/"
    assert location(get(b"/set/by/a/filter"), matched=b"/old", prefix=b"/new").endswith(b"/set/by/a/filter")


def test_an_ipv6_host_keeps_its_brackets() -> None:
    assert location(get(b"/", host=b"[2001:db8::1]:80"), scheme=b"https") == b"https://[2001:db8::1]/"


def test_a_request_without_a_host_is_sent_to_a_path() -> None:
    assert location(get(b"/x", host=b""), scheme=b"https") == b"/x"


def test_the_asterisk_is_sent_to_the_root() -> None:
    assert location(get(b"*", method=b"OPTIONS"), scheme=b"https") == b"https://shop.example/"


def test_a_new_path_that_climbs_is_refused() -> None:
    head = get(b"/x")
    head.path = b"/old/../admin"
    with pytest.raises(BadRequest):
        location(head, matched=b"/old", prefix=b"/new")


def test_response_modifiers_of_the_rule_edit_its_own_answers() -> None:
    edit = model.HeaderModifier(set=[(b"x-why", b"moved")], remove=[b"content-type"])
    moved = answer(get(b"/"), redirect=model.Redirect(scheme=b"https"), response_headers=edit)
    assert (b"x-why", b"moved") in moved.fields
    direct = answer(get(b"/"), direct_response=model.DirectResponse(body=b"hi"), response_headers=edit)
    assert direct.fields == [(b"x-why", b"moved")]


def test_a_direct_response_has_a_type_where_it_has_a_body() -> None:
    made = model.DirectResponse(status=503, content_type=b"text/html", body=b"<p>closed")
    reply = answer(get(b"/"), direct_response=made)
    assert (reply.status, reply.fields, reply.body) == (503, [(b"content-type", b"text/html")], b"<p>closed")
    assert answer(get(b"/"), direct_response=model.DirectResponse(status=204)).fields == []
