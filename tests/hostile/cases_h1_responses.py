"""Responses no upstream should send (case 46, fault F6) and what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge.codec.h1.head import Framing


@dataclass(frozen=True, slots=True)
class ResponseCase:
    """`framing` None = BadResponse. `reusable`: whether the connection may carry another request."""

    name: str
    head: bytes
    framing: Framing | None = None
    reusable: bool = False
    method: bytes = b"GET"
    length: int | None = None


def answer(*lines: bytes, start: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join((start, *lines))


RESPONSES: Final = [
    *[
        ResponseCase(f"status-line-{index}", answer(b"Content-Length: 2", start=start))
        for index, start in enumerate(
            (
                b"",
                b"HTTP/1.1",
                b"HTTP/1.1 20 OK",
                b"HTTP/1.1 2000 OK",
                b"HTTP/1.1  200 OK",
                b"HTTP/1.1 200\tOK",
                b"HTTP/1.1 099 No",
                b"HTTP/1.1 600 No",
                b"HTTP/2 200 OK",
                b"HTTP/1.2 200 OK",
                b"http/1.1 200 OK",
                b"ICY 200 OK",
                b"HTTP/1.1 200 O\0K",
                b"HTTP/1.1 200 O\rK",
                b"HTTP/1.1 +20 OK",
            )
        )
    ],
    *[
        ResponseCase(f"fields-{index}", answer(*lines))
        for index, lines in enumerate(
            (
                (b"Content-Length: 2", b"Transfer-Encoding: chunked"),
                (b"Content-Length: 2", b"Content-Length: 2"),
                (b"Content-Length: 2", b"Content-Length: 3"),
                (b"Content-Length: 2, 2",),
                (b"Content-Length: +2",),
                (b"Content-Length: -2",),
                (b"Content-Length:",),
                (b"Content-Length: 18446744073709551618",),
                (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
                (b"Transfer-Encoding: chunked, chunked",),
                (b"Transfer-Encoding: gzip, chunked",),
                (b"Transfer-Encoding: identity",),
                (b"Transfer-Encoding: xchunked",),
                (b"Transfer-Encoding : chunked",),
                (b"X-A: b", b" folded"),
                (b" X-A: b",),
                (b"X A: b",),
                (b": b",),
                (b"no colon",),
                (b"X-A: b\nSet-Cookie: c",),
                (b"X-A: b\rc",),
                (b"X-A: \0",),
                (b"X-A: \x7f",),
                tuple(b"X-%d: a" % index for index in range(101)),
                (b"X-A: " + b"a" * 70_000,),
            )
        )
    ],
    ResponseCase("coding-of-1.0", answer(b"Transfer-Encoding: chunked", start=b"HTTP/1.0 200 OK")),
    ResponseCase("plain", answer(b"Content-Length: 2"), Framing.LENGTH, True, length=2),
    ResponseCase(
        "no-reason", answer(b"Content-Length: 2", start=b"HTTP/1.1 200"), Framing.LENGTH, True, length=2
    ),
    ResponseCase("no-body", answer(b"Content-Length: 0"), Framing.NONE, True, length=0),
    ResponseCase("chunks", answer(b"Transfer-Encoding: Chunked"), Framing.CHUNKED, True),
    ResponseCase("until-close", answer(b"Connection: keep-alive"), Framing.CLOSE),
    ResponseCase(
        "asked-to-close", answer(b"Content-Length: 2", b"Connection: X-A, Close"), Framing.LENGTH, length=2
    ),
    ResponseCase("1.0", answer(b"Content-Length: 2", start=b"HTTP/1.0 200 OK"), Framing.LENGTH, length=2),
    ResponseCase(
        "1.0-kept",
        answer(b"Content-Length: 2", b"Connection: keep-alive", start=b"HTTP/1.0 200 OK"),
        Framing.LENGTH,
        True,
        length=2,
    ),
    ResponseCase("to-head", answer(b"Content-Length: 2"), Framing.NONE, True, b"HEAD", 2),
    ResponseCase("to-head-chunks", answer(b"Transfer-Encoding: chunked"), Framing.NONE, True, b"HEAD"),
    ResponseCase(
        "304", answer(b"Content-Length: 2", start=b"HTTP/1.1 304 Not Modified"), Framing.NONE, True, length=2
    ),
    ResponseCase("204", answer(start=b"HTTP/1.1 204 No Content"), Framing.NONE, True),
    ResponseCase(
        "204-with-a-body", answer(b"Content-Length: 2", start=b"HTTP/1.1 204 No Content"), Framing.NONE
    ),
    ResponseCase(
        "204-with-chunks", answer(b"Transfer-Encoding: chunked", start=b"HTTP/1.1 204 No"), Framing.NONE
    ),
    ResponseCase("100", answer(start=b"HTTP/1.1 100 Continue"), Framing.NONE, True),
    ResponseCase(
        "100-with-a-body", answer(b"Content-Length: 2", start=b"HTTP/1.1 100 Continue"), Framing.NONE
    ),
    ResponseCase(
        "101", answer(b"Upgrade: websocket", b"Connection: upgrade", start=b"HTTP/1.1 101 S"), Framing.TUNNEL
    ),
]

BAD_CHUNKS: Final = [
    b"0x2\r\nok\r\n0\r\n\r\n",
    b"+2\r\nok\r\n0\r\n\r\n",
    b" 2\r\nok\r\n0\r\n\r\n",
    b"2 \r\nok\r\n0\r\n\r\n",
    b"\r\nok\r\n0\r\n\r\n",
    b"00000000000000002\r\nok\r\n0\r\n\r\n",
    b"2\nok\r\n0\r\n\r\n",
    b"2;a\nok\r\n0\r\n\r\n",
    b"2;a\rb\r\nok\r\n0\r\n\r\n",
    b"2\r\nok0\r\n\r\n",
    b"2\r\nok!\r\n0\r\n\r\n",
    b"2\r\nok\n0\r\n\r\n",
    b"2\r\nok\r\n0\r\nXX\r\n\r\n",
    b"2\r\nok\r\n0\r\nX A: b\r\n\r\n",
    b"2\r\nok\r\n0\r\nX-A: b\nX-B: c\r\n\r\n",
    b"2;" + b"a" * 5000 + b"\r\nok\r\n0\r\n\r\n",
    b"0\r\n" + b"X-A: b\r\n" * 101 + b"\r\n",
    b"0\r\nX-A: " + b"a" * 20_000 + b"\r\n\r\n",
    b"1\r\nx\r\n" * 20_000,
]
