"""An exchange as OTLP span entries: the encoder a worker runs over its batches.

Names and levels of the attributes: OpenTelemetry semantic conventions 1.44 for HTTP; what they
do not cover starts with `edge.`. Each entry is one `ScopeSpans.spans` field, ready to be joined.
What is the same for many exchanges (rule, filter, endpoint, authority) is encoded once and kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from edge.telemetry import attributes as attr
from edge.telemetry.filter_span import filter_span
from edge.telemetry.ids import Ids
from edge.telemetry.protobuf import KEPT_BYTES, Kept, delimited, utf8
from edge.telemetry.redaction import redact_query
from edge.telemetry.span_frame import (
    CLIENT,
    LOCAL_CHILD,
    REMOTE_CHILD,
    SERVER,
    STATUS_ERROR,
    name_field,
    span_entry,
)
from edge.telemetry.spans import SPAN_LIMIT, VALUE_LIMIT_BYTES, Attempt, ExchangeTrace, RouteInfo

_SERVER_ERROR: Final = 500
_CLIENT_ERROR: Final = 400
_PORT_DIGITS: Final = 5

KNOWN_METHODS: Final = frozenset(
    (b"CONNECT", b"DELETE", b"GET", b"HEAD", b"OPTIONS", b"PATCH", b"POST", b"PUT", b"QUERY", b"TRACE")
)
"""Others are `_OTHER` in attributes and `HTTP` in names, so that clients cannot make new ones."""


def _method(method: bytes) -> bytes:
    if method in KNOWN_METHODS:
        return attr.METHOD[method]
    return attr.METHOD[b"_OTHER"] + attr.METHOD_ORIGINAL.fresh(method)


def _named(method: bytes) -> bytes:
    return method if method in KNOWN_METHODS else b"HTTP"


def _server_name(key: tuple[bytes, str]) -> bytes:
    method, template = key
    return name_field(b"%b %b" % (method, template.encode("utf-8", "replace")) if template else method)


def _route(info: RouteInfo) -> bytes:
    encoded = attr.LISTENER[info.listener] + attr.REVISION[info.revision]
    if info.route:
        encoded += attr.ROUTE[info.route]
    if info.template:
        encoded += attr.HTTP_ROUTE[info.template]
    return encoded + attr.CHAIN[info.chain] if info.chain else encoded


def _authority(key: tuple[bytes, bytes]) -> bytes:
    """`server.address` and `server.port` as the client named them, and the scheme."""
    scheme, authority = key
    host, colon, port = authority.rpartition(b":")
    if not colon or not port.isdigit() or len(port) > _PORT_DIGITS:
        host, port = authority, b"443" if scheme == b"https" else b"80"
    return attr.URL_SCHEME[scheme] + attr.SERVER_ADDRESS[host.strip(b"[]")] + attr.SERVER_PORT[int(port)]


def _endpoint(address: str) -> bytes:
    host, _, port = address.rpartition(":")
    bare = host.strip("[]")
    encoded = attr.SERVER_ADDRESS[bare.encode("utf-8", "replace")] + attr.PEER_ADDRESS[bare]
    encoded += attr.ENDPOINT[address]
    if port.isdecimal() and port.isascii():
        encoded += attr.SERVER_PORT[int(port)] + attr.PEER_PORT[int(port)]
    return encoded


_SERVER_NAMES: Final = Kept(_server_name)
_CLIENT_NAMES: Final[Kept[bytes]] = Kept(name_field)
_ROUTES: Final = Kept(_route)
_AUTHORITIES: Final = Kept(_authority)
_ENDPOINTS: Final = Kept(_endpoint)
_PEERS: Final[Kept[str]] = Kept(lambda address: attr.CLIENT_ADDRESS[address] + attr.PEER_ADDRESS[address])


class Encoder:
    """Encodes exchanges; `safe_query_params` are the query parameters whose values may be shown."""

    _safe: frozenset[bytes]

    def __init__(self, ids: Ids, safe_query_params: Iterable[str] = ()) -> None:
        self._ids = ids
        self.show(safe_query_params)

    def show(self, safe_query_params: Iterable[str]) -> None:
        """Replace the safe query parameters, when another revision becomes active."""
        self._safe = frozenset(name.encode() for name in safe_query_params)

    def encode(self, trace: ExchangeTrace) -> list[bytes]:
        """One entry a span: server, attempts, filters; at most `SPAN_LIMIT`."""
        context = trace.context
        start = b"\x0a\x10" + context.trace_id
        if context.tracestate:
            start += delimited(b"\x1a", utf8(context.tracestate, 2 * VALUE_LIMIT_BYTES))
        start += b"\x12\x08"
        entries = [self._server(trace, start + context.span_id)]
        last = len(trace.attempts) - 1
        for index, attempt in enumerate(trace.attempts):
            span_id = context.upstream_span_id if index == last else self._ids.span_id()
            entries.append(self._client(trace, attempt, index, start + span_id))
        filters, new_id = trace.route.filters, self._ids.span_id
        for record in trace.records[: SPAN_LIMIT - len(entries)]:
            entries.append(filter_span(record, filters, start + new_id(), context.span_id))
        return entries[:SPAN_LIMIT]

    def _server(self, trace: ExchangeTrace, start: bytes) -> bytes:
        context, route, status = trace.context, trace.route, trace.status
        parts = [
            _method(trace.method),
            self._target(trace.path),
            self._named_server(trace.scheme, trace.authority),
            _ROUTES[route],
            _caller(trace),
            attr.REPLY_SOURCE[trace.reply_source],
            attr.REQUEST_ID.fresh(trace.request_id),
            attr.REQUEST_SIZE[trace.request_bytes],
            attr.RESPONSE_SIZE[trace.response_bytes],
        ]
        if trace.reply_filter:
            parts.append(attr.REPLY_FILTER[trace.reply_filter])
        if status:
            parts.append(attr.STATUS[status])
        failed = status >= _SERVER_ERROR or (trace.error != "" and status < _CLIENT_ERROR)
        if trace.error or failed:
            parts.append(attr.ERROR_TYPE[trace.error or str(status)])
        if failed:
            parts.append(STATUS_ERROR)
        flags = REMOTE_CHILD if context.parent_id else LOCAL_CHILD
        name = _SERVER_NAMES[_named(trace.method), route.template]
        body = b"".join(parts)
        return span_entry(start, context.parent_id, name, SERVER, trace.start_ns, trace.end_ns, flags, body)

    def _named_server(self, scheme: bytes, authority: bytes) -> bytes:
        if len(authority) <= KEPT_BYTES:
            return _AUTHORITIES[scheme, authority]
        return _authority((scheme, authority))

    def _target(self, target: bytes) -> bytes:
        path, mark, query = target.partition(b"?")
        if not mark:
            return attr.URL_PATH.fresh(path)
        return attr.URL_PATH.fresh(path) + attr.URL_QUERY.fresh(redact_query(query, self._safe))

    def _client(self, trace: ExchangeTrace, attempt: Attempt, index: int, start: bytes) -> bytes:
        parts = [
            _method(trace.method),
            attr.CLUSTER[attempt.cluster],
            attr.REUSED if attempt.reused else attr.NOT_REUSED,
        ]
        if attempt.address:
            parts.append(_ENDPOINTS[attempt.address])
            parts.append(self._url(attempt, trace.upstream_path))
        if index:
            parts.append(attr.RESEND[index])
        if attempt.status:
            parts.append(attr.STATUS[attempt.status])
        if attempt.error or attempt.status >= _CLIENT_ERROR:
            parts += (attr.ERROR_TYPE[attempt.error or str(attempt.status)], STATUS_ERROR)
        name = _CLIENT_NAMES[_named(trace.method)]
        parent, body = trace.context.span_id, b"".join(parts)
        return span_entry(start, parent, name, CLIENT, attempt.start_ns, attempt.end_ns, LOCAL_CHILD, body)

    def _url(self, attempt: Attempt, target: bytes) -> bytes:
        """`url.full`."""
        path, mark, query = target.partition(b"?")
        if mark:
            path = b"%b?%b" % (path, redact_query(query, self._safe))
        scheme = b"https" if attempt.secure else b"http"
        return attr.URL_FULL.fresh(b"%b://%b%b" % (scheme, attempt.address.encode("utf-8", "replace"), path))


def _caller(trace: ExchangeTrace) -> bytes:
    connection = trace.connection
    address, port = connection.peer
    encoded = _PEERS[address] + attr.PEER_PORT[port]
    encoded += attr.PROTOCOL[trace.protocol.removeprefix("HTTP/")]
    if connection.tls_version:
        encoded += attr.TLS[connection.tls_version.removeprefix("TLSv")]
    if trace.user_agent is not None:
        encoded += attr.USER_AGENT[trace.user_agent]
    return encoded
