"""What names, values, paths and authorities may look like, for every protocol alike.

One path and one authority serve the router, the filters and the upstream: whatever two of
them could read differently is resolved here, or refused.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Final

from edge.errors import BadRequest

TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
VALUE_BYTE: Final = rb"[\t\x20-\x7e\x80-\xff]"

_token: Final = re.compile(TOKEN + rb"++").fullmatch
_value: Final = re.compile(rb"(?![ \t])" + VALUE_BYTE + rb"*+(?<![ \t])").fullmatch

HOP_BY_HOP: Final = frozenset(
    (b"connection", b"proxy-connection", b"keep-alive", b"te", b"transfer-encoding", b"upgrade")
)
"""Fields of one connection, never forwarded as they came."""

ALWAYS_SINGLE: Final = frozenset(
    (
        b"authorization",
        b"content-length",
        b"content-type",
        b"host",
        b"if-modified-since",
        b"if-unmodified-since",
        b"max-forwards",
        b"origin",
        b"proxy-authorization",
    )
)
"""Request fields whose duplicates are 400: two readers could each take another one."""

NEVER_IN_TRAILERS: Final = (
    HOP_BY_HOP
    | ALWAYS_SINGLE
    | {
        b"alt-svc",
        b"baggage",
        b"cache-control",
        b"content-encoding",
        b"content-range",
        b"cookie",
        b"expect",
        b"if-match",
        b"if-none-match",
        b"if-range",
        b"location",
        b"proxy-authenticate",
        b"range",
        b"retry-after",
        b"set-cookie",
        b"strict-transport-security",
        b"traceparent",
        b"tracestate",
        b"trailer",
        b"vary",
        b"www-authenticate",
        b"x-request-id",
    }
)
"""What frames, routes, authenticates, traces, asks for conditions or describes the body or how to take
an answer may not come after it: some readers merge trailers into the head. RFC 9110 §6.5.1.
"""

END_TO_END: Final = frozenset(
    (
        b"accept",
        b"authorization",
        b"cache-control",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"cookie",
        b"date",
        b"forwarded",
        b"host",
        b"location",
        b"origin",
        b"set-cookie",
        b"traceparent",
        b"tracestate",
        b"vary",
        b"www-authenticate",
        b"x-real-ip",
        b"x-request-id",
    )
)
"""Fields that a peer cannot have removed by naming them in `Connection`."""

NOT_SERVED: Final = frozenset((b"CONNECT", b"TRACE"))
"""Methods that never go upstream: one changes what framing means, the other shows what edge added."""

CERTIFICATES_TOLD: Final = frozenset((b"client-cert", b"client-cert-chain", b"x-forwarded-client-cert"))
"""Where hops tell who a client is by its certificate. Spec: RFC 9440 §2; the last is Envoy's."""

_FORWARDED: Final = CERTIFICATES_TOLD | {b"forwarded", b"proxy", b"x-real-ip", b"x-request-id"}
# `Proxy` is no field of HTTP, and CGI programs take it for their setting HTTP_PROXY.


def is_token(data: bytes) -> bool:
    """A field name or method. Spec: RFC 9110 §5.6.2."""
    return _token(data) is not None


def is_field_value(data: bytes) -> bool:
    """No control byte but TAB, no blank at either end. Spec: RFC 9110 §5.5."""
    return _value(data) is not None


def is_forwarding(name: bytes) -> bool:
    """Whether the (lower-case) field claims where a request came from or which it is, what only an
    edge may say; underscores count as dashes.
    """
    dashed = name.replace(b"_", b"-")
    return dashed in _FORWARDED or dashed.startswith(b"x-forwarded-")


