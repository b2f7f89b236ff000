"""Field lines to fields, with a memory of lines already validated.

Most field lines of a connection were seen before, byte for byte, so a dict from the raw line
to its validated field does all the work of a strict parser at the price of a look-up. Lines
that carry secrets or are long are never remembered; the memory is bounded and starts anew
when it is full, so a client can make others slower but never make it grow.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final

from edge.errors import EdgeError
from edge.head import Field
from edge.syntax import TOKEN, VALUE_BYTE, canonical_authority, is_forwarding, is_token

CACHE_ENTRIES: Final = 4096
CACHE_LINE_BYTES: Final = 256

SECRET: Final = frozenset((b"authorization", b"cookie", b"proxy-authorization", b"set-cookie"))
_UNIQUE: Final = (b"traceparent", b"x-request-id", b"x-b3-traceid", b"x-b3-spanid", b"b3", b"uber-trace-id")
UNKEPT: Final = SECRET.union(_UNIQUE)
"""Secret, or never the same twice: such lines are not remembered."""
_line: Final = re.compile(rb"(" + TOKEN + rb"++):(" + VALUE_BYTE + rb"*+)").fullmatch
_digits: Final = re.compile(rb"[0-9]{1,18}").fullmatch

MakeError = Callable[[str], EdgeError]


class Kind(IntEnum):
    """What becomes of a line that is not a plain remembered field."""

    PLAIN = 0
    SINGLE = 1
    """Stays a field; a second one is an error."""
    DROP = 2
    FRAME = 3
    """Leaves the fields; a second one is an error."""
    LIST = 4
    """Leaves the fields; the tokens of all of them count."""


_PLAIN: Final = Kind.PLAIN
_SINGLE: Final = Kind.SINGLE

Special = tuple[Kind, bytes, Field | None, Any]
"""Kind, name, the field if it stays one, and what its value means (int, bytes or a tuple of tokens)."""


def split_line(line: bytes, error: MakeError) -> Field:
    """(lower-case name, value) of one field line without its CRLF. Spec: RFC 9112 §5."""
    match = _line(line)
    if match is None:
        raise error("malformed field line")
    name, value = match.groups()
    return name.lower(), value.strip(b" \t")


def tokens(value: bytes, error: MakeError) -> tuple[bytes, ...]:
    """Lower-case members of a comma list without parameters; empty members are skipped."""
    members = tuple(m for m in (part.strip(b" \t") for part in value.lower().split(b",")) if m)
    if not all(is_token(member.replace(b"/", b"", 1)) for member in members):
        raise error("malformed list field")
    return members


class FieldLines(dict[bytes, Field | None]):
    """The memory of one side: raw line → its field, for lines that are just a field.

    `map(lines.__getitem__, raw)` therefore parses a head at the price of look-ups. A line it does
    not hold is judged by `__missing__`: it raises what `error` makes, or answers the field, or None
    for a line that leaves the fields. Every line that means more than a field is noted in `noted`,
    which the parser empties before it begins.
    """

    def __init__(
        self, error: MakeError, kinds: dict[bytes, Kind], request: bool, keep_forwarding: bool = False
    ) -> None:
        super().__init__()
        self._keep_forwarding = keep_forwarding
        self.noted: list[Special] = []
        self._special: dict[bytes, Special] = {}
        self._judged: dict[bytes, Kind] = {}
        self.error = error
        self._kinds = kinds
        self._request = request

    def __missing__(self, line: bytes) -> Field | None:
        special = self._special.get(line)
        if special is None:
            name, value = field = split_line(line, self.error)
            kind = self._judged.get(name)
            if kind is None:
                kind = self._judge(name)
                if len(self._judged) >= CACHE_ENTRIES:
                    self._judged.clear()
                if len(name) <= CACHE_LINE_BYTES:
                    self._judged[name] = kind
            if kind is _PLAIN:
                special = (kind, name, field, None)
            else:
                special = (kind, name, field if kind is _SINGLE else None, self._meaning(name, value))
            if len(line) <= CACHE_LINE_BYTES and name not in UNKEPT:
                self._remember(line, special)
        if special[0] is not _PLAIN:
            self.noted.append(special)
        return special[2]

    def _judge(self, name: bytes) -> Kind:
        kind = self._kinds.get(name, Kind.PLAIN)
        if not self._request:
            return kind
        if is_forwarding(name):
            return Kind.PLAIN if self._keep_forwarding else Kind.DROP
        if b"_" in name and name.replace(b"_", b"-") in self._kinds:
            raise self.error("underscored spelling of a field that frames or routes")
        return kind

    def _meaning(self, name: bytes, value: bytes) -> object:
        kind = self._kinds.get(name)
        if name == b"content-length":
            if _digits(value) is None:
                raise self.error("malformed content-length")
            return int(value)
        if name == b"host":
            return canonical_authority(value) if self._request else value
        if name == b"te":
            # Weights and codings are of this hop; only the promise to take trailers goes on.
            members = [part.partition(b";")[0].strip(b" \t") for part in value.lower().split(b",")]
            return (b"trailers",) if b"trailers" in members else ()
        return tokens(value, self.error) if kind is Kind.LIST else value.lower()

    def _remember(self, line: bytes, special: Special) -> None:
        if len(self) + len(self._special) >= CACHE_ENTRIES:
            self.clear()
            self._special.clear()
        if special[0] is Kind.PLAIN:
            self[line] = special[2]
        else:
            self._special[line] = special
