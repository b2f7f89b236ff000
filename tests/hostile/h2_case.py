"""What a hostile HTTP/2 row says, and short ways to write one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tests.hostile.fake_h2 import GET, Heads, Pairs, frame

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
    """One row. `goaway` = code that ends the connection; else `resets` by stream; `statuses` either way.

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


def fatal(number: int, code: int, rows: list[tuple[str, bytes | Send]]) -> list[Case]:
    return [Case(number, name, as_send(what), goaway=code) for name, what in rows]


def too_large(number: int, rows: list[tuple[str, bytes | Send]]) -> list[Case]:
    """Heads that are not decoded to their end: 431, and the connection, whose HPACK state is lost, ends."""
    return [Case(number, name, as_send(what), goaway=CALM, statuses={1: 431}) for name, what in rows]


def as_send(what: bytes | Send) -> Send:
    if isinstance(what, bytes):
        raw = what
        return lambda head: raw
    return what


def with_fields(extra: Pairs, start: Pairs = GET) -> Send:
    return lambda head: head(1, [*start, *extra])


def reset(number: int, rows: list[tuple[str, Pairs]]) -> list[Case]:
    """Requests that are not HTTP/2: RST(1)."""
    return [Case(number, name, lambda head, f=f: head(1, f), resets={1: PROTOCOL}) for name, f in rows]  # type: ignore[misc]


def answered(number: int, status: int, rows: list[tuple[str, Pairs]]) -> list[Case]:
    return [
        Case(number, name, lambda head, f=f: head(1, f), statuses={1: status})  # type: ignore[misc]
        for name, f in rows
    ]


def get_fields(**changed: bytes | None) -> Pairs:
    """GET with pseudo fields replaced, or left out for None."""
    made = [(name, changed.get(name[1:].decode(), value)) for name, value in GET]
    return [(name, value) for name, value in made if value is not None]


def forwarded_case(number: int, name: str, fields: Pairs, path: bytes, **expected: object) -> Case:
    return Case(
        number,
        name,
        lambda head: head(1, fields),
        statuses={1: 200},
        forwarded=(path,),
        **expected,  # type: ignore[arg-type]
    )


def block_frame(raw: bytes, stream_id: int = 1) -> bytes:
    return frame(1, raw, stream_id, 5)


def numbered(count: int, size: int) -> Pairs:
    return [(b"x-%d" % i, b"%d" % (i % 10) * size) for i in range(count)]


def split_block(block: bytes) -> bytes:
    """A long block as HEADERS and CONTINUATIONs of full size."""
    parts = [block[at : at + 16384] for at in range(0, len(block), 16384)]
    made = frame(1, parts[0], 1, 1)
    for part in parts[1:-1]:
        made += frame(9, part, 1)
    return made + frame(9, parts[-1], 1, 4)