# Beside RFC 3986's pchar browsers send these unescaped; every reader here takes them as they are.
_SEGMENT_BYTE: Final = rb"[A-Za-z0-9\-._~!$&'()*+,;=:@\[\]|^]"
_QUERY: Final = rb"(?:\?[\x21\x22\x24-\x7e]*+)?"
# No escape, no segment that begins with a dot, no empty segment but the last.
_canonical: Final = re.compile(rb"(?:/(?![./])" + _SEGMENT_BYTE + rb"*+)++" + _QUERY).fullmatch
_acceptable: Final = re.compile(
    rb"(/(?:/|" + _SEGMENT_BYTE + rb"|%[0-9A-Fa-f]{2})*+)(" + _QUERY + rb")"
).fullmatch
_escapes: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_escape_runs: Final = re.compile(rb"(?:%[89A-Fa-f][0-9A-Fa-f])+")
_overlong: Final = re.compile(
    rb"[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f]|\xf0[\x80-\x8f]|[\xf8-\xff][\x80-\xbf]"
).search
# Servers that strip `;parameters` before they resolve dots would climb here.
_dots_with_parameter: Final = re.compile(rb"\.{1,2}(?:;|%3B)").match

_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_REFUSED_ESCAPES: Final = frozenset((*range(0x20), 0x7F, 0x2F, 0x5C))


def canonical_path(target: bytes) -> bytes:
    """The one path of a request from its origin-form target; the query stays as it is.

    Dot segments and repeated slashes are resolved, escapes of unreserved bytes decoded, other
    escapes written in upper case. Applying it again changes nothing.

    Raises BadRequest for what readers are known to disagree about: escaped slash, backslash
    and control bytes, broken escapes, overlong UTF-8, parameters on dot segments, `#`,
    control and 8-bit bytes. Spec: RFC 3986 §6.2.2.
    """
    if _canonical(target):
        return target
    match = _acceptable(target)
    if match is None:
        raise BadRequest("target is not a path")
    path, query = match.groups()
    if b"%" in path:
        path = _decoded(path)
    segments: list[bytes] = []
    last = b""
    for last in path.split(b"/")[1:]:
        if last == b"..":
            if segments:
                segments.pop()
        elif _dots_with_parameter(last):
            raise BadRequest("parameter on a dot segment")
        elif last not in (b"", b"."):
            segments.append(last)
    if segments and last in (b"", b".", b".."):
        segments.append(b"")
    return b"/" + b"/".join(segments) + query


def _decoded(path: bytes) -> bytes:
    for run in _escape_runs.finditer(path):
        if _overlong(bytes.fromhex(run[0].replace(b"%", b"").decode())):
            raise BadRequest("overlong UTF-8 in path")
    return _escapes.sub(_canonical_escape, path)


def _canonical_escape(match: re.Match[bytes]) -> bytes:
    value = int(match[1], 16)
    if value in _UNRESERVED:
        return b"%c" % value
    if value in _REFUSED_ESCAPES:
        raise BadRequest("escape of a slash, backslash or control byte in path")
    return match[0].upper()


_authority: Final = re.compile(
    rb"(?:([A-Za-z0-9._\-]{1,255})|\[([0-9A-Fa-f:.]{2,45})\])(?::([0-9]{0,5}))?"
).fullmatch
_MAX_PORT: Final = 65535


def canonical_authority(data: bytes) -> bytes:
    """`host` or `host:port` with the host in lower case, without a final dot or an empty port.

    An IPv6 literal keeps its brackets and is written in its shortest form. Raises BadRequest
    for userinfo, lists, blanks, paths and anything else. Spec: RFC 9110 §7.2, RFC 3986 §3.2.
    """
    match = _authority(data)
    if match is None:
        raise BadRequest("malformed authority")
    name, literal, port = match.groups()
    if name is not None:
        host = name.lower().removesuffix(b".")
        if not host or host.startswith(b".") or b".." in name:
            raise BadRequest("malformed host name")
    else:
        try:
            host = b"[%b]" % IPv6Address(literal.decode()).compressed.encode()
        except AddressValueError:
            raise BadRequest("malformed IPv6 literal") from None
    if not port:
        return bytes(host)
    if int(port) > _MAX_PORT:
        raise BadRequest("port out of range")
    return b"%b:%d" % (host, int(port))
