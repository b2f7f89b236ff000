"""Hostile HTTP/1.1 requests and the one right answer to each: rows 1-51 and 54 of the hardening list.

The rows are data, so that the same ones run against the codec alone and over real sockets.
Behind every row stands an upstream that answers a complete request with 200 and the body `ok`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

Statuses = frozenset[int]

OK: Final[Statuses] = frozenset({200})
BAD: Final[Statuses] = frozenset({400})
BAD_OR_UNSERVED: Final[Statuses] = frozenset({400, 501})


@dataclass(frozen=True, slots=True)
class Case:
    """One row. `answers` are the statuses allowed for each response, in order.

    `closed`: the connection is closed by us after the last of them (`connection: close` says
    so). `forwarded` are the targets of the complete requests that upstream sees, in order;
    whatever else upstream sees must be visibly incomplete. `authority`, `body`, `present` and
    `absent` are about the last of them. `silence` allows that no (last) answer comes at all.
    """

    number: int
    name: str
    data: bytes
    answers: tuple[Statuses, ...] = (BAD,)
    closed: bool = True
    forwarded: tuple[bytes, ...] = ()
    authority: bytes = b"a"
    body: bytes = b""
    present: tuple[tuple[bytes, bytes], ...] = ()
    absent: tuple[bytes, ...] = ()
    silence: bool = False
    methods: tuple[bytes, ...] = field(default=())

    @property
    def id(self) -> str:
        return f"{self.number}-{self.name}"


def get(*lines: bytes, target: bytes = b"/", method: bytes = b"GET", version: bytes = b"HTTP/1.1") -> bytes:
    """A request head with `Host: a` and `lines` after it."""
    return b"\r\n".join((method + b" " + target + b" " + version, b"Host: a", *lines, b"", b""))


def post(*lines: bytes, body: bytes = b"") -> bytes:
    return get(*lines, method=b"POST") + body


def chunked(body: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", body=body)


def _refused(number: int, rows: list[tuple[str, bytes]], statuses: Statuses = BAD) -> list[Case]:
    return [Case(number, name, data, (statuses,)) for name, data in rows]


def _forwarded(number: int, name: str, data: bytes, **expected: object) -> Case:
    values: dict[str, object] = {"answers": (OK,), "closed": False, "forwarded": (b"/",), **expected}
    return Case(number, name, data, **values)  # type: ignore[arg-type]


_SMUGGLED: Final = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

_FRAMING: Final = [
    *_refused(
        1,
        [
            (
                "length-then-coding",
                post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
            ),
            (
                "coding-then-length",
                post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"),
            ),
        ],
    ),
    *_refused(
        2,
        [
            ("two-lengths", post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello")),
            ("length-list", post(b"Content-Length: 5, 6", body=b"hello")),
            ("same-length-twice", post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello")),
        ],
    ),
    *_refused(3, [("equal-length-list", post(b"Content-Length: 5, 5", body=b"hello"))]),
    *_refused(
        4,
        [
            (f"length-{value.decode() or 'empty'}", post(b"Content-Length: " + value, body=b"hello"))
            for value in (b"+5", b"-5", b"0x5", b"0_5", b"5 6", b"5z", b"", b"5.0", b"5;a")
        ],
    ),
    *_refused(
        5,
        [("twenty-digits", post(b"Content-Length: 18446744073709551621", body=b"hello"))],
        frozenset({400, 413}),
    ),
    *_refused(
        6,
        [
            ("blank-before-colon-of-length", post(b"Content-Length : 5", body=b"hello")),
            ("blank-before-colon-of-coding", post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n")),
            ("tab-before-colon", post(b"Content-Length\t: 5", body=b"hello")),
        ],
    ),
    *_refused(
        7,
        [
            (
                "coding-twice",
                post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
            )
        ],
    ),
    *_refused(
        7,
        [
            (f"coding-{index}", post(b"Transfer-Encoding: " + value, body=b"0\r\n\r\n"))
            for index, value in enumerate(
                (
                    b"chunked, chunked",
                    b"identity, chunked",
                    b"gzip, chunked",
                    b",chunked",
                    b"xchunked",
                    b'"chunked"',
                    b"\x0bchunked",
                    b"\xa0chunked",
                    b"chunked;a=b",
                    b"",
                    b"identity",
                )
            )
        ],
        BAD_OR_UNSERVED,
    ),
    *_refused(8, [("chunked-not-last", post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n"))]),
    *_refused(
        9,
        [
            (
                "coding-on-1.0",
                get(b"Transfer-Encoding: chunked", method=b"POST", version=b"HTTP/1.0") + b"0\r\n\r\n",
            )
        ],
    ),
    *_refused(
        10,
        [
            ("underscored-coding", post(b"Transfer_Encoding: chunked", b"Content-Length: 5", body=b"hello")),
            ("underscored-length", post(b"Content_Length: 5", body=b"hello")),
        ],
    ),
    *_refused(
        11,
        [
            ("folded-value", get(b"X-A: b", b" c")),
            ("folded-coding", post(b"Transfer-Encoding:", b" chunked", body=b"0\r\n\r\n")),
            ("folded-by-tab", get(b"X-A: b", b"\tc")),
        ],
    ),
    *_refused(12, [("blank-before-first-field", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n")]),
]

_CHUNKS: Final = [
    *_refused(
        13,
        [
            (f"size-{i}", chunked(size + b"\r\nhello\r\n0\r\n\r\n"))
            for i, size in enumerate((b"0x5", b"-5", b"", b"5junk"))
        ],
    ),
    *_refused(
        14,
        [
            (f"size-{i}", chunked(size + b"\r\nhello\r\n0\r\n\r\n"))
            for i, size in enumerate((b"+5", b"0_5", b" 5"))
        ],
    ),
    *_refused(15, [("blank-after-size", chunked(b"5 \r\nhello\r\n0\r\n\r\n"))]),
    *_refused(16, [("seventeen-digits", chunked(b"00000000000000005\r\nhello\r\n0\r\n\r\n"))]),
    *_refused(17, [("extension-ended-by-lf", chunked(b"5;a\nhello\r\n0\r\n\r\n"))]),
    *_refused(
        18,
        [
            ("cr-in-extension", chunked(b"5;a\rb\r\nhello\r\n0\r\n\r\n")),
            ("cr-cr", chunked(b"5\r\r;a\r\nhello\r\n0\r\n\r\n")),
        ],
    ),
    *_refused(
        19,
        [
            ("size-ended-by-lf", chunked(b"5\nhello\r\n0\r\n\r\n")),
            ("data-ended-by-lf", chunked(b"5\r\nhello\n0\r\n\r\n")),
            ("last-ended-by-lf", chunked(b"5\r\nhello\r\n0\n\n")),
        ],
    ),
    *_refused(
        20,
        [
            ("no-crlf-after-data", chunked(b"5\r\nhello0\r\n\r\n")),
            ("data-longer-than-size", chunked(b"5\r\nhello!\r\n0\r\n\r\n")),
            ("two-octets-for-crlf", chunked(b"5\r\nhelloXX0\r\n\r\n")),
            ("lf-cr-for-crlf", chunked(b"5\r\nhello\n\r0\r\n\r\n")),
        ],
    ),
    *_refused(
        21,
        [
            ("text-for-the-last-crlf", chunked(b"0\r\nXX\r\n\r\n")),
            ("request-for-the-last-crlf", chunked(b"0\r\n" + _SMUGGLED)),
        ],
    ),
    Case(21, "nothing-for-the-last-crlf", chunked(b"0\r\nXX"), (frozenset({400, 408}),), silence=True),
    *[
        _forwarded(
            22,
            f"trailer-{name.decode()}",
            chunked(b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n" + name + b": 7\r\n\r\n"),
            body=b"hello",
            absent=(name,),
            methods=(b"POST",),
        )
        for name in (
            b"content-length",
            b"transfer-encoding",
            b"host",
            b"authorization",
            b"x-forwarded-for",
            b"x-forwarded-client-cert",
            b"content_length",
            b"traceparent",
            b"x-request-id",
            b"if-none-match",
            b"if_match",
        )
    ],
    *_refused(
        23,
        [
            ("one-extension-of-5-kib", chunked(b"5;" + b"a" * 5120 + b"\r\nhello\r\n0\r\n\r\n")),
            ("extensions-of-6-kib", chunked(b"1;aaaaa\r\nx\r\n" * 1024 + b"0\r\n\r\n")),
            ("20000-tiny-chunks", chunked(b"1\r\nx\r\n" * 20_000 + b"0\r\n\r\n")),
        ],
        frozenset({400, 413}),
    ),
    _forwarded(
        23,
        "small-extension-is-dropped",
        chunked(b'3;a=b;c="d"\r\nabc\r\n0;x\r\n\r\n'),
        body=b"abc",
    ),
]

_HEAD_SYNTAX: Final = [
    *_refused(
        24,
        [
            ("all-lf", b"GET / HTTP/1.1\nHost: a\n\n"),
            ("one-lf", b"GET / HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n"),
            ("lf-at-the-end", b"GET / HTTP/1.1\r\nHost: a\r\n\n"),
        ],
    ),
    *_refused(25, [("cr-in-value", get(b"X-A: b\rc")), ("cr-smuggles-a-field", get(b"X-A: b\rX-B: c"))]),
    *_refused(26, [("nul-in-value", get(b"X-A: b\0c")), ("nul-in-name", get(b"X-\0A: b"))]),
    *_refused(27, [("bel", get(b"X-A: b\x07")), ("del", get(b"X-A: b\x7f"))]),
    *_refused(
        28,
        [
            ("blank-in-name", get(b"X A: b")),
            ("empty-name", get(b": b")),
            ("8-bit-name", get(b"X-\xe4: b")),
            ("brackets-in-name", get(b"X(Y): b")),
            ("no-colon", get(b"X-A")),
        ],
    ),
    *_refused(
        29,
        [
            ("no-host", b"GET / HTTP/1.1\r\nX-A: b\r\n\r\n"),
            ("two-hosts", get(b"Host: b")),
            ("same-host-twice", get(b"Host: a")),
            ("absolute-form-without-host", b"GET http://a/ HTTP/1.1\r\n\r\n"),
        ],
    ),
    *_refused(
        30,
        [
            (f"host-{index}", b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
            for index, host in enumerate(
                (b"a, b", b"a b", b"a/x", b"u@a", b"a:80x", b"a\0", b"", b"[::1", b"a:65536", b"..", b"a%00")
            )
        ],
    ),
    _forwarded(
        31,
        "target-wins-over-host",
        get(target=b"http://b.example:81/x"),
        forwarded=(b"/x",),
        authority=b"b.example:81",
    ),
    _forwarded(31, "target-without-path", get(target=b"http://b?q"), forwarded=(b"/?q",), authority=b"b"),
    *_refused(
        31, [("userinfo-in-target", get(target=b"http://u@b/")), ("no-authority", get(target=b"http:///x"))]
    ),
    *_refused(
        32,
        [
            ("bare-word", get(target=b"admin")),
            ("authority-form-of-get", get(target=b"a:80")),
            ("asterisk-of-get", get(target=b"*")),
            ("connect-to-a-path", get(target=b"/", method=b"CONNECT")),
        ],
    ),
    *_refused(
        33,
        [
            ("fragment", get(target=b"/a#frag")),
            ("8-bit", get(target=b"/\xff")),
            ("nul", get(target=b"/\0")),
            ("tab", get(target=b"/a\tb")),
            ("fragment-in-query", get(target=b"/a?b#c")),
        ],
    ),
    *_refused(
        34,
        [
            ("ctl-in-method", get(method=b"G\x01T")),
            ("colon-in-method", get(method=b"GE:T")),
            ("bracket-in-method", get(method=b"GE(T")),
            ("8-bit-method", get(method=b"G\xc9T")),
            ("double-blank", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("double-blank-before-version", b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("tab-for-blank", b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("leading-blank", b" GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ],
    ),
    *_refused(
        35,
        [
            (f"version-{index}", get(version=version))
            for index, version in enumerate(
                (b"http/1.1", b"FTP/1.1", b"HTTP/1.1 x", b"HTTP/1.32", b"HTTP/1", b"HTTP/1.1 ")
            )
        ],
    ),
    *_refused(36, [("2.0", get(version=b"HTTP/2.0")), ("9.9", get(version=b"HTTP/9.9"))], frozenset({505})),
    *_refused(36, [("0.9", get(version=b"HTTP/0.9")), ("1.2", get(version=b"HTTP/1.2"))]),
    *_refused(
        37,
        [
            ("http-0.9", b"GET /\r\n"),
            ("tls-on-the-plain-port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(64))),
        ],
    ),
]

_LIMITS: Final = [
    *_refused(38, [("target-of-70-kb", get(target=b"/" + b"a" * 70_000))], frozenset({414})),
    *_refused(
        39,
        [
            ("field-of-70-kb", get(b"X-A: " + b"a" * 70_000)),
            ("2000-fields", get(*(b"X-%d: b" % index for index in range(2000)))),
        ],
        frozenset({431}),
    ),
    *_refused(
        40, [("unknown-expectation", post(b"Expect: 200-maybe", b"Content-Length: 0"))], frozenset({417})
    ),
    *_refused(54, [("10000-cookies", get(*(b"Cookie: a=b" for _ in range(10_000))))], frozenset({431})),
    *_refused(
        54,
        [
            ("content-type-twice", post(b"Content-Type: a/b", b"Content-Type: c/d", b"Content-Length: 0")),
            ("authorization-twice", get(b"Authorization: Basic YQ==", b"Authorization: Basic Yg==")),
        ],
    ),
]

_CONNECTION: Final = [
    _forwarded(
        42,
        "h2c-is-stripped",
        get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"),
        absent=(b"upgrade", b"http2-settings", b"connection"),
    ),
    Case(
        45,
        "bad-one-in-the-middle",
        b"".join(
            get(target=b"/%d" % index) if index != 50 else get(b"X A: b", target=b"/50")
            for index in range(100)
        ),
        (OK,) * 50 + (BAD,),
        forwarded=tuple(b"/%d" % index for index in range(50)),
    ),
    _forwarded(
        45,
        "all-good",
        b"".join(get(target=b"/%d" % index) for index in range(100)),
        answers=(OK,) * 100,
        forwarded=tuple(b"/%d" % index for index in range(100)),
    ),
    *_refused(47, [("trace", get(method=b"TRACE"))], frozenset({405})),
    *_refused(47, [("connect", get(target=b"a:443", method=b"CONNECT"))], frozenset({501})),
]

_CANONICAL: Final = (
    (b"/public/../admin", b"/admin"),
    (b"//admin", b"/admin"),
    (b"/./admin", b"/admin"),
    (b"/%2e%2e/admin", b"/admin"),
    (b"/%2E./admin", b"/admin"),
    (b"/../../admin", b"/admin"),
    (b"/%61dmin", b"/admin"),
    (b"/a/b/..", b"/a/"),
    (b"/admin;x", b"/admin;x"),
    (b"/a%3fb?x=%2f..%2f", b"/a%3Fb?x=%2f..%2f"),
)
_REFUSED_PATHS: Final = (
    b"/public%2f..%2fadmin",
    b"/a%5cb",
    b"/a\\b",
    b"/..;/admin",
    b"/a/..;x=y/admin",
    b"/%2e%2e;/admin",
    b"/..%3b/admin",
    b"/.;/admin",
    b"/a%00",
    b"/%c0%af",
    b"/%e0%80%af",
    b"/%zz",
    b"/%2",
    b"/%0d%0aX:%20y",
)

_IDENTITY: Final = [
    *[
        _forwarded(48, f"path-{index}", get(target=target), forwarded=(canonical,))
        for index, (target, canonical) in enumerate(_CANONICAL)
    ],
    *_refused(
        48, [(f"refused-path-{index}", get(target=target)) for index, target in enumerate(_REFUSED_PATHS)]
    ),
    _forwarded(
        50,
        "connection-names-critical-fields",
        get(
            b"Connection: close, X-Forwarded-For, Authorization, Host, X-Hop",
            b"Authorization: Basic YQ==",
            b"X-Hop: 1",
        ),
        closed=True,
        present=((b"authorization", b"Basic YQ=="),),
        absent=(b"x-hop", b"connection"),
    ),
    *[
        _forwarded(51, f"claim-{name.decode()}", get(name + b": 10.0.0.1"), absent=(name.lower(),))
        for name in (
            b"X-Forwarded-For",
            b"X-Forwarded-Host",
            b"X-Forwarded-Proto",
            b"X-Forwarded-Client-Cert",
            b"Forwarded",
            b"X-Real-IP",
            b"Client-Cert",
            b"client_cert_chain",
            b"Proxy",
            b"x_forwarded_for",
            b"X-Forwarded_For",
            b"x_real_ip",
        )
    ],
]

CASES: Final[list[Case]] = [
    *_FRAMING,
    *_CHUNKS,
    *_HEAD_SYNTAX,
    *_LIMITS,
    *_CONNECTION,
    *_IDENTITY,
]

# Rows that are a conversation or about time (41, 43, 44) stand as tests of their own.
