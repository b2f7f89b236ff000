"""The request line: method, target in its four forms, version. Spec: RFC 9112 §3."""

from __future__ import annotations

import re
from typing import Final

from edge.codec.h1.fields import CACHE_ENTRIES, CACHE_LINE_BYTES
from edge.errors import BadRequest
from edge.model import Limits
from edge.syntax import TOKEN, canonical_authority, canonical_path

RequestLine = tuple[bytes, bytes, bytes | None, bool]
"""Method, canonical path, authority of an absolute-form target, whether it is HTTP/1.0."""

_known: Final[dict[bytes, RequestLine]] = {}
known_request_line: Final = _known.get
"""Short lines without a query, which may hold secrets, that were already found good."""

_line: Final = re.compile(rb"(" + TOKEN + rb"++) ([\x21-\x7e]++) HTTP/([0-9])\.([0-9])").fullmatch
_absolute: Final = re.compile(rb"https?://([^/?#]*+)([^#]*+)", re.IGNORECASE).fullmatch


def parse_request_line(line: bytes, limits: Limits) -> RequestLine:
    """Check and take apart a request line; raises as `parse_request`. Spec: RFC 9112 §3."""
    match = _line(line)
    if match is None:
        if len(line) > limits.target_bytes:
            raise BadRequest("target too long", 414)
        raise BadRequest("malformed request line")
    method, target, major, minor = match.groups()
    if major != b"1" or minor not in (b"0", b"1"):
        raise BadRequest("unsupported version", 400 if major in (b"0", b"1") else 505)
    if len(target) > limits.target_bytes:
        raise BadRequest("target too long", 414)
    parsed = (method, *_target(method, target), minor == b"0")
    if len(line) <= CACHE_LINE_BYTES and b"?" not in target:
        if len(_known) >= CACHE_ENTRIES:
            _known.clear()
        _known[line] = parsed
    return parsed


def _target(method: bytes, target: bytes) -> tuple[bytes, bytes | None]:
    """Canonical path and, for absolute-form, the authority. Spec: RFC 9112 §3.2."""
    if method == b"CONNECT":
        canonical_authority(target)
        if b":" not in target:
            raise BadRequest("CONNECT without a port")
        raise BadRequest("CONNECT is not served", 501)
    if method == b"TRACE":
        raise BadRequest("TRACE is not served", 405)
    if target == b"*" and method == b"OPTIONS":
        return target, None
    absolute = _absolute(target)
    if absolute is None:
        return canonical_path(target), None
    authority, rest = absolute.groups()
    path = rest if rest.startswith(b"/") else b"/" + rest
    return canonical_path(path), canonical_authority(authority)
