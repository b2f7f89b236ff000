"""The judge of what upstream saw takes what a gateway may send, in any pieces, and nothing else."""

from __future__ import annotations

import re
from typing import Final

import pytest

from tests.hostile.cases_h1 import CASES, Case
from tests.hostile.strict import LOG_BYTES, Arrived, Malformed, StrictReader

_LONG: Final = b"a" * 3000


def head(*lines: bytes, target: bytes = b"/", method: bytes = b"GET") -> bytes:
    return b"\r\n".join((method + b" " + target + b" HTTP/1.1", b"host: a", *lines, b"", b""))


def post(*lines: bytes, body: bytes = b"") -> bytes:
    return head(*lines, method=b"POST") + body


def chunked(body: bytes) -> bytes:
    return post(b"transfer-encoding: chunked", body=body)


def read(data: bytes, step: int = 1 << 20) -> list[Arrived]:
    reader = StrictReader()
    for at in range(0, len(data), step):
        reader.feed(data[at : at + step])
    return reader.requests


GOOD: Final = {
    "plain": head(),
    "8-bit and tab in a value": head(b"x-a: \xe4\tb c"),
    "empty value": head(b"x-a: "),
    "canonical path": head(target=b"/a/.b/c..;x/%20%3F/[^|]/?q=<\"/..//%2f?\\`{}>"),
    "asterisk": head(target=b"*", method=b"OPTIONS"),
    "length": post(b"content-length: 5", body=b"hello"),
    "no length": post(b"content-length: 0"),
    "chunks": chunked(b"5\r\nhello\r\na\r\n\r\n\0\n0\r\n\r\nX\r\n0\r\n\r\n"),
    "trailers": chunked(b"0\r\nx-sum: 1\r\nx-two: \r\n\r\n"),
    "expectation": post(b"content-length: 5", b"expect: 100-continue", body=b"hello"),
    "upgrade": head(b"connection: upgrade", b"upgrade: websocket"),
    "upgrade of a version": head(b"connection: upgrade", b"upgrade: foo/2.0"),
    "trailers are taken": head(b"te: trailers", b"connection: te"),
    "both": head(b"te: trailers", b"connection: te", b"connection: upgrade", b"upgrade: websocket"),
    "two cookies": head(b"cookie: a=b", b"cookie: c=d"),
    "long": head(b"x-a: " + _LONG, target=b"/" + _LONG),
}  # fmt: skip


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
@pytest.mark.parametrize("name", GOOD)
def test_takes_what_a_gateway_may_send(name: str, step: int) -> None:
    (request,) = read(GOOD[name], step)
    assert request.complete


def test_tells_what_it_read() -> None:
    (request,) = read(chunked(b"5\r\nhello\r\n1\r\n!\r\n0\r\nx-sum: 1\r\n\r\n"))
    assert (request.method, request.target, request.body) == (b"POST", b"/", b"hello!")
    assert request.fields == [(b"host", b"a"), (b"transfer-encoding", b"chunked")]
    assert request.trailers == [(b"x-sum", b"1")]


@pytest.mark.parametrize(
    "host", [b"a", b"a.b-c_d.example:8080", b"[::1]", b"[2001:db8::1]:443", b"1.2.3.4:65535", b"a:0"]
)
def test_takes_a_host_in_its_one_form(host: bytes) -> None:
    assert read(b"GET / HTTP/1.1\r\nhost: " + host + b"\r\n\r\n")[0].complete


@pytest.mark.parametrize(
    "data", [head()[:-2], post(b"content-length: 5", body=b"hell"), chunked(b"5\r\nhello\r\n0\r\n")]
)
def test_half_a_request_is_not_complete(data: bytes) -> None:
    assert not any(request.complete for request in read(data))


def test_the_next_request_may_begin_after_the_answer() -> None:
    reader = StrictReader()
    reader.feed(head())
    reader.answered()
    reader.feed(head(target=b"/next"))
    assert [request.target for request in reader.requests] == [b"/", b"/next"]
    with pytest.raises(Malformed, match="bytes after the end"):
        reader.feed(head(target=b"/early"))


