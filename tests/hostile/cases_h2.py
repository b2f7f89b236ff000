"""Hostile HTTP/2 and the one right answer to each: rows 53-75 of the hardening list, and those of
HTTP/1 that apply.

Rows are data. Behind each stands an upstream that answers a complete request with 200 `ok`. A row
ends in a GOAWAY, or leaves the connection usable: then a request after it is answered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tests.hostile.fake_h2 import GET, POST, PREFACE, Heads, Pairs, data, frame, rst, settings, window

Send = Callable[[Heads], bytes]

PROTOCOL: Final = 1
FLOW: Final = 3
CLOSED: Final = 5
SIZE: Final = 6
REFUSED: Final = 7
COMPRESSION: Final = 9
CALM: Final = 0xB


@dataclass(frozen=True, slots=True)
class Case:
    """One row. `goaway` = code that ends the connection; else `resets` and `statuses` by stream.

    `forwarded` are the paths of the complete requests that upstream sees. `waits`: upstream does
    not answer. `greet` False: the row brings its own preface. `present` and `absent` are about the
    fields and trailers that went upstream last; `fails`: that exchange fails though upstream saw it all.
    """

    number: int
    name: str
    send: Send
    goaway: int | None = None
    resets: dict[int, int] = field(default_factory=dict)
    statuses: dict[int, int] = field(default_factory=dict)
    forwarded: tuple[bytes, ...] = ()
    waits: bool = False
    greet: bool = True
    present: tuple[tuple[bytes, bytes], ...] = ()
    absent: tuple[bytes, ...] = ()
    fails: bool = False

    @property
    def id(self) -> str:
        return f"{self.number}-{self.name}"


@dataclass(frozen=True, slots=True)
class Flood:
    """One row: `unit(i, heads)` again and again, each in a turn of its own, until GOAWAY `code`."""

    number: int
    name: str
    unit: Callable[[int, Heads], bytes]
    at_most: int
    opening: Send = field(default=lambda head: b"")
    waits: bool = False
    code: int = CALM

    @property
    def id(self) -> str:
        return f"{self.number}-{self.name}"


def _fatal(number: int, code: int, rows: list[tuple[str, bytes | Send]]) -> list[Case]:
    return [Case(number, name, _send(what), goaway=code) for name, what in rows]


def _send(what: bytes | Send) -> Send:
    if isinstance(what, bytes):
        raw = what
        return lambda head: raw
    return what


def _with(extra: Pairs, start: Pairs = GET) -> Send:
    return lambda head: head(1, [*start, *extra])


def _reset(number: int, rows: list[tuple[str, Pairs]]) -> list[Case]:
    """Requests that are not HTTP/2: RST(1)."""
    return [Case(number, name, lambda head, f=f: head(1, f), resets={1: PROTOCOL}) for name, f in rows]  # type: ignore[misc]


def _answered(number: int, status: int, rows: list[tuple[str, Pairs]]) -> list[Case]:
    return [
        Case(number, name, lambda head, f=f: head(1, f), statuses={1: status})  # type: ignore[misc]
        for name, f in rows
    ]


def _get(**changed: bytes | None) -> Pairs:
    """GET with pseudo fields replaced, or left out for None."""
    made = [(name, changed.get(name[1:].decode(), value)) for name, value in GET]
    return [(name, value) for name, value in made if value is not None]


def _forwarded(number: int, name: str, fields: Pairs, path: bytes, **expected: object) -> Case:
    return Case(
        number,
        name,
        lambda head: head(1, fields),
        statuses={1: 200},
        forwarded=(path,),
        **expected,  # type: ignore[arg-type]
    )


def _block(raw: bytes, stream_id: int = 1) -> bytes:
    return frame(1, raw, stream_id, 5)


_PREFACES: Final = [
    Case(55, "http1", _send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), goaway=PROTOCOL, greet=False),
    Case(55, "wrong-end", _send(PREFACE[:-1] + b"x" + settings()), goaway=PROTOCOL, greet=False),
    Case(55, "ping-first", _send(PREFACE + frame(6, b"12345678")), goaway=PROTOCOL, greet=False),
]

_SIZES: Final = [
    *_fatal(
        56,
        SIZE,
        [
            ("data-over-maximum", lambda head: head(1, POST, False) + data(1, b"x" * 16385)),
            ("headers-over-maximum", _block(b"x" * 16385)),
            ("ping-of-7", frame(6, b"1234567")),
            ("ping-of-9", frame(6, b"123456789")),
            ("rst-of-3", lambda head: head(1, POST, False) + frame(3, b"abc", 1)),
            ("window-update-of-3", frame(8, b"abc")),
            ("window-update-of-5", lambda head: head(1, POST, False) + frame(8, b"abcde", 1)),
            ("settings-of-5", frame(4, b"abcde")),
            ("settings-ack-with-payload", frame(4, b"abcdef", 0, 1)),
        ],
    ),
    *_fatal(
        56,
        PROTOCOL,
        [
            ("ping-on-a-stream", frame(6, b"12345678", 1)),
            ("settings-on-a-stream", frame(4, b"", 1)),
            ("goaway-on-a-stream", frame(7, b"\0" * 8, 1)),
            ("data-on-0", data(0, b"x")),
            ("headers-on-0", lambda head: head(0)),
            ("rst-on-0", rst(0)),
            ("padding-as-long-as-data", lambda head: head(1, POST, False) + frame(0, b"\4abc", 1, 8)),
            ("padding-as-long-as-headers", frame(1, b"\4abc", 1, 13)),
        ],
    ),
]

_HPACK: Final = _fatal(
    57,
    COMPRESSION,
    [
        ("index-0", _block(b"\x80")),
        ("index-out-of-range", _block(b"\xff\xff\x7f")),
        ("padded-huffman", _block(b"\x40\x01a\x82\x1f\xff")),
        ("padding-not-of-eos", _block(b"\x40\x01a\x81\x00")),
        ("eos-in-string", _block(b"\x40\x01a\x84\xff\xff\xff\xff")),
        ("size-update-late", _block(b"\x82\x87\x84\x20")),
        ("size-update-too-large", _block(b"\x3f\xe2\x1f\x82")),
        ("string-beyond-block", _block(b"\x40\x7fa")),
        ("integer-overflow", _block(b"\xff" + b"\xff" * 12)),
    ],
)

_STATES: Final = [
    *_fatal(
        58,
        PROTOCOL,
        [
            ("even-stream", lambda head: head(2)),
            ("decreasing-stream", lambda head: head(5) + head(3)),
            ("data-on-idle", data(1, b"x")),
            ("rst-on-idle", rst(1)),
            ("window-update-on-idle", window(1, 1)),
        ],
    ),
    *_fatal(
        59,
        CLOSED,
        [
            ("data-after-end", lambda head: head(1) + data(1, b"x")),
            ("headers-after-end", lambda head: head(1) + head(1)),
            ("data-after-rst", lambda head: head(1, POST, False) + rst(1) + data(1, b"x")),
            ("headers-after-rst", lambda head: head(1, POST, False) + rst(1) + head(1)),
        ],
    ),
    Case(
        60,
        "three-streams-too-many",
        lambda head: b"".join(head(1 + 2 * i) for i in range(103)),
        resets={201: REFUSED, 203: REFUSED, 205: REFUSED},
        forwarded=(b"/",) * 100,
        waits=True,
    ),
    Case(
        61,
        "stream-window-overflow",
        lambda head: head(1, POST, False) + window(1, (1 << 31) - 1),
        resets={1: FLOW},
    ),
    Case(
        61,
        "stream-window-overflow-in-two",
        lambda head: head(1, POST, False) + window(1, 1 << 30) + window(1, 1 << 30),
        resets={1: FLOW},
    ),
    Case(
        61,
        "huge-window-that-fits",
        lambda head: head(1, POST, False) + window(1, 1 << 30) + data(1, b"x", True),
        statuses={1: 200},
        forwarded=(b"/",),
    ),
    *_fatal(
        61,
        FLOW,
        [
            ("connection-window-overflow", window(0, (1 << 31) - 1)),
            ("initial-window-too-large", settings({}) + frame(4, b"\0\4\x80\0\0\0")),
            (
                "initial-window-overflows-a-stream",
                lambda head: head(1, POST, False) + window(1, (1 << 31) - 65536) + frame(4, b"\0\4\0\2\0\0"),
            ),
        ],
    ),
    *_fatal(
        61,
        PROTOCOL,
        [
            ("connection-increment-0", window(0, 0)),
            ("stream-increment-0", lambda head: head(1, POST, False) + window(1, 0)),
            ("push-of-2", frame(4, b"\0\2\0\0\0\2")),
            ("frame-size-too-small", frame(4, b"\0\5\0\0\0\1")),
            ("frame-size-too-large", frame(4, b"\0\5\1\0\0\0")),
        ],
    ),
    *_fatal(
        62,
        PROTOCOL,
        [
            ("ping-inside-a-block", lambda head: frame(1, head.block(GET), 1, 1) + frame(6, b"12345678")),
            ("headers-inside-a-block", lambda head: frame(1, head.block(GET), 1, 1) + head(3)),
            ("continuation-on-0", lambda head: frame(1, head.block(GET), 1, 1) + frame(9, b"", 0, 4)),
            ("continuation-of-another", lambda head: frame(1, head.block(GET), 1, 1) + frame(9, b"", 3, 4)),
            ("continuation-of-nothing", frame(9, b"", 1, 4)),
            ("continuation-after-end", lambda head: head(1) + frame(9, b"", 1, 4)),
            ("priority-on-0", frame(2, b"\0\0\0\1\1", 0)),
            ("priority-on-itself", frame(2, b"\0\0\0\1\1", 1)),
        ],
    ),
]


def _continuations(count: int, piece: bytes) -> Send:
    return lambda head: (
        frame(1, head.block(GET), 1, 1) + frame(9, piece, 1) * (count - 1) + frame(9, piece, 1, 4)
    )


def _entry(size: int) -> bytes:
    """A header block that puts one entry of `size` bytes into the table."""
    length = size - 32 - 1
    return b"\x82\x87\x84\x41\x01a\x40\x01a\x7f" + _integer(length - 127) + b"v" * length


def _integer(rest: int) -> bytes:
    made = b""
    while rest >= 128:
        made += bytes((rest & 127 | 128,))
        rest >>= 7
    return made + bytes((rest,))


_BOMBS: Final = [
    *_fatal(
        63,
        CALM,
        [
            ("300-continuations", _continuations(300, b"")),
            ("9-continuations", _continuations(9, b"\x00\x01a\x01b")),
            ("block-over-64-kib", _continuations(5, b"\x00\x01a\x7f\x81\x7e" + b"v" * 16256)),
        ],
    ),
    Case(
        63,
        "4-continuations-are-fine",
        _continuations(4, b"\x00\x01a\x01b"),
        statuses={1: 200},
        forwarded=(b"/",),
    ),
    *_fatal(
        64,
        CALM,
        [
            ("8000-references", _block(_entry(3900) + b"\xbe" * 8000)),
            ("5000-static-fields", _block(b"\x82\x87\x84\x41\x01a" + b"\x90" * 5000)),
            ("70-kB-of-fields", lambda head: _split(head.block([*GET, *_numbered(70, 1000)]))),
        ],
    ),
    *_answered(39, 431, [("101-fields", [*GET, *((b"x-%d" % i, b"v") for i in range(101))])]),
]


def _numbered(count: int, size: int) -> Pairs:
    return [(b"x-%d" % i, b"%d" % (i % 10) * size) for i in range(count)]


def _split(block: bytes) -> bytes:
    """A long block as HEADERS and CONTINUATIONs of full size."""
    parts = [block[at : at + 16384] for at in range(0, len(block), 16384)]
    made = frame(1, parts[0], 1, 1)
    for part in parts[1:-1]:
        made += frame(9, part, 1)
    return made + frame(9, parts[-1], 1, 4)


_FIELDS: Final = [
    *_reset(
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
    *_reset(
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
    *_reset(
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
    _forwarded(70, "te-trailers", [*GET, (b"te", b"trailers")], b"/", present=((b"te", b"trailers"),)),
    *_reset(
        71,
        [
            ("no-method", _get(method=None)),
            ("no-scheme", _get(scheme=None)),
            ("no-path", _get(path=None)),
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
    *_reset(
        72,
        [
            (f"path-{what}", _get(path=path))
            for what, path in [
                ("empty", b""),
                ("relative", b"admin"),
                ("with-space", b"/a b"),
                ("with-crlf", b"/a\r\nx: y"),
                ("with-lf", b"/a\nb"),
                ("with-nul", b"/a\0"),
                ("8-bit", b"/\xff\xfe"),
                ("with-fragment", b"/a#b"),
                ("absolute", b"http://a/"),
                ("star-of-get", b"*"),
            ]
        ],
    ),
    *_reset(
        72,
        [
            (f"method-{what}", _get(method=method))
            for what, method in [
                ("empty", b""),
                ("with-space", b"GET /x HTTP/1.1"),
                ("8-bit", b"G\xff"),
                ("with-crlf", b"GET\r\n"),
                ("with-colon", b"G:T"),
            ]
        ],
    ),
    *_reset(
        72, [(f"scheme-{s.decode()!r}", _get(scheme=s)) for s in (b"", b"ftp", b"http://x/?", b"https ")]
    ),
    Case(
        72,
        "options-star",
        lambda head: head(1, _get(method=b"OPTIONS", path=b"*")),
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
    *_reset(
        4,
        [
            (f"length-{value.decode()!r}", [*POST, (b"content-length", value)])
            for value in (b"+5", b"-5", b"0x5", b"5, 5", b"5 6", b"5z", b"", b"9" * 20)
        ],
    ),
    *_reset(2, [("two-lengths", [*POST, (b"content-length", b"0"), (b"content-length", b"0")])]),
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
    *_answered(74, 501, [("connect", _CONNECT), ("extended-connect-of-another", _EXTENDED)]),
    *_reset(74, [("connect-with-protocol-only", [*_CONNECT, (b":protocol", b"websocket")])]),
    *_answered(47, 405, [("trace", _get(method=b"TRACE"))]),
    *_fatal(
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
    *_answered(53, 400, [("host-other-than-authority", [*GET, (b"host", b"b")])]),
    _forwarded(53, "host-equal-to-authority", [*GET, (b"host", b"A")], b"/"),
    _forwarded(53, "host-without-authority", [*_get(authority=None), (b"host", b"a")], b"/"),
    *_reset(53, [("neither", _get(authority=None)), ("two-hosts", [*GET, *[(b"host", b"a")] * 2])]),
    *_reset(
        30,
        [
            (f"authority-{value.decode()!r}", _get(authority=value))
            for value in (b"a, b", b"a/x", b"u@a", b"a:80x", b"", b"a..", b"[::g]", b"a:70000")
        ],
    ),
    *_fatal(54, CALM, [("10000-crumbs", lambda head: _split(head.block([*GET, *_crumbs(10_000)])))]),
    _forwarded(
        54,
        "300-crumbs",
        [*GET, *[(b"cookie", b"a=%d" % i) for i in range(300)]],
        b"/",
        present=((b"cookie", b"; ".join(b"a=%d" % i for i in range(300))),),
    ),
    *_answered(
        54, 400, [("two-content-types", [*GET, (b"content-type", b"a/b"), (b"content-type", b"c/d")])]
    ),
    *_answered(54, 400, [("two-authorizations", [*GET, *[(b"authorization", b"x")] * 2])]),
    *_answered(
        10,
        400,
        [
            ("underscored-length", [*GET, (b"content_length", b"5")]),
            ("underscored-coding", [*GET, (b"transfer_encoding", b"chunked")]),
        ],
    ),
    *_answered(38, 414, [("target-17-kB", _get(path=b"/" + b"a" * 17_000))]),
    *_answered(40, 417, [("other-expectation", [*POST, (b"expect", b"200-maybe")])]),
    _forwarded(
        42,
        "http2-settings",
        [*GET, (b"http2-settings", b"AAMAAABkAAQAAP__")],
        b"/",
        absent=(b"http2-settings",),
    ),
    *_answered(
        48,
        400,
        [
            (f"path-{path.decode()!r}", _get(path=path))
            for path in (b"/public%2f..%2fadmin", b"/a%5cb", b"/a%00", b"/..;/admin", b"/%c0%ae")
        ],
    ),
    *(
        _forwarded(48, f"path-{sent.decode()!r}", _get(path=sent), seen)
        for sent, seen in [
            (b"/public/../admin", b"/admin"),
            (b"//admin", b"/admin"),
            (b"/./admin", b"/admin"),
            (b"/%2e%2e/admin", b"/admin"),
            (b"/%61dmin", b"/admin"),
        ]
    ),
    _forwarded(
        51,
        "claims-of-the-client",
        [
            *GET,
            (b"x-forwarded-for", b"1.2.3.4"),
            (b"forwarded", b"for=1.2.3.4"),
            (b"x_forwarded_for", b"1.2.3.4"),
            (b"x-real-ip", b"1.2.3.4"),
        ],
        b"/",
        absent=(b"x-forwarded-for", b"forwarded", b"x_forwarded_for", b"x-real-ip"),
    ),
]


def _crumbs(count: int) -> Pairs:
    return [(b"cookie", b"a=%d" % (i % 7)) for i in range(count)]


CASES: Final = [
    *_PREFACES,
    *_SIZES,
    *_HPACK,
    *_STATES,
    *_BOMBS,
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
    Flood(66, "malformed-path", lambda i, head: head(1 + 2 * i, _get(path=b"/\xff")), 251),
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
