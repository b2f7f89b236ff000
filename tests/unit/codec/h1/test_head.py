"""Heads: what leaves the fields, what stays, what the line cache must not change."""

from __future__ import annotations

import pytest

from edge.codec.h1 import fields as field_lines
from edge.codec.h1.head import Framing, Repeat, RequestParse, parse_request, parse_response
from edge.errors import BadRequest
from edge.model import Limits


def parse(*lines: bytes, start: bytes = b"GET / HTTP/1.1", limits: Limits | None = None) -> RequestParse:
    return parse_request(b"\r\n".join((start, b"Host: a", *lines)), b"https", limits or Limits())


def test_fields_keep_order_duplicates_and_bytes() -> None:
    head = parse(b"B: 1", b"a:2 ", b"B:\t3\xff").head
    assert head.fields == [(b"b", b"1"), (b"a", b"2"), (b"b", b"3\xff")]
    assert (head.method, head.scheme, head.authority, head.path) == (b"GET", b"https", b"a", b"/")
    assert (head.protocol, head.length, head.upgrade, head.expect_continue) == ("HTTP/1.1", None, None, False)


def test_a_known_line_gives_the_same_as_a_new_one() -> None:
    lines = (
        b"Accept: x",
        b"Content-Type: a/b",
        b"Content-Length: 5",
        b"TE: trailers",
        b"Connection: x-b",
        b"X-B: c",
    )
    first, second = parse(*lines), parse(*lines)
    assert (
        first.head.fields
        == second.head.fields
        == [(b"accept", b"x"), (b"content-type", b"a/b"), (b"te", b"trailers")]
    )
    assert first.framing is second.framing is Framing.LENGTH
    first.head.add(b"x-c", b"d")
    assert parse(*lines).head.fields == second.head.fields


def test_lines_with_secrets_and_long_lines_are_never_remembered() -> None:
    from edge.codec.h1.head import _requests

    secrets = (
        b"Authorization: Basic c2VjcmV0",
        b"Cookie: session=secret",
        b"Proxy-Authorization: Basic c2Vj",
    )
    parse(*secrets, b"X-Long: " + b"a" * 300)
    kept = b"\n".join([*_requests, *_requests._special])
    assert not any(line in kept for line in secrets)
    assert b"X-Long" not in kept


