"""CORS: preflights, what answers say, and to whom."""

from __future__ import annotations

import pytest

from edge import model
from edge.head import Field, ResponseHead
from edge.route import Rule
from edge.route.explain import bare_table, explain
from tests.unit.route.heads import FakeExchange, get

APP = b"https://app.example"
VARY = (b"vary", b"Origin")


def entered(cors: model.Cors, *fields: Field, method: bytes = b"GET"):
    rule = Rule("route", model.Rule(name="r", matches=[], cors=cors), None, ())
    assert rule.entry is not None
    exchange = FakeExchange()
    return exchange, rule.entry(exchange, get(b"/", *fields, method=method))


def preflight(
    cors: model.Cors, origin: bytes = APP, method: bytes = b"PUT", headers: bytes = b""
) -> list[Field]:
    asked = [(b"access-control-request-headers", headers)] if headers else []
    fields = [(b"origin", origin), (b"access-control-request-method", method), *asked]
    _, reply = entered(cors, *fields, method=b"OPTIONS")
    assert (reply.status, reply.body, reply.source) == (204, b"", "edge")
    return [(name.removeprefix(b"access-control-"), value) for name, value in reply.fields]


def answered(cors: model.Cors, *request: Field, answer: list[Field] | None = None) -> list[Field]:
    exchange, reply = entered(cors, *request)
    assert reply is None
    head = ResponseHead(200, list(answer or []))
    head.encoded()
    client = exchange.candidate and exchange.downstream
    client.send_head(head, True)
    assert head.encoded()[1] == len(head.fields) + 1
    return [(name.removeprefix(b"access-control-"), value) for name, value in head.fields]


@pytest.mark.parametrize(
    ("allowed", "origin", "yes"),
    [
        (b"https://app.example", b"https://app.example", True),
        (b"https://app.example", b"https://APP.example", True),
        (b"https://app.example", b"https://app.example:443", True),
        (b"https://app.example:443", b"https://app.example", True),
        (b"https://app.example", b"http://app.example", False),
        (b"https://app.example", b"https://app.example:8443", False),
        (b"https://app.example", b"https://app.example.evil.test", False),
        (b"https://app.example", b"https://evil.test/https://app.example", False),
        (b"https://app.example", b"null", False),
        (b"https://app.example", b"", False),
        (b"https://*.example", b"https://app.example", True),
        (b"https://*.example", b"https://a.b.example", True),
        (b"https://*.example", b"https://example", False),
        (b"https://*.example", b"https://.example", False),
        (b"https://*.example", b"https://evilexample", False),
        (b"https://*.example", b"https://evil.test#.example", False),
        (b"https://*.example", b"https://evil.test?.example", False),
        (b"https://*.example", b"https://evil.test\\.example", False),
        (b"https://*.example", b"https://evil.test@app.example", False),
        (b"https://*.example", b"https://evil.test%00.example", False),
        (b"https://*.example", b"https://*.example", False),
        (b"https://*.example", b"https://a_b-c.example", True),
        (b"https://*.example:3000", b"https://app.example:3000", True),
        (b"https://*.example:3000", b"https://app.example", False),
        (b"https://*", b"https://any.test", True),
        (b"https://*", b"http://any.test", False),
        (b"http://[::1]:3000", b"http://[::1]:3000", True),
    ],
)
def test_origins_are_compared_by_scheme_host_and_port(allowed: bytes, origin: bytes, yes: bool) -> None:
    fields = preflight(model.Cors(allow_origins=[b"https://other.test", allowed]), origin)
    assert (b"allow-origin", origin) in fields or not yes
    assert fields[-1] == VARY
    assert yes or fields == [VARY]


def test_any_origin_is_a_star_and_does_not_vary() -> None:
    star = model.Cors(allow_origins=[b"*"], allow_methods=[b"*"], allow_headers=[b"*"], expose_headers=[b"*"])
    assert preflight(star, headers=b"x-a") == [
        (b"allow-origin", b"*"),
        (b"allow-methods", b"*"),
        (b"allow-headers", b"*"),
        (b"max-age", b"5"),
    ]
    assert answered(star, (b"origin", APP)) == [(b"allow-origin", b"*"), (b"expose-headers", b"*")]
    assert answered(star) == []


def test_with_credentials_everything_is_allowed_by_name() -> None:
    named = model.Cors(
        allow_origins=[b"*"],
        allow_credentials=True,
        allow_methods=[b"*"],
        allow_headers=[b"*"],
        expose_headers=[b"*"],
        max_age_s=60,
    )
    allowed = [(b"allow-origin", APP), (b"allow-credentials", b"true")]
    assert preflight(named, headers=b"x-a, x-b") == [
        *allowed,
        (b"allow-methods", b"PUT"),
        (b"allow-headers", b"x-a, x-b"),
        (b"max-age", b"60"),
        VARY,
    ]
    assert preflight(named) == [*allowed, (b"allow-methods", b"PUT"), (b"max-age", b"60"), VARY]
    answer = [(b"etag", b"1"), (b"x-a", b"2"), (b"x-a", b"3")]
    assert answered(named, (b"origin", APP), answer=answer) == [
        *answer,
        (b"expose-headers", b"etag, x-a"),
        *allowed,
        VARY,
    ]


