"""Which other origins may read answers. Spec: Gateway API HTTPCORSFilter, the Fetch standard (CORS protocol).

The rule's policy is the only one: what upstream says about origins is dropped.
"""

from __future__ import annotations

import re
from typing import Final

from edge import model
from edge.chain.filter import LocalReply
from edge.errors import EdgeError
from edge.exchange.seams import Downstream
from edge.head import Fields, RequestHead, ResponseHead
from edge.route.site import Routed
from edge.syntax import is_token

_ANY: Final = b"*"
_OURS: Final = frozenset(
    (
        b"access-control-allow-origin",
        b"access-control-allow-credentials",
        b"access-control-expose-headers",
        b"access-control-allow-methods",
        b"access-control-allow-headers",
        b"access-control-max-age",
    )
)
_origin: Final = re.compile(
    rb"([a-z][a-z0-9+.-]*)://([a-z0-9*._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}|\*))?"
).fullmatch
_PORTS: Final = {b"http": b"80", b"https": b"443"}


def parsed_origin(origin: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Scheme, host and port (the scheme's where none is given); None for what is no origin.

    A host of other bytes than names have is none: before a `#`, `\\` or `@` could stand another host.
    """
    match = _origin(origin.lower())
    if match is None:
        return None
    return match[1], match[2], match[3] or _PORTS.get(match[1], b"")


class Policy:
    """A rule's CORS filter: answers preflights, and marks what goes out."""

    __slots__ = (
        "_any_origin", "_credentials", "_exact", "_expose", "_expose_all", "_headers", "_max_age",
        "_methods", "_wild",
    )  # fmt: skip

    def __init__(self, cors: model.Cors) -> None:
        self._any_origin = _ANY in cors.allow_origins
        self._credentials = cors.allow_credentials
        parsed = {made for origin in cors.allow_origins if (made := parsed_origin(origin)) is not None}
        self._exact = {each for each in parsed if not each[1].startswith(b"*") and each[2] != _ANY}
        self._wild = sorted(parsed - self._exact)
        self._methods = list(cors.allow_methods)
        self._headers = list(cors.allow_headers)
        self._expose = b", ".join(cors.expose_headers)
        self._expose_all = _ANY in cors.expose_headers
        self._max_age = b"%d" % cors.max_age_s

    def enter(self, exchange: Routed, head: RequestHead) -> LocalReply | None:
        """Before any filter: a preflight carries no credentials, so none could judge it."""
        origin = head.get(b"origin")
        fields = self._origin_fields(origin) if origin is not None else []
        asked = head.get(b"access-control-request-method")
        if origin is not None and asked is not None and head.method == b"OPTIONS":
            if fields:
                fields += self._preflight_fields(asked, head.get(b"access-control-request-headers"))
            return LocalReply(204, self._varied(fields), b"", "cors_preflight", "edge")
        exposes = bool(fields) and self._expose_all and self._credentials
        if fields and self._expose and not exposes:
            fields.append((b"access-control-expose-headers", self._expose))
        exchange.downstream = CorsDownstream(
            exchange.downstream, fields, origin is not None, not self._static, exposes
        )
        return None

    @property
    def _static(self) -> bool:
        """Whether every origin gets the same answer."""
        return self._any_origin and not self._credentials

    def _varied(self, fields: Fields) -> Fields:
        return fields if self._static else [*fields, (b"vary", b"Origin")]

    def _origin_fields(self, origin: bytes) -> Fields:
        """Nothing for an origin that may not read."""
        if self._static:
            return [(b"access-control-allow-origin", _ANY)]
        if not self._allows(origin):
            return []
        fields = [(b"access-control-allow-origin", origin)]
        if self._credentials:
            fields.append((b"access-control-allow-credentials", b"true"))
        return fields

    def _allows(self, origin: bytes) -> bool:
        if self._any_origin:
            return True
        parsed = parsed_origin(origin)
        if parsed is None:
            return False
        if parsed in self._exact:
            return True
        scheme, host, port = parsed
        return any(
            scheme == each[0] and _host_fits(host, each[1]) and each[2] in (port, _ANY) for each in self._wild
        )

    def _preflight_fields(self, method: bytes, headers: bytes | None) -> Fields:
        fields: Fields = []
        if self._methods:
            fields.append((b"access-control-allow-methods", self._listed(self._methods, method)))
        if self._headers and (headers is not None or _ANY not in self._headers or not self._credentials):
            fields.append((b"access-control-allow-headers", self._listed(self._headers, headers or b"")))
        fields.append((b"access-control-max-age", self._max_age))
        return fields

    def _listed(self, allowed: list[bytes], asked: bytes) -> bytes:
        """With credentials `*` would be a name like any: what is asked for is allowed by name."""
        if _ANY not in allowed:
            return b", ".join(allowed)
        if not self._credentials:
            return _ANY
        return asked if all(is_token(name.strip(b" \t")) for name in asked.split(b",")) else b""


def _host_fits(host: bytes, pattern: bytes) -> bool:
    if b"*" in host:
        return False
    if pattern == _ANY:
        return True
    if pattern.startswith(b"*."):
        return len(host) > len(pattern) - 1 and host.endswith(pattern[1:])
    return host == pattern


class CorsDownstream:
    """The client's side of an exchange under a policy: marks every answer, edge's and filters' too."""

    __slots__ = ("_cross", "_exposes", "_fields", "_inner", "_varies")

    def __init__(self, inner: Downstream, fields: Fields, cross: bool, varies: bool, exposes: bool) -> None:
        """`cross` = the request names an origin; `exposes` = by name all headers of the answer."""
        self._inner = inner
        self._fields = fields
        self._cross = cross
        self._varies = varies
        self._exposes = exposes

    def _mark(self, head: ResponseHead) -> None:
        fields = head.fields
        if self._cross:
            fields = [field for field in fields if field[0] not in _OURS]
            if self._exposes:
                names = dict.fromkeys(name for name, _ in fields)
                fields.append((b"access-control-expose-headers", b", ".join(names)))
            fields += self._fields
        if self._varies and not _varies_already(fields):
            fields.append((b"vary", b"Origin"))
        head.fields = fields
        head.touch()

    def send_informational(self, head: ResponseHead) -> None:
        self._inner.send_informational(head)

    def send_head(self, head: ResponseHead, end: bool) -> None:
        self._mark(head)
        self._inner.send_head(head, end)

    def send_whole(self, head: ResponseHead, body: bytes, trailers: Fields | None = None) -> None:
        self._mark(head)
        self._inner.send_whole(head, body, trailers)

    def send_data(self, data: bytes, end: bool) -> None:
        self._inner.send_data(data, end)

    def send_trailers(self, fields: Fields) -> None:
        self._inner.send_trailers(fields)

    def reset(self, error: EdgeError) -> None:
        self._inner.reset(error)

    def pause_request(self) -> None:
        self._inner.pause_request()

    def resume_request(self) -> None:
        self._inner.resume_request()


def _varies_already(fields: Fields) -> bool:
    named = b",".join(value for name, value in fields if name == b"vary").lower()
    return any(each.strip() in (b"origin", b"*") for each in named.split(b","))
