"""Hostile frames: prefaces, sizes, compression, stream states, bombs (rows 55-66 and 39)."""

from __future__ import annotations

from typing import Final

from tests.hostile.fake_h2 import GET, POST, PREFACE, data, frame, rst, settings, window
from tests.hostile.h2_case import (
    CLOSED,
    COMPRESSION,
    FLOW,
    PROTOCOL,
    REFUSED,
    SIZE,
    Case,
    Send,
    answered,
    as_send,
    block_frame,
    fatal,
    numbered,
    split_block,
    too_large,
)

PREFACES: Final = [
    Case(55, "http1", as_send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), goaway=PROTOCOL, greet=False),
    Case(55, "wrong-end", as_send(PREFACE[:-1] + b"x" + settings()), goaway=PROTOCOL, greet=False),
    Case(55, "ping-first", as_send(PREFACE + frame(6, b"12345678")), goaway=PROTOCOL, greet=False),
]

SIZES: Final = [
    *fatal(
        56,
        SIZE,
        [
            ("data-over-maximum", lambda head: head(1, POST, False) + data(1, b"x" * 16385)),
            ("headers-over-maximum", block_frame(b"x" * 16385)),
            ("ping-of-7", frame(6, b"1234567")),
            ("ping-of-9", frame(6, b"123456789")),
            ("rst-of-3", lambda head: head(1, POST, False) + frame(3, b"abc", 1)),
            ("window-update-of-3", frame(8, b"abc")),
            ("window-update-of-5", lambda head: head(1, POST, False) + frame(8, b"abcde", 1)),
            ("settings-of-5", frame(4, b"abcde")),
            ("settings-ack-with-payload", frame(4, b"abcdef", 0, 1)),
        ],
    ),
    *fatal(
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

HPACK: Final = fatal(
    57,
    COMPRESSION,
    [
        ("index-0", block_frame(b"\x80")),
        ("index-out-of-range", block_frame(b"\xff\xff\x7f")),
        ("padded-huffman", block_frame(b"\x40\x01a\x82\x1f\xff")),
        ("padding-not-of-eos", block_frame(b"\x40\x01a\x81\x00")),
        ("eos-in-string", block_frame(b"\x40\x01a\x84\xff\xff\xff\xff")),
        ("size-update-late", block_frame(b"\x82\x87\x84\x20")),
        ("size-update-too-large", block_frame(b"\x3f\xe2\x1f\x82")),
        ("string-beyond-block", block_frame(b"\x40\x7fa")),
        ("integer-overflow", block_frame(b"\xff" + b"\xff" * 12)),
    ],
)

STATES: Final = [
    *fatal(
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
    *fatal(
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
    *fatal(
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
    *fatal(
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
    *fatal(
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


BOMBS: Final = [
    *too_large(
        63,
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
    *too_large(
        64,
        [
            ("8000-references", block_frame(_entry(3900) + b"\xbe" * 8000)),
            ("5000-static-fields", block_frame(b"\x82\x87\x84\x41\x01a" + b"\x90" * 5000)),
        ],
    ),
    *too_large(
        39,
        [
            ("70-kB-of-fields", lambda head: split_block(head.block([*GET, *numbered(70, 1000)]))),
            ("field-of-70-kB", lambda head: split_block(head.block([*GET, (b"x-a", b"a" * 70_000)]))),
            ("2000-fields", lambda head: split_block(head.block([*GET, *numbered(2000, 1)]))),
        ],
    ),
    *answered(39, 431, [("101-fields", [*GET, *((b"x-%d" % i, b"v") for i in range(101))])]),
]
