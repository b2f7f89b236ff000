"""Hostile HTTP/3 requests: one row, one right answer. Numbers are those of the hardening list.

`status` = answered so, `reset` = the stream ends with that code, `close` = the connection does.
Cases that are conversations, or about time, are in test_h3.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aioquic.h3.connection import encode_frame

from edge.codec.h3.qpack import literal
from edge.codec.h3.wire import Code, varint
from tests.unit.codec.h3.world import GET, Client

Fields = list[tuple[bytes, bytes]]
BAD: Final = 400
MALFORMED: Final = Code.MESSAGE_ERROR


@dataclass(frozen=True, slots=True)
class Case:
    """`send` queues the input and returns the id of its stream. `forwarded` = target that upstream sees."""

    number: int
    name: str
    send: Callable[[Client], int]
    status: int | None = None
    reset: int | None = None
    close: int | None = None
    forwarded: bytes | None = None
    present: tuple[tuple[bytes, bytes], ...] = ()
    absent: tuple[bytes, ...] = ()

    @property
    def id(self) -> str:
        return f"{self.number}-{self.name}"


def get(*added: tuple[bytes, bytes], **pseudo: bytes | None) -> Fields:
    """A GET with fields `added`; `path=b"/x"` replaces a pseudo header, None leaves it out."""
    made = []
    for name, value in GET:
        changed = pseudo.get(name[1:].decode(), value)
        if changed is not None:
            made.append((name, changed))
    return made + list(added)


def _request(fields: Fields, body: bytes | None = None) -> Callable[[Client], int]:
    return lambda client: client.request(fields, body)


def _raw(data: bytes, end: bool = True) -> Callable[[Client], int]:
    return lambda client: client.raw(data, end)


def _control(data: bytes) -> Callable[[Client], int]:
    def send(client: Client) -> int:
        assert client.h3 is not None and client.h3._local_control_stream_id is not None
        client.quic.send_stream_data(client.h3._local_control_stream_id, data)
        return client.h3._local_control_stream_id

    return send


def _uni(data: bytes, end: bool = False) -> Callable[[Client], int]:
    def send(client: Client) -> int:
        stream_id = client.quic.get_next_available_stream_id(is_unidirectional=True)
        client.quic.send_stream_data(stream_id, data, end)
        return stream_id

    return send


def _qpack(name: str, data: bytes) -> Callable[[Client], int]:
    def send(client: Client) -> int:
        stream_id: int = getattr(client.h3, f"_local_{name}_stream_id")
        client.quic.send_stream_data(stream_id, data)
        return stream_id

    return send


def _refused(number: int, rows: list[tuple[str, Fields]], status: int = BAD) -> list[Case]:
    return [Case(number, name, _request(fields), status=status) for name, fields in rows]


def _malformed(number: int, rows: list[tuple[str, Fields]]) -> list[Case]:
    return [Case(number, name, _request(fields), reset=MALFORMED) for name, fields in rows]


def _trailers(fields: Fields) -> Callable[[Client], int]:
    def send(client: Client) -> int:
        stream_id = client.request(get(method=b"POST"), b"hello", end=False)
        assert client.h3 is not None
        section = client.h3._encode_headers(stream_id, fields)
        client.quic.send_stream_data(stream_id, encode_frame(1, section), True)
        return stream_id

    return send


_LENGTH: Final = b"content-length"
_FRAMING: Final = [
    *_malformed(2, [("two-lengths", get((_LENGTH, b"5"), (_LENGTH, b"6")))]),
    *_malformed(3, [("length-list", get((_LENGTH, b"5, 5")))]),
    *_malformed(
        4,
        [
            (f"length-{value.decode() or 'empty'}", get((_LENGTH, value)))
            for value in (b"+5", b"-5", b"0x5", b"0_5", b"5 6", b"5z", b"", b"5.0")
        ],
    ),
    *_malformed(5, [("twenty-digits", get((_LENGTH, b"18446744073709551621")))]),
    *_malformed(
        1,
        [
            ("length-then-coding", get((_LENGTH, b"5"), (b"transfer-encoding", b"chunked"))),
            ("coding-then-length", get((b"transfer-encoding", b"chunked"), (_LENGTH, b"5"))),
        ],
    ),
    *_malformed(
        6,
        [(f"blank-behind-{name.decode()}", get((name + b" ", b"5")))
         for name in (_LENGTH, b"transfer-encoding")],
    ),
    *_malformed(
        7,
        [
            (f"coding-{value.decode('latin-1')!r}", get((b"transfer-encoding", value)))
            for value in (b"chunked", b"chunked, chunked", b"identity, chunked", b"xchunked", b"\xa0chunked")
        ],
    ),
    *_malformed(8, [("chunked-not-last", get((b"transfer-encoding", b"chunked, identity")))]),
    *_malformed(11, [("folded", get((b"x-a", b"b\r\n c")))]),
    *_refused(10, [("underscored", get((b"transfer_encoding", b"chunked")))]),
    Case(22, "trailer-that-frames", _trailers([(_LENGTH, b"9"), (b"host", b"b"), (b"x-sum", b"1")]),
         status=200, forwarded=b"/", absent=(_LENGTH,)),
    Case(22, "trailer-that-asks", _trailers([(b"if_match", b"1"), (b"baggage", b"a=b"), (b"x-sum", b"1")]),
         status=200, forwarded=b"/", absent=(b"if_match", b"if-match", b"baggage")),
    Case(73, "more-than-length", _request(get((_LENGTH, b"2"), method=b"POST"), b"hello"), reset=MALFORMED),
    Case(73, "less-than-length", _request(get((_LENGTH, b"9"), method=b"POST"), b"hello"), reset=MALFORMED),
    Case(73, "length-without-body", _request(get((_LENGTH, b"9"), method=b"POST")), reset=MALFORMED),
    Case(73, "right-length", _request(get((_LENGTH, b"5"), method=b"POST"), b"hello"), status=200,
         forwarded=b"/"),
]  # fmt: skip

_SYNTAX: Final = [
    *_malformed(
        81,
        [
            *(
                (f"value-{name}", get((b"x-a", value)))
                for name, value in (
                    ("cr", b"a\rb"),
                    ("lf", b"a\nb"),
                    ("crlf", b"a\r\nx: b"),
                    ("nul", b"a\0b"),
                    ("bel", b"a\x07b"),
                    ("del", b"a\x7fb"),
                    ("blank-before", b" a"),
                    ("blank-behind", b"a\t"),
                )
            ),
            *(
                (f"name-{name}", get((value, b"b")))
                for name, value in (
                    ("upper", b"X-A"),
                    ("blank", b"x a"),
                    ("8-bit", b"x\xff"),
                    ("colon", b"x:a"),
                    ("crlf", b"x\r\na"),
                    ("nul", b"x\0"),
                    ("parenthesis", b"x(a)"),
                )
            ),
            *(
                (f"connection-field-{name.decode()}", get((name, b"x")))
                for name in (b"connection", b"keep-alive", b"proxy-connection", b"upgrade")
            ),
            ("te-gzip", get((b"te", b"gzip"))),
            ("nothing-at-all", []),
            ("no-method", get(method=None)),
            ("no-scheme", get(scheme=None)),
            ("no-path", get(path=None)),
            ("no-authority-no-host", get(authority=None)),
            ("method-twice", [*get(), (b":method", b"POST")]),
            ("path-twice", [*get(), (b":path", b"/b")]),
            ("status", [*get(), (b":status", b"200")]),
            ("unknown-pseudo", [*get(), (b":admin", b"1")]),
            ("late-pseudo", [*get()[:3], (b"x-a", b"b"), (b":path", b"/")]),
            ("protocol-without-connect", [*get(), (b":protocol", b"websocket")]),
            ("empty-authority", get(authority=b"")),
        ],
    ),
    Case(81, "trailers-without-fields", _trailers([]), status=200, forwarded=b"/"),
    Case(81, "pseudo-in-trailers", _trailers([(b":path", b"/")]), reset=MALFORMED),
    Case(81, "connection-in-trailers", _trailers([(b"connection", b"x")]), reset=MALFORMED),
    Case(81, "upper-in-trailers", _trailers([(b"X-A", b"x")]), reset=MALFORMED),
    *_malformed(
        34,
        [
            (f"method-{name}", get(method=value))
            for name, value in (
                ("8-bit", b"G\xff"),
                ("blank", b"GET /x HTTP/1.1"),
                ("colon", b"GE:T"),
                ("empty", b""),
                ("crlf", b"GET\r\n"),
                ("parenthesis", b"G(T"),
            )
        ],
    ),
    *_malformed(
        72,
        [
            (f"path-{name}", get(path=value))
            for name, value in (
                ("8-bit", b"/\xff\xfe"),
                ("empty", b""),
                ("relative", b"admin"),
                ("blank", b"/a b"),
                ("crlf", b"/ HTTP/1.1\r\nx: y"),
                ("tab", b"/\ta"),
                ("nul", b"/\0"),
                ("absolute", b"http://b/"),
                ("star-of-get", b"*"),
            )
        ],
    ),
    *_malformed(
        72,
        [
            (f"scheme-{name}", get(scheme=value))
            for name, value in (
                ("ftp", b"ftp"),
                ("injection", b"http://x/?"),
                ("empty", b""),
                ("8-bit", b"\xff"),
            )
        ],
    ),
    *_refused(33, [("fragment", get(path=b"/a#frag"))]),
]

_SECTION: Final = b"\0\0\xd1\xd7\x50\x01a\xc1"
"""GET, https, authority `a`, path `/`, with the static table."""

_ROUTING: Final = [
    *_refused(
        30,
        [
            (f"authority-{value.decode()}", get(authority=value))
            for value in (b"a,b", b"a/x", b"u@a", b"a:80x", b"a:99999", b".a", b"a..b", b"[::1")
        ],
    ),
    *_malformed(30, [("authority-blank", get(authority=b"a b")), ("authority-nul", get(authority=b"a\0"))]),
    *_refused(
        48,
        [
            (f"path-{value.decode()}", get(path=value))
            for value in (
                b"/public%2f..%2fadmin",
                b"/a%5cb",
                b"/a%00",
                b"/a%zz",
                b"/..;/admin",
                b"/%c0%ae%c0%ae/admin",
                b"/a%0d%0ab",
            )
        ],
    ),
    *(
        Case(48, f"canonical-{path.decode()}", _request(get(path=path)), status=200, forwarded=target)
        for path, target in (
            (b"/public/../admin", b"/admin"),
            (b"//admin", b"/admin"),
            (b"/./admin", b"/admin"),
            (b"/%2e%2e/admin", b"/admin"),
            (b"/%61dmin", b"/admin"),
        )
    ),
    Case(
        51,
        "claims-of-other-hops",
        _request(
            get(
                (b"x-forwarded-for", b"1.2.3.4"),
                (b"x-real-ip", b"1.2.3.4"),
                (b"x_forwarded_for", b"1.2.3.4"),
                (b"forwarded", b"for=1.2.3.4"),
                (b"client-cert", b":YQ==:"),
            )
        ),
        status=200,
        forwarded=b"/",
        absent=(b"x-forwarded-for", b"x-real-ip", b"x_forwarded_for", b"forwarded", b"client-cert"),
    ),
    *_refused(53, [("host-is-not-authority", get((b"host", b"b")))]),
    Case(53, "host-is-authority", _request(get((b"host", b"A"))), status=200, forwarded=b"/"),
    Case(53, "host-only", _request(get((b"host", b"a"), authority=None)), status=200, forwarded=b"/"),
    *_malformed(53, [("two-hosts", get((b"host", b"a"), (b"host", b"a")))]),
    *_refused(54, [("crumbs", get(*[(b"cookie", b"a=b")] * 10_000))], 431),
    *_refused(54, [("two-types", get((b"content-type", b"a/b"), (b"content-type", b"c/d")))]),
    Case(
        54,
        "crumbs-joined",
        _request(get(*[(b"cookie", b"%c=1" % c) for c in b"abc"])),
        status=200,
        forwarded=b"/",
        present=((b"cookie", b"a=1; b=1; c=1"),),
    ),
    Case(
        54,
        "empty-crumbs",
        _request(get((b"cookie", b""), (b"cookie", b"a=1"), (b"cookie", b""))),
        status=200,
        forwarded=b"/",
        present=((b"cookie", b"a=1"),),
    ),
    *_refused(54, [("two-authorizations", get(*[(b"authorization", b"x")] * 2))]),
    *_refused(38, [("long-target", get(path=b"/" + b"a" * 20_000))], 414),
    *_refused(39, [("many-fields", get(*[(b"x-%d" % n, b"b") for n in range(2_000)]))], 431),
    *_refused(39, [("some-too-many-fields", get(*[(b"x-%d" % n, b"b") for n in range(101)]))], 431),
    Case(39, "large-field", _raw(encode_frame(1, _SECTION + literal(b"x-a", b"b" * 70_000))), status=431),
    Case(
        39,
        "head-just-too-large",
        _raw(encode_frame(1, _SECTION + literal(b"x-a", b"b" * 61_300))),
        status=431,
    ),
    Case(
        39,
        "head-just-not-too-large",
        _raw(encode_frame(1, _SECTION + literal(b"x-a", b"b" * 61_100))),
        status=200,
        forwarded=b"/",
    ),
    *_refused(40, [("expectation", get((b"expect", b"200-maybe")))], 417),
    *_refused(47, [("trace", get(method=b"TRACE"))], 405),
    *_refused(74, [("connect", [(b":method", b"CONNECT"), (b":authority", b"a:80")])], 501),
    *_malformed(74, [("connect-with-path", get(method=b"CONNECT"))]),
    *_malformed(74, [("connect-without-authority", [(b":method", b"CONNECT")])]),
    *_refused(74, [("connect-udp", [*get(method=b"CONNECT"), (b":protocol", b"connect-udp")])], 501),
]


def _opened(data: bytes) -> Callable[[Client], int]:
    """A request with a body that goes on with `data`."""

    def send(client: Client) -> int:
        stream_id = client.request(get(method=b"POST"), b"hello", end=False)
        client.quic.send_stream_data(stream_id, data)
        return stream_id

    return send


def _close_control(client: Client) -> int:
    assert client.h3 is not None and client.h3._local_control_stream_id is not None
    client.quic.send_stream_data(client.h3._local_control_stream_id, b"", True)
    return client.h3._local_control_stream_id


def _reset_control(client: Client) -> int:
    assert client.h3 is not None and client.h3._local_control_stream_id is not None
    client.quic.reset_stream(client.h3._local_control_stream_id, 0)
    return client.h3._local_control_stream_id


def _close_qpack(name: str) -> Callable[[Client], int]:
    def send(client: Client) -> int:
        stream_id: int = getattr(client.h3, f"_local_{name}_stream_id")
        client.quic.send_stream_data(stream_id, b"", True)
        return stream_id

    return send


_FRAMES: Final = [
    Case(81, "name-empty", _raw(encode_frame(1, _SECTION + literal(b"", b"b"))),
         close=Code.QPACK_DECOMPRESSION_FAILED),
    Case(78, "data-before-headers", _raw(encode_frame(0, b"x")), close=Code.FRAME_UNEXPECTED),
    Case(78, "headers-on-control", _control(encode_frame(1, b"")), close=Code.FRAME_UNEXPECTED),
    Case(78, "second-settings", _control(encode_frame(4, b"")), close=Code.FRAME_UNEXPECTED),
    Case(78, "settings-on-request", _raw(encode_frame(4, b"")), close=Code.FRAME_UNEXPECTED),
    Case(78, "push-promise", _raw(encode_frame(5, b"\0")), close=Code.FRAME_UNEXPECTED),
    *(
        Case(78, f"http2-frame-{kind}", _raw(encode_frame(kind, b"")), close=Code.FRAME_UNEXPECTED)
        for kind in (2, 6, 8, 9)
    ),
    *(
        Case(78, f"control-frame-{kind}-on-request", _opened(encode_frame(kind, b"\0")),
             close=Code.FRAME_UNEXPECTED)
        for kind in (3, 7, 0xD)
    ),
    Case(78, "frame-cut-off", _raw(b"\x01\x20abc"), close=Code.FRAME_ERROR),
    Case(78, "frame-header-cut-off", _raw(b"\x01"), close=Code.FRAME_ERROR),
    Case(78, "stream-without-headers", _raw(b""), reset=Code.REQUEST_INCOMPLETE),
    Case(78, "only-unknown-frames", _raw(encode_frame(0x21, b"x")), reset=Code.REQUEST_INCOMPLETE),
    Case(79, "second-control-stream", _uni(b"\0"), close=0x103),
    Case(79, "push-stream", _uni(b"\x01\0"), close=0x103),
    Case(79, "control-closed", _close_control, close=Code.CLOSED_CRITICAL_STREAM),
    Case(79, "control-reset", _reset_control, close=Code.CLOSED_CRITICAL_STREAM),
    Case(79, "encoder-closed", _close_qpack("encoder"), close=Code.CLOSED_CRITICAL_STREAM),
    Case(79, "decoder-closed", _close_qpack("decoder"), close=Code.CLOSED_CRITICAL_STREAM),
    Case(83, "frame-of-2-to-the-40", _raw(b"\x01" + varint(1 << 40) + b"x" * 900, end=False), status=431),
    Case(83, "bomb-of-static-lines", _raw(encode_frame(1, b"\0\0" + b"\xd1" * 50_000)), status=431),
    Case(83, "settings-of-2-to-the-40", _uni(b"\0" + b"\x04" + varint(1 << 40)), close=0x103),
    Case(83, "push-id-of-8000-bytes", _control(b"\x0d" + varint(8_000) + b"\0" * 5_000),
         close=Code.EXCESSIVE_LOAD),
    Case(83, "flood-on-control", _control(encode_frame(0x21, b"") * 10_000), close=Code.EXCESSIVE_LOAD),
    Case(84, "static-index", _raw(encode_frame(1, b"\0\0\xff\x24")), close=Code.QPACK_DECOMPRESSION_FAILED),
    Case(84, "dynamic-index", _raw(encode_frame(1, b"\x02\0\x80")), close=Code.QPACK_DECOMPRESSION_FAILED),
    Case(84, "capacity", _qpack("encoder", b"\x3f\xe1\xc7\xaf\xa0\x25"), close=0x201),
    Case(84, "insertion-into-no-table", _qpack("encoder", b"\xc0\x01a"), close=0x201),
    Case(84, "increment-of-0", _qpack("decoder", b"\0"), close=0x202),
    Case(67, "empty-data-frames", _opened(encode_frame(0, b"") * 200),
         close=Code.EXCESSIVE_LOAD),
    Case(67, "unknown-frames", _opened(encode_frame(0x21, b"") * 200),
         close=Code.EXCESSIVE_LOAD),
    Case(23, "data-frames-of-1-byte", _opened(encode_frame(0, b"x") * 2_000),
         close=Code.EXCESSIVE_LOAD),
]  # fmt: skip

CASES: Final = [*_FRAMING, *_SYNTAX, *_ROUTING, *_FRAMES]