_HOSTS = (b"a, b", b"a b", b"a/x", b"u@a", b"a:80x", b"", b"[::1", b"[::g]", b"[fe80::1%25a]", b"a:65536",
          b"a:080", b"a:", b"..", b"a.", b".a", b"A", b"a%00", b"a,b", b"a#")  # fmt: skip
_TARGETS = (b"a", b"*", b"http://a/", b"/#", b"/a?b#c", b"/<", b"/>", b'/"', b"/\\", b"/`", b"/{}", b"/\xff",
            b"/?\xff", b"/\0", b"/?\x7f", b"/%", b"/%2", b"/%zz", b"/%61", b"/%2e", b"/%7E", b"/%2f", b"/%2F",
            b"/%5C", b"/%00", b"/%0D%0A", b"/%3f", b"//", b"/a//b", b"/.", b"/a/..", b"/a/../b", b"/..;x/b",
            b"/.%3Bx", b"/%C0%AF", b"/%E0%80%AF", b"/%F0%80%80%AF", b"/%F8%80", b"?", b"")  # fmt: skip
_LINES = (b"x-a : b", b"x a: b", b": b", b"x-a", b"x-a:b", b"x-a:  b", b"x-a: b ", b"x-a: b\t", b"X-A: b",
          b"x-\xe4: b", b"x-a: b\r\n c", b"x-a: b\nx-b: c", b"x-a: b\rx-b: c",
          *(b"x-a: b%cc" % byte for byte in (*range(9), *range(10, 32), 127)))  # fmt: skip
_FIELDS = (
    (b"content-length: 5", b"transfer-encoding: chunked"),
    (b"transfer-encoding: chunked", b"content-length: 5"),
    (b"content-length: 5", b"content-length: 5"),
    (b"transfer-encoding: chunked", b"transfer-encoding: chunked"),
    *((b"content-length: " + value,) for value in (b"5, 5", b"+5", b"05", b"0x5", b"", b"1" + b"0" * 18)),
    *((b"transfer-encoding: " + value,) for value in (b"gzip, chunked", b"Chunked", b"identity", b"")),
    *((name + b": 5",) for name in (b"transfer_encoding", b"content_length", b"http2-settings")),
    *((name + b": 5",) for name in (b"proxy-connection", b"te", b"upgrade", b"keep-alive", b"keep_alive")),
    (b"host: a",),
    (b"host: b",),
    *((b"connection: " + value,) for value in (b"close", b"keep-alive", b"te", b"upgrade", b"x", b"")),
    (b"te: trailers",),
    (b"te: gzip", b"connection: te"),
    (b"te: trailers", b"te: trailers", b"connection: te"),
    (b"connection: upgrade", b"upgrade: h2c"),
    (b"connection: upgrade", b"upgrade: TLS/1.0"),
    (b"connection: upgrade", b"upgrade: a, b"),
    (b"connection: upgrade", b"upgrade: websocket", b"content-length: 5"),
    (b"expect: 100-continue",),
    (b"expect: 200-maybe", b"content-length: 5"),
    (b"authorization: Basic YQ==", b"authorization: Basic Yg=="),
)
_BODIES = (b"5 \r\nhello\r\n", b"5;a\r\nhello\r\n", b"0x5\r\nhello\r\n", b"05\r\nhello\r\n", b"A\r\n",
           b"\r\n", b"-5\r\n", b"5\nhello\r\n", b"5\r\nhello\n", b"5\r\nhello!\r\n", b"5\r\nhelloXX",
           b"5\r\nhello\r0", b"0\r\nXX\r\n", b"0\n\n", b"0\r\n\n", b"1" + b"0" * 15 + b"\r\n", b"0\r\n\r\nG",
           *(b"0\r\n" + name + b": 5\r\n\r\n" for name in (
               b"content-length", b"transfer-encoding", b"host", b"content_length", b"authorization",
               b"connection", b"cookie", b"traceparent", b"X-Sum")))  # fmt: skip

