"""Query strings as telemetry may show them: names, and the values of parameters named safe."""

from __future__ import annotations

from typing import Final

REDACTED: Final = b"REDACTED"


def redact_query(query: bytes, safe: frozenset[bytes]) -> bytes:
    """Replace every value whose name is not in `safe`; what has no `=` may be a secret itself."""
    shown = []
    for part in query.split(b"&"):
        name, equals, _ = part.partition(b"=")
        if name in safe:
            shown.append(part)
        elif equals:
            shown.append(b"%b=%b" % (name, REDACTED))
        else:
            shown.append(REDACTED if part else part)
    return b"&".join(shown)
