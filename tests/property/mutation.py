"""Mutated conversations of each protocol out of one number, and the smallest one that still fails.

Hypothesis draws the numbers. One drawn byte by byte would spend ten times longer in the drawing
than edge does in the answering; so a number seeds a generator of many conversations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Final

from aioquic.h3.connection import encode_frame
from pylsqpack import Encoder

from edge.head import Field
from tests.hostile.cases_h2 import CASES as H2_CASES
from tests.hostile.fake_h2 import GET, POST, Heads, data, frame, rst, window
from tests.property.test_h1_requests import BAD, GOOD, PIECES
from tests.property.test_h2_requests import SPECIAL
from tests.property.test_h3_requests import NAMES, VALUES, literal_section
from tests.unit.codec.h3.world import GET as H3_GET

Conversation = tuple[bytes, ...]
"""What a client sends, in the pieces in which it arrives."""

_AWKWARD: Final = (
    *(bytes((byte,)) for byte in (*range(0x21), 0x7F, 0x80, 0xFF, *b"\"#%&'()*,/:;<=>?@[\\]^_`{|}~")),
    *(b"#", b"<", b">", b"@", b"/", b",", b"\r\n", b"\r\n\r\n", b"\r\nx: y", b"\nx: y", b"\r\n ", b"\n"),
    *(b"//", b"/../", b"/..;/", b"%2f", b"%2e", b"%00", b"%zz", b"%c0%af", b" HTTP/1.1\r\n", b" "),
)
"""What means something, or nothing good, to one reader or another of a path, an authority or a value."""
_TRAILERS: Final[tuple[list[Field], ...]] = (
    *([], [(b"x-two", b"2")], [(b"host", b"b")], [(b"content-length", b"3")], [(b"cookie", b"a")]),
    *([(b"te", b"trailers")], [(b"x-b", b"a\x01")], [(b":path", b"/")], [(b"traceparent", b"x")]),
)
_H2_SEEDS: Final = [made for case in H2_CASES if case.greet and len(made := case.send(Heads())) < 600]
_LARGEST_BYTES: Final = 4096
_SHRINK_RUNS: Final = 2000
_OFTEN_AWKWARD: Final = 0.2
_PARTS: Final[dict[bytes, tuple[bytes, ...]]] = {
    b":method": (b"GET",),
    b":scheme": (b"https",),
    b":authority": (b"a.b", b"a.b:80", b"[::1]"),
    b":path": (b"/a/b", b"/a?b=c", b"/"),
    b"x-a": (b"bc", b""),
}


def conversations(protocol: str, seed: int) -> Iterator[Conversation]:
    """Without end, and always the same for the same seed."""
    random = Random(f"{protocol} {seed}")
    make = {"h1": _http1, "h2": _http2, "h3": _http3}[protocol]
    while True:
        yield _pieces(random, make(random)[:_LARGEST_BYTES])


def smallest(conversation: Conversation, fails: Callable[[Conversation], bool]) -> Conversation:
    """As few bytes in as few pieces as still fail, within reason."""
    joined = (b"".join(conversation),)
    best = joined if fails(joined) else conversation
    runs = 0
    size = max(map(len, best), default=1)
    while size and runs < _SHRINK_RUNS:
        smaller = None
        for index, piece in enumerate(best):
            for at in range(0, len(piece), size):
                runs += 1
                candidate = (*best[:index], piece[:at] + piece[at + size :], *best[index + 1 :])
                if fails(candidate):
                    smaller = candidate
                    break
            if smaller is not None:
                break
        if smaller is None:
            size //= 2
        else:
            best = smaller
    return best


def _pieces(random: Random, wire: bytes) -> Conversation:
    """Mostly all at once; else cut where it hurts."""
    if random.random() < 0.6 or len(wire) < 2:
        return (wire,)
    cuts = sorted({random.randrange(1, len(wire)) for _ in range(random.randint(1, 4))})
    return tuple(wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True))


def _edit(random: Random, wire: bytes, pieces: Sequence[bytes]) -> bytes:
    """One change: something put in, cut out, copied, moved, written over, or a bit turned."""
    start = random.randint(0, len(wire))
    end = min(len(wire), start + random.randint(0, 12))
    piece = random.choice(pieces) if random.random() < 0.6 else random.randbytes(random.randint(1, 3))
    how = random.randrange(7)
    if how <= 1:
        return wire[:start] + piece + wire[start:]
    if how == 2:
        return wire[:start] + wire[end:]
    if how == 3:
        return wire[:end] + wire[start:end] + wire[end:]
    if how == 4:
        return wire[:start] + piece + wire[start + len(piece) :]
    if how == 5:
        to = random.randint(0, len(wire))
        return wire[:to] + wire[start:end] + wire[to:]
    if start == len(wire):
        return wire
    return wire[:start] + bytes((wire[start] ^ 1 << random.randrange(8),)) + wire[start + 1 :]


def _awkward(random: Random) -> list[Field]:
    """A request of which one part has something in it that may not be there, or just may."""
    parts = {name: random.choice(values) for name, values in _PARTS.items()}
    name = random.choice((b":method", b":authority", b":authority", b":path", b":path", b"x-a", b"x-a"))
    value = parts[name]
    at = random.randint(0, len(value))
    parts[name] = value[:at] + random.choice(_AWKWARD) + value[at:]
    return list(parts.items())


def _awkward_http1(random: Random) -> bytes:
    said = dict(_awkward(random))
    line = b"%b %b HTTP/1.1\r\n" % (said[b":method"], said[b":path"])
    return line + b"Host: %b\r\nX-A: %b\r\n\r\n" % (said[b":authority"], said[b"x-a"])


def _http1(random: Random) -> bytes:
    wire = b""
    for _ in range(random.randint(1, 3)):
        if random.random() < _OFTEN_AWKWARD:
            wire += _awkward_http1(random)
            continue
        seed = random.choice(BAD if random.random() < 0.3 else GOOD)
        for _ in range(random.randint(0, 4)):
            seed = _edit(random, seed, PIECES)
        wire += seed
    return wire


def _http2(random: Random) -> bytes:
    wire = _h2_frames(random) if random.random() < 0.6 else random.choice(_H2_SEEDS)
    for _ in range(random.choice((0, 0, 1, 1, 2, 3))):
        wire = _edit(random, wire, _H2_SEEDS)
    return wire


def _h2_frames(random: Random) -> bytes:
    """Frames that mostly make sense."""
    head = Heads()
    wire = b""
    last = 1
    for index in range(random.randint(1, 7)):
        stream_id = last if random.random() < 0.85 else random.choice((1, 3, 5, 2, 0, 7))
        what = random.randrange(9) if index else 0
        if what <= 2:
            fields = [field for _ in range(_few(random)) for field in random.choice(SPECIAL)]
            if random.random() < 0.5:
                fields = [(b"x-a", b"b"), (b"accept", b"*/*")]
            start = random.choice((GET, POST)) if index == 0 or random.random() < 0.8 else []
            if random.random() < _OFTEN_AWKWARD:
                start, fields = _awkward(random), []
            wire += head(stream_id, [*start, *fields], random.random() < 0.5)
        elif what <= 4:
            wire += data(stream_id, random.choice((b"", b"abc", b"abcd")), random.random() < 0.5)
        elif what == 5:
            wire += rst(stream_id) if random.random() < 0.3 else b""
        elif what == 6:
            wire += window(stream_id, random.choice((0, 1, 5, (1 << 31) - 1)))
        elif what == 7:
            payload = random.randbytes(random.randint(0, 12))
            wire += frame(random.randrange(18), payload, stream_id, random.randrange(256))
        elif what == 8:
            wire += head(stream_id, [(b"x-sum", b"1"), *random.choice(_TRAILERS)], random.random() < 0.9)
        last += 2 * random.randrange(2)
    return wire


def _few(random: Random) -> int:
    return random.choice((0, 0, 1, 1, 2, 4))


def _http3(random: Random) -> bytes:
    """One request stream. Frames that are broken end the connection, so most keep their shape."""
    wire = b"".join(_h3_frame(random, index) for index in range(random.randint(1, 4)))
    if random.random() < 0.3:
        for _ in range(random.randint(1, 3)):
            wire = _edit(random, wire, (b"\0", b"\1", b"\x41", b"\xff"))
    return wire


def _h3_frame(random: Random, index: int) -> bytes:
    kind = random.random()
    if (index == 0 and kind < 0.9) or kind < 0.3:
        fields = [_h3_field(random) for _ in range(_few(random))]
        start = H3_GET if random.random() < (0.95 if index == 0 else 0.2) else []
        if random.random() < _OFTEN_AWKWARD:
            return encode_frame(1, literal_section(_awkward(random)))
        if random.random() < 0.5:
            return encode_frame(1, literal_section([*start, *fields]))
        section: bytes = Encoder().encode(0, [*start, (b"x-a", b"b")])[1]
        return encode_frame(1, section + literal_section(fields)[2:])
    if kind < 0.8:
        return encode_frame(0, random.randbytes(random.randint(0, 20)))
    if kind < 0.95:
        return encode_frame(0x21 + 0x1F * random.randrange(99), random.randbytes(random.randint(0, 9)))
    return encode_frame(random.randrange(64), random.randbytes(random.randint(0, 9)))


def _h3_field(random: Random) -> tuple[bytes, bytes]:
    if random.random() < 0.4:
        return random.choice(((b"x-a", b"c"), (b"accept", b"*/*"), (b"cookie", b"a=b"), (b"te", b"trailers")))
    value = random.choice(VALUES) if random.random() < 0.7 else random.randbytes(random.randint(0, 12))
    return random.choice(NAMES), value