@pytest.mark.parametrize("asked", [b"BAD METHOD", b"PUT;x", b"<b>", b'"PUT"'])
def test_what_is_no_name_is_not_allowed_by_name(asked: bytes) -> None:
    everything = model.Cors(
        allow_origins=[APP], allow_methods=[b"*"], allow_headers=[b"*"], allow_credentials=True
    )
    fields = preflight(everything, method=asked, headers=b"x-a, " + asked)
    assert (b"allow-methods", b"") in fields
    assert (b"allow-headers", b"") in fields
    fields = preflight(everything, headers=b"x-a , X-B\t,x-c")
    assert (b"allow-headers", b"x-a , X-B\t,x-c") in fields


def test_lists_are_said_as_they_are() -> None:
    listed = model.Cors(
        allow_origins=[APP],
        allow_methods=[b"GET", b"PUT"],
        allow_headers=[b"x-a", b"x-b"],
        expose_headers=[b"x-c", b"x-d"],
    )
    assert preflight(listed, method=b"DELETE", headers=b"x-z") == [
        (b"allow-origin", APP),
        (b"allow-methods", b"GET, PUT"),
        (b"allow-headers", b"x-a, x-b"),
        (b"max-age", b"5"),
        VARY,
    ]
    assert answered(listed, (b"origin", APP)) == [
        (b"allow-origin", APP),
        (b"expose-headers", b"x-c, x-d"),
        VARY,
    ]


def test_what_upstream_says_about_origins_is_replaced() -> None:
    theirs = [(b"access-control-allow-origin", b"*"), (b"access-control-allow-credentials", b"true")]
    cors = model.Cors(allow_origins=[APP])
    assert answered(cors, (b"origin", APP), answer=theirs) == [(b"allow-origin", APP), VARY]
    assert answered(cors, (b"origin", b"https://evil.test"), answer=theirs) == [VARY]


@pytest.mark.parametrize("varies", [b"origin", b"accept, Origin", b"*"])
def test_vary_is_said_once(varies: bytes) -> None:
    answer = [(b"vary", varies)]
    assert answered(model.Cors(allow_origins=[APP]), answer=answer) == answer


def test_options_without_a_question_is_no_preflight() -> None:
    for fields in ([(b"origin", APP)], [(b"access-control-request-method", b"PUT")]):
        _, reply = entered(model.Cors(allow_origins=[APP]), *fields, method=b"OPTIONS")
        assert reply is None


def test_a_preflight_takes_the_rule_of_the_method_it_asks_for() -> None:
    put = model.Match(method=b"PUT")
    rules = [
        model.Rule(name="put", matches=[put], cors=model.Cors(allow_origins=[APP])),
        model.Rule(name="other put", matches=[put]),
        model.Rule(name="rest", matches=[model.Match()]),
    ]
    route = model.Route(name="r", listeners=["web"], hostnames=[], rules=rules)
    table = bare_table(model.Model(revision=1, listeners=[], routes=[route], clusters=[]), "web")

    def taken(*fields: Field) -> str:
        head = get(b"/", *fields, method=b"OPTIONS")
        found = table.match(head)
        assert found is not None
        assert [each.rule for each in explain(table, head) if each.won] == [found.rule.name]
        return found.rule.name

    origin = (b"origin", APP)
    assert taken(origin, (b"access-control-request-method", b"PUT")) == "put"
    assert taken(origin, (b"access-control-request-method", b"GET")) == "rest"
    assert taken((b"access-control-request-method", b"PUT")) == "rest"
    assert taken(origin) == "rest"


def test_all_else_reaches_the_client_as_it_is() -> None:
    exchange = FakeExchange()
    client = exchange.downstream
    rule = Rule("route", model.Rule(name="r", matches=[], cors=model.Cors(allow_origins=[APP])), None, ())
    assert rule.entry is not None
    rule.entry(exchange, get(b"/", (b"origin", APP)))
    marked, early = exchange.downstream, ResponseHead(103, [])
    marked.send_informational(early)
    marked.send_data(b"x", False)
    marked.send_trailers([(b"a", b"b")])
    marked.pause_request()
    marked.resume_request()
    whole = ResponseHead(200, [])
    marked.send_whole(whole, b"body")
    marked.reset("error")
    assert early.fields == [] and len(whole.fields) == 2
    assert client.events == [
        ("send_informational", early),
        ("send_data", b"x", False),
        ("send_trailers", [(b"a", b"b")]),
        ("pause_request",),
        ("resume_request",),
        ("send_whole", whole, b"body", None),
        ("reset", "error"),
    ]
