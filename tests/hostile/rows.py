"""Which rows of the hardening list apply to which protocol, and why the others do not.

`OWN` = there are cases of this number. Another row's case can stand for it by its name. A reason in words
says why the protocol knows no such thing. Rows 52, 99 and from 100 on are about client certificates and
WebSockets and have tests in tests/integration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

OWN: Final = "own"
PROTOCOLS: Final = ("h1", "h2", "h3")


@dataclass(frozen=True)
class Same:
    """These cases of other rows are what this row is on that protocol."""

    ids: tuple[str, ...]


@dataclass(frozen=True)
class Not:
    """The protocol has no such thing."""

    reason: str


Applies = str | Same | Not


def _same(*ids: str) -> Same:
    return Same(ids)


_NO_CHUNKS: Final = Not("no chunked coding: row 7 refuses the field in any form")
_NO_VERSION: Final = Not("no version in a request")
_NO_LINES: Final = Not("fields are no lines; CR and LF in them are rows 69 and 81")
_NO_ORDER: Final = Not("streams have no order; each row asks again on its connection")
_OF_STREAMS: Final = Not("of HTTP/2 and HTTP/3; `host` of an absolute target is row 31")
_ALL: Final = (OWN, OWN, OWN)
_CHUNKS: Final = (OWN, _NO_CHUNKS, _NO_CHUNKS)
_VERSION: Final = (OWN, _NO_VERSION, _NO_VERSION)

_OF_HTTP: Final[dict[int, tuple[Applies, Applies, Applies]]] = {
    **dict.fromkeys((1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 22, 30, 38, 39, 40, 41, 46, 47, 48, 49, 51, 54), _ALL),
    9: _VERSION,
    12: (OWN, _NO_LINES, _NO_LINES),
    **dict.fromkeys(range(13, 22), _CHUNKS),
    23: (OWN, _same("67-data-of-a-byte"), OWN),
    24: (OWN, _NO_LINES, _NO_LINES),
    25: (OWN, _same("69-value-with-cr"), _same("81-value-cr")),
    26: (OWN, _same("69-value-with-nul", "69-name-with-nul"), _same("81-value-nul", "81-name-nul")),
    27: (OWN, _same("69-value-with-bel", "69-value-with-del"), _same("81-value-bel", "81-value-del")),
    28: (
        OWN,
        _same("69-name-with-space", "69-name-with-nothing", "69-name-with-8-bit", "69-name-with-bracket"),
        _same("81-name-blank", "81-name-empty", "81-name-8-bit", "81-name-parenthesis"),
    ),
    29: (OWN, _same("53-neither", "53-two-hosts"), _same("81-no-authority-no-host", "53-two-hosts")),
    31: (OWN, _same("72-path-absolute"), _same("72-path-absolute")),
    32: (
        OWN,
        _same("72-path-relative", "72-path-star-of-get", "74-connect"),
        _same("72-path-relative", "72-path-star-of-get", "74-connect-with-path"),
    ),
    33: (
        OWN,
        _same("72-path-with-fragment", "72-path-8-bit", "72-path-with-nul", "72-path-with-tab"),
        _same("33-fragment", "72-path-8-bit", "72-path-nul", "72-path-tab"),
    ),
    34: (OWN, _same("72-method-with-space", "72-method-8-bit", "72-method-with-colon"), OWN),
    35: _VERSION,
    36: _VERSION,
    37: (OWN, _same("55-http1"), Not("no request line; other datagrams are row 88")),
    42: (OWN, OWN, _same("81-connection-field-upgrade")),
    43: (OWN, Not("no upgrade; an extended CONNECT is row 109"), Not("no upgrade; CONNECT is row 109")),
    44: (OWN, OWN, OWN),
    45: (OWN, OWN, _NO_ORDER),
    50: (OWN, _same("70-connection"), _same("81-connection-field-connection")),
    53: (_OF_STREAMS, OWN, OWN),
}

ROWS: Final[dict[tuple[int, str], Applies]] = {
    **{
        (number, protocol): applies
        for number, each in sorted(_OF_HTTP.items())
        for protocol, applies in zip(PROTOCOLS, each, strict=True)
    },
    **{(number, "h2"): OWN for number in range(55, 76)},
    **{(number, "h3"): OWN for number in range(76, 91)},
    **{(number, "tls"): OWN for number in range(91, 99)},
    (96, "h3"): OWN,
}

NOT_LIVE: Final[dict[tuple[int, str], str]] = {
    (43, "h1"): "that upstream has seen nothing is certain only where its every byte is counted in memory",
    (77, "h3"): "its client lies in the handshake, which h3spec's port makes in memory",
    (90, "h3"): "there are no tickets, so no client can send early data",
}
"""Rows that only run in memory, and why."""
