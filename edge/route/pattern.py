"""Regular expressions of rules: RE2, whose time grows with the text alone. The only importer of re2.

What a pattern may cost is bounded when it is compiled: its length, the size of the compiled program
(a request's worst time is text × program) and the memory of the lazily built automaton.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import takewhile
from typing import Any, Final

Whole = Callable[[bytes], bool]
"""Whether the whole text matches."""

MAX_PATTERN_BYTES: Final = 1024
"""As long as Gateway API lets a path value be."""

MAX_PROGRAM: Final = 500
"""RE2 instructions: `[a-z]{1,63}` has 130. The worst of this size take 30 ms for the longest path."""

_MEMORY_BYTES: Final = 256 << 10
_RANGE_BYTES: Final = 64


class PatternError(ValueError):
    """The pattern is none, or costs too much; the text says which, for people."""


@lru_cache(maxsize=1024)
def whole(pattern: bytes) -> Whole:
    """A matcher of whole texts, byte by byte (Latin-1). Raises PatternError."""
    if len(pattern) > MAX_PATTERN_BYTES:
        raise PatternError(f"the pattern has {len(pattern)} bytes; at most {MAX_PATTERN_BYTES} are allowed")
    compiled = _compiled(pattern)
    size = compiled.programsize
    if size > MAX_PROGRAM:
        raise PatternError(f"the pattern compiles to {size} instructions; at most {MAX_PROGRAM} are allowed")
    fullmatch = compiled.fullmatch

    def matches(text: bytes) -> bool:
        return fullmatch(text) is not None

    return matches


def first_segment(pattern: bytes) -> bytes | None:
    """The first segment of every path that matches, None where they differ in it (or may).

    All that matches lies between two texts; what these have in common, all have.
    """
    import re2

    try:
        least, most = _compiled(pattern).possiblematchrange(_RANGE_BYTES)
    except re2.error:
        return None
    same = takewhile(lambda pair: pair[0] == pair[1], zip(least, most, strict=False))
    start = bytes(byte for byte, _ in same)
    if not start.startswith(b"/") or start.count(b"/") < 2:
        return None
    return start.split(b"/", 2)[1]


def _compiled(pattern: bytes) -> Any:
    import re2

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = _MEMORY_BYTES
    options.log_errors = False
    options.never_capture = True
    try:
        return re2.compile(pattern, options=options)
    except re2.error as error:
        raise PatternError(_reason(error)) from None


def _reason(error: Exception) -> str:
    """RE2 says its reasons in bytes."""
    said = error.args[0] if error.args else ""
    text = said.decode("latin-1") if isinstance(said, bytes) else str(said)
    return f"not a pattern of RE2: {text}"