def test_the_memory_of_lines_is_bounded() -> None:
    from edge.codec.h1.head import _requests

    for index in range(2 * field_lines.CACHE_ENTRIES // 50):
        parse(*(b"X-%d-%d: a" % (index, field) for field in range(50)))
        assert len(_requests) + len(_requests._special) <= field_lines.CACHE_ENTRIES
    for index in range(field_lines.CACHE_ENTRIES + 10):
        parse(start=b"GET /%d HTTP/1.1" % index)
    assert parse(b"X-0-0: a", start=b"GET /0 HTTP/1.1").head.fields == [(b"x-0-0", b"a")]


@pytest.mark.parametrize(
    ("lines", "start", "framing", "keep_alive"),
    [
        ((), b"GET / HTTP/1.1", Framing.NONE, True),
        ((b"Connection: close",), b"GET / HTTP/1.1", Framing.NONE, False),
        ((b"Connection: Keep-Alive, CLOSE",), b"GET / HTTP/1.1", Framing.NONE, False),
        ((), b"GET / HTTP/1.0", Framing.NONE, False),
        ((b"Connection: keep-alive",), b"GET / HTTP/1.0", Framing.NONE, True),
        ((b"Content-Length: 0",), b"POST / HTTP/1.1", Framing.NONE, True),
        ((b"Content-Length: 7",), b"POST / HTTP/1.1", Framing.LENGTH, True),
        ((b"Transfer-Encoding: CHUNKED",), b"POST / HTTP/1.1", Framing.CHUNKED, True),
    ],
)
def test_framing_and_persistence(
    lines: tuple[bytes, ...], start: bytes, framing: Framing, keep_alive: bool
) -> None:
    parsed = parse(*lines, start=start)
    assert (parsed.framing, parsed.keep_alive) == (framing, keep_alive)


@pytest.mark.parametrize(
    ("lines", "start", "upgrade"),
    [
        ((b"Connection: Upgrade", b"Upgrade: WebSocket"), b"GET / HTTP/1.1", b"websocket"),
        ((b"Connection: Upgrade", b"Upgrade: h2c, websocket"), b"GET / HTTP/1.1", b"websocket"),
        ((b"Connection: Upgrade", b"Upgrade: h2c"), b"GET / HTTP/1.1", None),
        ((b"Connection: Upgrade", b"Upgrade: TLS/1.2"), b"GET / HTTP/1.1", None),
        ((b"Connection: Upgrade", b"Upgrade: HTTP/2.0"), b"GET / HTTP/1.1", None),
        ((b"Upgrade: websocket",), b"GET / HTTP/1.1", None),
        ((b"Connection: Upgrade", b"Upgrade: websocket"), b"GET / HTTP/1.0", None),
        ((b"Connection: Upgrade", b"Upgrade: websocket", b"Content-Length: 5"), b"GET / HTTP/1.1", None),
    ],
)
def test_an_upgrade_is_accepted_only_where_it_can_be_tunnelled(
    lines: tuple[bytes, ...], start: bytes, upgrade: bytes | None
) -> None:
    parsed = parse(*lines, start=start)
    assert parsed.head.upgrade == upgrade
    assert (parsed.framing is Framing.TUNNEL) is (upgrade is not None)
    assert b"upgrade" not in dict(parsed.head.fields)


def test_te_goes_on_only_as_the_promise_to_take_trailers() -> None:
    assert parse(b"TE: gzip;q=0.5, Trailers").head.get(b"te") == b"trailers"
    assert parse(b"TE: gzip;q=0.5").head.get(b"te") is None


def test_options_asterisk_keeps_its_target() -> None:
    assert parse(start=b"OPTIONS * HTTP/1.1").head.path == b"*"


@pytest.mark.parametrize(
    ("lines", "start", "status"),
    [
        (tuple(b"X: %d" % n for n in range(100)), b"GET / HTTP/1.1", 431),
        ((b"X: " + b"a" * (60 << 10),), b"GET / HTTP/1.1", 431),
        ((), b"GET /" + b"a" * (16 << 10) + b" HTTP/1.1", 414),
        ((), b"GET /" + b"a" * (70 << 10) + b" HTTP/1.1", 414),
        ((b"Expect: x",), b"POST / HTTP/1.1", 417),
        ((), b"GET / HTTP/3.0", 505),
        ((), b"TRACE / HTTP/1.1", 405),
        ((), b"CONNECT a:443 HTTP/1.1", 501),
        ((b"Transfer-Encoding: gzip, chunked",), b"POST / HTTP/1.1", 501),
    ],
)
def test_each_refusal_has_its_status(lines: tuple[bytes, ...], start: bytes, status: int) -> None:
    for _ in range(2):
        with pytest.raises(BadRequest) as refused:
            parse(*lines, start=start)
        assert refused.value.status == status


def test_a_response_loses_its_hop_and_keeps_what_matters_end_to_end() -> None:
    block = b"\r\n".join(
        (
            b"HTTP/1.1 200 OK",
            b"Connection: close, X-Hop, Set-Cookie",
            b"X-Hop: 1",
            b"Set-Cookie: a=b",
            b"Set-Cookie: c=d",
            b"Keep-Alive: timeout=5",
            b"Content-Length: 3",
        )
    )
    parsed = parse_response(block, b"GET", Limits())
    assert parsed.head.fields == [(b"set-cookie", b"a=b"), (b"set-cookie", b"c=d")]
    assert (parsed.head.status, parsed.head.length, parsed.keep_alive) == (200, 3, False)


def test_a_101_keeps_the_protocol_it_grants() -> None:
    block = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-A: b"
    parsed = parse_response(block, b"GET", Limits())
    assert parsed.framing is Framing.TUNNEL
    assert parsed.head.fields == [(b"x-a", b"b"), (b"upgrade", b"websocket")]


def test_a_repeated_head_is_the_same_as_one_parsed_anew() -> None:
    limits, repeat = Limits(), Repeat()
    tails = (
        b"\r\nHost: a\r\nX-A: b\r\nCookie: c",
        b"\r\nHost: b\r\nX-A: b\r\nCookie: c",
        b"\r\nX-A: b\r\nHost: a\r\nContent-Length: 3",
        b"\r\nHost: a\r\nConnection: close",
        b"\r\nHost: a",
    )
    lines = (b"GET / HTTP/1.1", b"GET /x?y HTTP/1.1", b"GET http://c/ HTTP/1.1", b"GET / HTTP/1.0")
    for tail in (*tails, *reversed(tails)):
        for line in lines * 2:
            anew = parse_request(line + tail, b"http", limits)
            again = parse_request(line + tail, b"http", limits, repeat)
            assert (again.framing, again.keep_alive) == (anew.framing, anew.keep_alive)
            for part in ("method", "scheme", "authority", "path", "fields", "length", "protocol", "upgrade"):
                assert getattr(again.head, part) == getattr(anew.head, part)
            again.head.add(b"x-edit", b"1")
            again.head.remove(b"x-a")


def test_a_repeated_head_obeys_new_limits_and_request_line_rules() -> None:
    limits, repeat = Limits(), Repeat()
    tail = b"\r\nHost: a\r\nX-A: b"
    parse_request(b"GET / HTTP/1.1" + tail, b"http", limits, repeat)
    for line, using, status in (
        (b"GET / HTTP/1.1", Limits(head_fields=1), 431),
        (b"GET / HTTP/1.1", Limits(head_bytes=20), 431),
        (b"GET  / HTTP/1.1", limits, 400),
        (b"GET /" + b"a" * (17 << 10) + b" HTTP/1.1", limits, 414),
        (b"GET / HTTP/2.0", limits, 505),
        (b"GET / HTTP/1.1\r\nX A: b", limits, 400),
    ):
        with pytest.raises(BadRequest) as refused:
            parse_request(line + tail, b"http", using, repeat)
        assert refused.value.status == status
