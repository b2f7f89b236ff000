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
from typing import Final

from edge.errors import EdgeError
from edge.head import Field
from edge.syntax import TOKEN, VALUE_BYTE, canonical_authority, is_forwarding, is_token

CACHE_ENTRIES: Final = 4096
CACHE_LINE_BYTES: Final = 256

SECRET: Final = frozenset((b"authorization", b"cookie", b"proxy-authorization", b"set-cookie"))
_line: Final = re.compile(rb"(" + TOKEN + rb"++):(" + VALUE_BYTE + rb"*+)").fullmatch
_digits: Final = re.compile(rb"[0-9]{1,18}").fullmatch

MakeError = Callable[[str], EdgeError]


class Kind(IntEnum):
    """What becomes of a line that is not a plain remembered field."""

    PLAIN = 0
    DROP = 1
    SINGLE = 2
    """Stays a field; a second one is an error."""
    FRAME = 3
    """Leaves the fields; a second one is an error."""
    LIST = 4
    """Leaves the fields; the tokens of all of them count."""


Special = tuple[Kind, bytes, Field, object]
"""Kind, name, the field, and what its value means (int, bytes or a tuple of tokens)."""


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


class FieldLines:
    """The memory of one side: `plain` for lines that are just a field, `special` for the rest.

    `plain` is looked up by the parser itself: `map(lines.plain.get, ...)`. What it does not
    hold goes to `special`, which always answers or raises what `error` makes.
    """

    def __init__(self, error: MakeError, kinds: dict[bytes, Kind], request: bool) -> None:
        self.plain: dict[bytes, Field] = {}
        self._special: dict[bytes, Special] = {}
        self.error = error
        self._kinds = kinds
        self._request = request

    def special(self, line: bytes) -> Special:
        """What `line` is; remembered for the next time."""
        known = self._special.get(line)
        if known is not None:
            return known
        name, value = field = split_line(line, self.error)
        kind = self._kind(name)
        found = (kind, name, field, self._meaning(name, value))
        if len(line) <= CACHE_LINE_BYTES and name not in SECRET:
            self._remember(line, found)
        return found

    def _kind(self, name: bytes) -> Kind:
        kind = self._kinds.get(name, Kind.PLAIN)
        if not self._request:
            return kind
        if is_forwarding(name):
            return Kind.DROP
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

    def _remember(self, line: bytes, found: Special) -> None:
        if len(self.plain) + len(self._special) >= CACHE_ENTRIES:
            self.plain.clear()
            self._special.clear()
        if found[0] is Kind.PLAIN:
            self.plain[line] = found[2]
        else:
            self._special[line] = found