BAD: Final = [
    *(b"GET / HTTP/1.1\r\nhost: " + host + b"\r\n\r\n" for host in _HOSTS),
    b"GET / HTTP/1.1\r\nx-a: b\r\n\r\n",
    *(head(target=target) for target in _TARGETS),
    *(head(method=each) for each in (b"CONNECT", b"TRACE", b"", b"G T", b"G:T", b"G\xc9T", b" GET", b"GET ")),
    *(head().replace(b"HTTP/1.1", each) for each in (b"HTTP/1.0", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 ")),
    *(head(line) for line in _LINES),
    *(head(*lines) for lines in _FIELDS),
    *map(chunked, _BODIES),
    post(b"content-length: 5", body=b"hello!"),
    b"\r\n" + head(),
    head().replace(b"\r\n", b"\n"),
    head() + head(),
]
_NEVER_WHOLE: Final = (
    *(b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\r\nhost: a\n", chunked(b"5\n")),
    *(chunked(b"5\r\nhelloX"), chunked(b"0\r\nx-a\n")),
)


@pytest.mark.parametrize("step", [1, 1 << 20])
@pytest.mark.parametrize("data", BAD, ids=range(len(BAD)))
def test_refuses_what_a_gateway_may_not_send(data: bytes, step: int) -> None:
    with pytest.raises(Malformed):
        read(data, step)


@pytest.mark.parametrize("data", _NEVER_WHOLE)
def test_does_not_wait_for_the_end_of_what_is_wrong_already(data: bytes) -> None:
    with pytest.raises(Malformed):
        read(data)


def test_a_fault_shows_the_last_bytes_and_no_more() -> None:
    with pytest.raises(Malformed, match=r"length and coding: b'.*x-a: needle") as fault:
        read(head(b"x-b: " + b"b" * 9000, b"x-a: needle", *_FIELDS[0]))
    assert len(str(fault.value)) < 2 * LOG_BYTES


_LEGAL: Final = {
    "38-target-of-70-kb",
    "39-field-of-70-kb",
    "39-2000-fields",
    "54-10000-cookies",
    "23-20000-tiny-chunks",
    "48-path-8",
}
"""Rows of good bytes: too many of them, and a path that looks worse than it is."""
_UNFINISHED: Final = {"21-nothing-for-the-last-crlf", "37-http-0.9"}
_REASONS: Final = {
    1: "length and coding", 2: "field twice|length", 3: "length", 4: "length|field line", 5: "length",
    6: "field line", 7: "coding|field twice|stray|field line", 8: "coding", 9: "request line",
    10: "underscored framing", 11: "field line", 12: "field line", 13: "chunk size", 14: "chunk size",
    15: "chunk size", 16: "chunk size", 17: "stray", 18: "stray", 19: "stray|end of a chunk",
    20: "end of a chunk", 21: "field line", 22: "field in trailers", 23: "chunk size", 24: "stray",
    25: "stray", 26: "stray", 27: "stray", 28: "field line", 29: "host|field twice|target",
    30: "host|stray", 31: "target", 32: "target|method", 33: "target|request line|stray",
    34: "request line|stray", 35: "request line", 36: "request line", 37: "stray", 40: "expectation",
    42: "connection|field of one", 45: "bytes after the end", 47: "method", 48: "target", 54: "field twice",
}  # fmt: skip


def _lowered(data: bytes) -> bytes:
    """As edge writes names: what is wrong with a row shall not be their case."""
    return re.sub(rb"(?m)^[A-Za-z0-9_-]+(?=[ \t]*:)", lambda name: name[0].lower(), data)


def _refusable(case: Case) -> bool:
    """Whether edge must refuse the row, or forward other bytes than those."""
    return not case.forwarded or case.number in (22, 23, 31, 42, 45, 48)


@pytest.mark.parametrize("case", [case for case in CASES if _refusable(case)], ids=lambda case: case.id)
def test_refuses_every_row_that_edge_must_refuse_for_its_bytes(case: Case) -> None:
    if case.id in _LEGAL:
        assert read(_lowered(case.data))[0].complete
    elif case.id in _UNFINISHED:
        assert not any(request.complete for request in read(_lowered(case.data)))
    else:
        with pytest.raises(Malformed, match=f"^(?:{_REASONS[case.number]})"):
            read(_lowered(case.data))


def test_every_row_that_is_excused_exists() -> None:
    assert {case.id for case in CASES} >= _LEGAL | _UNFINISHED
    assert len(BAD) == 187
