"""The bit beside the stream's number means nothing, whatever frame carries it. Spec: RFC 9113 §4.1."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge.codec.h2.engine import MakeEngine
from edge.codec.h2.native import NativeEngine
from edge.codec.h2.pure import PureEngine
from tests.contract.test_h2_engines import Call, Client
from tests.hostile.fake_h2 import GET, POST, Heads, data, frame, rst, window

LAST = (1 << 31) - 1
PADDED = 8


def _split(head: Heads, stream_id: int) -> bytes:
    block = head.block(GET)
    return frame(1, block[:1], stream_id, 1) + frame(9, block[1:], stream_id, 4)


CONVERSATIONS: dict[str, Callable[[Heads], bytes]] = {
    "requests": lambda head: head(1) + head(3) + head(7),
    "body": lambda head: head(1, POST, False) + data(1, b"abc") + data(1, b"d", True),
    "body in one frame, and more": lambda head: head(1, POST, False) + data(1, b"abc", True) + data(1, b"d"),
    "padding": lambda head: head(1, POST, False) + frame(0, b"\3abc\0\0\0", 1, PADDED) + data(1, b"", True),
    "trailers": lambda head: head(1, POST, False) + data(1, b"abc") + head(1, [(b"x-a", b"b")]),
    "trailers, and more": lambda head: head(1, POST, False) + head(1, [(b"x-a", b"b")]) + data(1, b"d"),
    "split head": lambda head: _split(head, 1) + head(3),
    "reset": lambda head: head(1, POST, False) + rst(1) + head(3),
    "resets": lambda head: b"".join(head(1 + 2 * i, POST, False) + rst(1 + 2 * i) for i in range(251)),
    "windows": lambda head: head(1, POST, False) + window(0, 5) + window(1, 5) + data(1, b"d", True),
    "window too far": lambda head: head(1, POST, False) + window(1, LAST) + head(3),
    "many windows": lambda head: head(1, POST, False) + window(1, 1) * 1001,
    "priority": lambda head: frame(2, b"\0\0\0\0\1", 3) + head(1),
    "priority of itself": lambda head: head(1) + frame(2, b"\0\0\0\3\1", 3),
    "pings": lambda head: head(1) + frame(6, b"12345678") * 3 + head(3),
    "unknown frames": lambda head: head(1) + frame(99, b"abc", 1) + head(3),
    "body of an ended stream": lambda head: head(1) + data(1, b"late"),
    "body of a skipped stream": lambda head: head(3) + data(1, b"late"),
    "body of a stream that never began": lambda head: head(1) + data(3, b"early"),
    "head of a skipped stream": lambda head: head(1) + head(7) + head(3),
    "empty bodies": lambda head: head(1, POST, False) + data(1, b"") * 11,
    "the last stream there is": lambda head: head(1) + head(LAST),
    "trailers behind the last stream": lambda head: (
        head(1, POST, False) + head(LAST) + head(1, [(b"x-a", b"b")]) + data(1, b"late")
    ),
    "the first again behind the last": lambda head: head(1) + head(LAST) + head(1),
    "body of the first behind the last": lambda head: head(1) + head(LAST) + data(1, b"late"),
    "a skipped one behind the last": lambda head: head(3) + head(LAST) + head(1),
}


def _marked(frames: bytes) -> bytes:
    """The same frames, each with its reserved bit set."""
    made, at = bytearray(frames), 0
    while at < len(made):
        made[at + 5] |= 0x80
        at += 9 + int.from_bytes(made[at : at + 3], "big")
    return bytes(made)


def _told(make: MakeEngine, frames: bytes, step: int) -> tuple[list[Call], list[tuple[int, int]], list[Call]]:
    client = Client(make)
    for at in range(0, len(frames), step):
        client.send(frames[at : at + step])
    return client.told(), client.refused, client.seen()


@pytest.mark.parametrize("step", [1 << 20, 1, 13], ids=["at once", "byte by byte", "in pieces"])
@pytest.mark.parametrize("make", [NativeEngine, PureEngine])
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_it_is_as_if_it_were_not_set(name: str, make: MakeEngine, step: int) -> None:
    frames = CONVERSATIONS[name](Heads())
    plain = _told(make, frames, step)
    assert _told(make, _marked(frames), step) == plain
    assert plain[0] or plain[2]
