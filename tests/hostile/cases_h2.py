"""Hostile HTTP/2 and the one right answer to each: rows 53-75 of the hardening list, and those of
HTTP/1 that apply.

Rows are data. Behind each stands an upstream that answers a complete request with 200 `ok`. A row
ends in a GOAWAY, or leaves the connection usable: then a request after it is answered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.hostile.cases_h2_frames import BOMBS, HPACK, PREFACES, SIZES, STATES
from tests.hostile.fake_h2 import GET, POST, Heads, Pairs, data, frame, rst, window
from tests.hostile.h2_case import (
    PROTOCOL,
    Case,
    Flood,
    answered,
    fatal,
    forwarded_case,
    get_fields,
    reset,
    split_block,
    too_large,
)

_FIELDS: Final = [
    *reset(
        69,
        [
            (f"name-with-{what}", [*GET, (name, b"v")])
            for what, name in [
                ("upper-case", b"X-A"),
                ("space", b"x a"),
                ("colon", b"x:a"),
                ("nul", b"x\0a"),
                ("cr", b"x\ra"),
                ("lf", b"x\na"),
                ("8-bit", b"x\xff"),
                ("nothing", b""),
                ("bracket", b"x(a"),
            ]
        ],
    ),
    *reset(
        69,
        [
            (f"value-with-{what}", [*GET, (b"x-a", value)])
            for what, value in [
                ("nul", b"a\0b"),
                ("cr", b"a\rb"),
                ("lf", b"a\nb"),
                ("crlf", b"a\r\nx: y"),
                ("bel", b"a\x07b"),
                ("del", b"a\x7fb"),
                ("space-first", b" a"),
                ("space-last", b"a "),
                ("tab-first", b"\ta"),
            ]
        ],
    ),
    *reset(
        70,
        [
            (name.decode(), [*GET, (name, value)])
            for name, value in [
                (b"connection", b"close"),
                (b"proxy-connection", b"keep-alive"),
                (b"keep-alive", b"timeout=5"),
                (b"transfer-encoding", b"chunked"),
                (b"upgrade", b"h2c"),
                (b"te", b"gzip"),
            ]
        ],
    ),
    forwarded_case(70, "te-trailers", [*GET, (b"te", b"trailers")], b"/", present=((b"te", b"trailers"),)),
    *reset(
        71,
        [
            ("no-method", get_fields(method=None)),
            ("no-scheme", get_fields(scheme=None)),
            ("no-path", get_fields(path=None)),
            *((f"two-{name[1:].decode()}s", [*GET, (name, value)]) for name, value in GET),
            ("unknown-pseudo", [*GET, (b":x", b"y")]),
            ("status-pseudo", [*GET, (b":status", b"200")]),
            ("late-pseudo", [*GET[:3], (b"x-a", b"b"), GET[3]]),
            ("protocol-without-connect", [*GET, (b":protocol", b"websocket")]),
            ("nothing-at-all", []),
        ],
    ),
    Case(
        71,
        "pseudo-in-trailers",
        lambda head: head(1, POST, False) + head(1, [(b":path", b"/x")]),
        resets={1: PROTOCOL},
    ),
    Case(
        71,
        "trailers-that-do-not-end",
        lambda head: head(1, POST, False) + head(1, [(b"x-a", b"b")], False),
        resets={1: PROTOCOL},
    ),
    Case(
        69,
        "upper-case-in-trailers",
        lambda head: head(1, POST, False) + head(1, [(b"X-A", b"b")]),
        resets={1: PROTOCOL},
    ),
    Case(
        22,
        "length-in-trailers",
        lambda head: head(1, POST, False) + data(1, b"x") + head(1, [(b"content-length", b"1")]),
        resets={1: PROTOCOL},
    ),
    Case(
        22,
        "framing-in-trailers",
        lambda head: (
            head(1, POST, False)
            + data(1, b"x")
            + head(1, [(b"x-a", b"b"), (b"authorization", b"9"), (b"host", b"b"), (b"x_forwarded_for", b"z")])
        ),
        statuses={1: 200},
        forwarded=(b"/",),
        present=((b"x-a", b"b"),),
        absent=(b"x_forwarded_for", b"authorization"),
    ),
    *reset(
        72,
        [
            (f"path-{what}", get_fields(path=path))
            for what, path in [
                ("empty", b""),
                ("relative", b"admin"),
                ("with-space", b"/a b"),
                ("with-crlf", b"/a\r\nx: y"),
                ("with-lf", b"/a\nb"),
                ("with-nul", b"/a\0"),
                ("8-bit", b"/\xff\xfe"),
                ("with-fragment", b"/a#b"),
                ("with-tab", b"/a\tb"),
                ("absolute", b"http://a/"),
                ("star-of-get", b"*"),
            ]
        ],
    ),
    *reset(
        72,
        [
            (f"method-{what}", get_fields(method=method))
            for what, method in [
                ("empty", b""),
                ("with-space", b"GET /x HTTP/1.1"),
                ("8-bit", b"G\xff"),
                ("with-crlf", b"GET\r\n"),
                ("with-colon", b"G:T"),
            ]
        ],
    ),
    *reset(
        72,
        [(f"scheme-{s.decode()!r}", get_fields(scheme=s)) for s in (b"", b"ftp", b"http://x/?", b"https ")],
    ),
    Case(
        72,
        "options-star",
        lambda head: head(1, get_fields(method=b"OPTIONS", path=b"*")),
        statuses={1: 200},
        forwarded=(b"*",),
    ),
]

_LENGTHS: Final = [
    *(
        Case(73, name, lambda head, s=sent: s(head), resets={1: PROTOCOL})  # type: ignore[misc]
        for name, sent in [
            (
                "more-data-than-length",
                lambda head: head(1, [*POST, (b"content-length", b"3")], False) + data(1, b"abcd", True),
            ),
            (
                "less-data-than-length",
                lambda head: head(1, [*POST, (b"content-length", b"3")], False) + data(1, b"ab", True),
            ),
            ("no-data", lambda head: head(1, [*POST, (b"content-length", b"3")], True)),
            (
                "less-data-then-trailers",
                lambda head: (
                    head(1, [*POST, (b"content-length", b"3")], False)
                    + data(1, b"ab")
                    + head(1, [(b"x-a", b"b")])
                ),
            ),
        ]
    ),
    # Upstream has its three bytes before the fourth comes; that exchange fails all the same.
    Case(
        73,
        "more-data-in-two",
        lambda head: (
            head(1, [*POST, (b"content-length", b"3")], False) + data(1, b"abc") + data(1, b"d", True)
        ),
        resets={1: PROTOCOL},
        forwarded=(b"/",),
        fails=True,
    ),
    *reset(
        1,
        [
            ("length-then-coding", [*POST, (b"content-length", b"5"), (b"transfer-encoding", b"chunked")]),
            ("coding-then-length", [*POST, (b"transfer-encoding", b"chunked"), (b"content-length", b"5")]),
        ],
    ),
    *reset(3, [("length-list", [*POST, (b"content-length", b"5, 5")])]),
    *reset(
        4,
        [
            (f"length-{value.decode()!r}", [*POST, (b"content-length", value)])
            for value in (b"+5", b"-5", b"0x5", b"5 6", b"5z", b"")
        ],
    ),
    *reset(5, [("twenty-digits", [*POST, (b"content-length", b"9" * 20)])]),
    *reset(
        6,
        [(f"blank-behind-{name.decode()}", [*POST, (name + b" ", b"5")])
         for name in (b"content-length", b"transfer-encoding")],
    ),
    *reset(
        7,
        [
            (f"coding-{value.decode('latin-1')!r}", [*POST, (b"transfer-encoding", value)])
            for value in (b"chunked, chunked", b"identity, chunked", b"xchunked", b"\xa0chunked", b"")
        ],
    ),
    *reset(8, [("chunked-not-last", [*POST, (b"transfer-encoding", b"chunked, identity")])]),
    *reset(11, [("folded", [*GET, (b"x-a", b"b\r\n c")])]),
    *reset(2, [("two-lengths", [*POST, (b"content-length", b"0"), (b"content-length", b"0")])]),
    Case(
        73,
        "exact-length",
        lambda head: head(1, [*POST, (b"content-length", b"3")], False) + data(1, b"abc", True),
        statuses={1: 200},
        forwarded=(b"/",),
    ),
]

_CONNECT: Final = [(b":method", b"CONNECT"), (b":authority", b"a:1")]
_EXTENDED: Final = [(b":method", b"CONNECT"), (b":protocol", b"x"), *GET[1:]]

_METHODS: Final = [
    *answered(74, 501, [("connect", _CONNECT), ("extended-connect-of-another", _EXTENDED)]),
    *reset(74, [("connect-with-protocol-only", [*_CONNECT, (b":protocol", b"websocket")])]),
    *answered(47, 405, [("trace", get_fields(method=b"TRACE"))]),
    *fatal(
        75,
        PROTOCOL,
        [("push-promise", lambda head: head(1, POST, False) + frame(5, b"\0\0\0\2", 1, 4))],
    ),
    Case(
        75,
        "unknown-frame",
        lambda head: frame(0x42, b"what", 1) + head(1) + frame(0x43, b"ever", 0),
        statuses={1: 200},
        forwarded=(b"/",),
    ),
]

_IDENTITY: Final = [
    *answered(53, 400, [("host-other-than-authority", [*GET, (b"host", b"b")])]),
    forwarded_case(53, "host-equal-to-authority", [*GET, (b"host", b"A")], b"/"),
    forwarded_case(53, "host-without-authority", [*get_fields(authority=None), (b"host", b"a")], b"/"),
    *reset(53, [("neither", get_fields(authority=None)), ("two-hosts", [*GET, *[(b"host", b"a")] * 2])]),
    *reset(
        30,
        [
            (f"authority-{value.decode()!r}", get_fields(authority=value))
            for value in (b"a, b", b"a/x", b"u@a", b"a:80x", b"", b"a..", b"[::g]", b"a:70000")
        ],
    ),
    *too_large(54, [("10000-crumbs", lambda head: split_block(head.block([*GET, *_crumbs(10_000)])))]),
    forwarded_case(
        54,
        "300-crumbs",
        [*GET, *[(b"cookie", b"a=%d" % i) for i in range(300)]],
        b"/",
        present=((b"cookie", b"; ".join(b"a=%d" % i for i in range(300))),),
    ),
    *answered(54, 400, [("two-content-types", [*GET, (b"content-type", b"a/b"), (b"content-type", b"c/d")])]),
    *answered(54, 400, [("two-authorizations", [*GET, *[(b"authorization", b"x")] * 2])]),
    *answered(
        10,
        400,
        [
            ("underscored-length", [*GET, (b"content_length", b"5")]),
            ("underscored-coding", [*GET, (b"transfer_encoding", b"chunked")]),
        ],
    ),
    *answered(38, 414, [("target-17-kB", get_fields(path=b"/" + b"a" * 17_000))]),
    *answered(40, 417, [("other-expectation", [*POST, (b"expect", b"200-maybe")])]),
    Case(
        45,
        "bad-one-in-the-middle",
        lambda head: b"".join(head(1 + 2 * i, [*GET, (b"X", b"y")] if i == 25 else GET) for i in range(50)),
        resets={51: PROTOCOL},
        statuses={1 + 2 * i: 200 for i in range(50) if i != 25},
        forwarded=(b"/",) * 49,
    ),
    forwarded_case(
        42,
        "http2-settings",
        [*GET, (b"http2-settings", b"AAMAAABkAAQAAP__")],
        b"/",
        absent=(b"http2-settings",),
    ),
    *answered(
        48,
        400,
        [
            (f"path-{path.decode()!r}", get_fields(path=path))
            for path in (b"/public%2f..%2fadmin", b"/a%5cb", b"/a%00", b"/..;/admin", b"/%c0%ae")
        ],
    ),
    *(
        forwarded_case(48, f"path-{sent.decode()!r}", get_fields(path=sent), seen)
        for sent, seen in [
            (b"/public/../admin", b"/admin"),
            (b"//admin", b"/admin"),
            (b"/./admin", b"/admin"),
            (b"/%2e%2e/admin", b"/admin"),
            (b"/%61dmin", b"/admin"),
        ]
    ),
    forwarded_case(
        51,
        "claims-of-the-client",
        [
            *GET,
            (b"x-forwarded-for", b"1.2.3.4"),
            (b"forwarded", b"for=1.2.3.4"),
            (b"x_forwarded_for", b"1.2.3.4"),
            (b"x-real-ip", b"1.2.3.4"),
            (b"client-cert", b":YQ==:"),
        ],
        b"/",
        absent=(b"x-forwarded-for", b"forwarded", b"x_forwarded_for", b"x-real-ip", b"client-cert"),
    ),
]


def _crumbs(count: int) -> Pairs:
    return [(b"cookie", b"a=%d" % (i % 7)) for i in range(count)]


CASES: Final = [
    *PREFACES,
    *SIZES,
    *HPACK,
    *STATES,
    *BOMBS,
    *_FIELDS,
    *_LENGTHS,
    *_METHODS,
    *_IDENTITY,
]


def _made_reset(then: Callable[[int, Heads], bytes]) -> Callable[[int, Heads], bytes]:
    """A request of its own, then what makes us reset it."""
    return lambda i, head: head(1 + 2 * i, [*POST, (b"content-length", b"1")], False) + then(1 + 2 * i, head)


FLOODS: Final = [
    Flood(65, "rapid-reset", lambda i, head: head(1 + 2 * i) + rst(1 + 2 * i), 251, waits=True),
    Flood(
        65,
        "rapid-reset-a-turn-later",
        lambda i, head: head(1 + 2 * i) + (rst(2 * i - 1) if i else b""),
        252,
        waits=True,
    ),
    Flood(66, "length-exceeded", _made_reset(lambda i, head: data(i, b"xx")), 251, waits=True),
    Flood(66, "upper-case", lambda i, head: head(1 + 2 * i, [*GET, (b"X", b"y")]), 251),
    Flood(66, "second-head", _made_reset(lambda i, head: head(i, GET, False)), 251, waits=True),
    Flood(66, "window-overflow", _made_reset(lambda i, head: window(i, (1 << 31) - 1)), 251, waits=True),
    Flood(66, "malformed-path", lambda i, head: head(1 + 2 * i, get_fields(path=b"/\xff")), 251),
    Flood(
        66,
        "streams-over-the-maximum",
        lambda i, head: head(201 + 2 * i),
        251,
        opening=lambda head: b"".join(head(1 + 2 * i) for i in range(100)),
        waits=True,
    ),
    Flood(66, "empty-heads", lambda i, head: frame(1, b"", 1 + 2 * i, 5), 251),
    Flood(67, "settings", lambda i, head: frame(4, b"\0\3\0\0\0\1"), 1001),
    Flood(67, "ping", lambda i, head: frame(6, b"12345678"), 1001),
    Flood(67, "ping-answers", lambda i, head: frame(6, b"12345678", 0, 1), 1001),
    Flood(67, "priority", lambda i, head: frame(2, b"\0\0\0\0\1", 1 + 2 * i), 1001),
    Flood(67, "unknown-frames", lambda i, head: frame(0x42, b""), 1001),
    Flood(67, "priority-update", lambda i, head: frame(0x10, b"\0\0\0\1u=1"), 1001),
    Flood(
        67,
        "window-update",
        lambda i, head: window(0, 1),
        1001,
    ),
    Flood(
        67,
        "window-update-of-a-stream",
        lambda i, head: window(1, 1),
        1001,
        opening=lambda head: head(1, POST, False),
    ),
    Flood(67, "empty-data", lambda i, head: data(1, b""), 11, opening=lambda head: head(1, POST, False)),
    Flood(
        67, "data-of-a-byte", lambda i, head: data(1, b"x"), 1001, opening=lambda head: head(1, POST, False)
    ),
    Flood(
        67,
        "data-of-padding-only",
        lambda i, head: frame(0, b"\xff" + b"\0" * 255, 1, 8),
        11,
        opening=lambda head: head(1, POST, False),
    ),
    Flood(
        67,
        "padding",
        lambda i, head: frame(0, b"\xffx" + b"\0" * 255, 1, 8),
        300,
        opening=lambda head: head(1, POST, False),
    ),
]
