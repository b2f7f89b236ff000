"""An exchange as OTLP span entries: the encoder a worker runs over its batches.

Names and levels of the attributes: OpenTelemetry semantic conventions 1.44 for HTTP; what they
do not cover starts with `edge.`. Each entry is one `ScopeSpans.spans` field, ready to be joined.
What is the same for many exchanges (rule, filter, endpoint, authority) is encoded once and kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, cast

from edge.chain.passage import Passage, recorded
from edge.head import RequestHead
from edge.telemetry import attributes as attr
from edge.telemetry.filter_span import filter_spans, odd_filter_span, passed_spans
from edge.telemetry.ids import Ids
from edge.telemetry.protobuf import KEPT_BYTES, Kept, delimited, utf8
from edge.telemetry.redaction import redact_query
from edge.telemetry.span_frame import (
    CLIENT,
    LOCAL_CHILD,
    REMOTE_CHILD,
    SERVER,
    STATUS_ERROR,
    described,
    span_entry,
)
from edge.telemetry.spans import SPAN_LIMIT, VALUE_LIMIT_BYTES, Attempt, ExchangeTrace, RouteInfo
from edge.telemetry.tracing import Context

_SERVER_ERROR: Final = 500
_ID_BYTES: Final = 32
_OUR_REQUEST_ID: Final = attr.REQUEST_ID.fresh(b"0" * _ID_BYTES)[:-_ID_BYTES]
"""What stands before an id of so many bytes."""
_USUAL: Final = 32
"""Filters of a chain, both directions, whose spans are packed together."""
_TUPLES: Final = frozenset((tuple,))
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


def _url(key: tuple[bool, str, bytes]) -> bytes:
    secure, address, target = key
    scheme = b"https" if secure else b"http"
    return attr.URL_FULL.fresh(b"%b://%b%b" % (scheme, address.encode("utf-8", "replace"), target))


_URLS: Final = Kept(_url)
_ROUTES: Final = Kept(_route)
_AUTHORITIES: Final = Kept(_authority)
_ENDPOINTS: Final = Kept(_endpoint)
_PEERS: Final[Kept[str]] = Kept(lambda address: attr.CLIENT_ADDRESS[address] + attr.PEER_ADDRESS[address])

_Server = tuple[bytes, bytes, bytes, RouteInfo, str, str, str, bytes | None, str, int, bool]
_Client = tuple[bytes, str, str, bool, int]


def _server(key: _Server) -> bytes:
    """What is the same for many server spans."""
    method, scheme, authority, route, address, protocol, tls, user_agent, source, status, remote = key
    template = route.template.encode("utf-8", "replace")
    named = _named(method)
    flags = REMOTE_CHILD if remote else LOCAL_CHILD
    parts = [
        described(b"%b %b" % (named, template) if template else named, SERVER, flags),
        _method(method),
        _AUTHORITIES[scheme, authority] if len(authority) <= KEPT_BYTES else _authority((scheme, authority)),
        _ROUTES[route],
        _PEERS[address],
        attr.PROTOCOL[protocol.removeprefix("HTTP/")],
        attr.REPLY_SOURCE[source],
    ]
    if tls:
        parts.append(attr.TLS[tls.removeprefix("TLSv")])
    if user_agent is not None:
        parts.append(attr.USER_AGENT[user_agent])
    if status:
        parts.append(attr.STATUS[status])
    return b"".join(parts)


def _client(key: _Client) -> bytes:
    """What is the same for many client spans."""
    method, cluster, address, reused, status = key
    parts = [
        described(_named(method), CLIENT, LOCAL_CHILD),
        _method(method),
        attr.CLUSTER[cluster],
        attr.REUSED if reused else attr.NOT_REUSED,
    ]
    if address:
        parts.append(_ENDPOINTS[address])
    if status:
        parts.append(attr.STATUS[status])
    return b"".join(parts)


_SERVERS: Final = Kept(_server)
_CLIENTS: Final = Kept(_client)


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
        start = self._start(context)
        entries = self._crossings(trace, start)
        filters = trace.route.filters
        records = trace.records[: SPAN_LIMIT - len(entries)]
        if context.tracestate:
            parent, new_id = context.span_id, self._ids.span_id
            entries += [
                odd_filter_span(record, filters, start + new_id(), parent) for record in recorded(records)
            ]
        elif records:
            span_ids = self._ids.span_ids(len(records))
            entries += filter_spans(records, filters, context.trace_id, span_ids, context.span_id)
        return entries[:SPAN_LIMIT]

    def joined(self, trace: ExchangeTrace) -> bytes:
        """The same entries one after the other: `trace.span_count()` spans."""
        context, records = trace.context, trace.records
        if context.tracestate or not 0 < len(records) <= _USUAL or not _TUPLES.issuperset(map(type, records)):
            return b"".join(self.encode(trace))
        trace_id, filters = context.trace_id, trace.route.filters
        pieces = self._crossings(trace, b"\x0a\x10%b\x12\x08" % trace_id)
        if len(pieces) + len(records) > SPAN_LIMIT:
            return b"".join(self.encode(trace))
        passages = cast(Sequence[Passage], records)
        span_ids = self._ids.span_ids(len(passages))
        pieces.append(passed_spans(passages, filters, trace_id, span_ids, context.span_id))
        return b"".join(pieces)

    def _start(self, context: Context) -> bytes:
        """Fields trace id and trace state, and the tag of the span id."""
        start = b"\x0a\x10" + context.trace_id
        if context.tracestate:
            start += delimited(b"\x1a", utf8(context.tracestate, 2 * VALUE_LIMIT_BYTES))
        return start + b"\x12\x08"

    def _crossings(self, trace: ExchangeTrace, start: bytes) -> list[bytes]:
        """The entries of the server span and of all attempts."""
        context = trace.context
        entries = [self._server(trace, start + context.span_id)]
        last = len(trace.attempts) - 1
        for index, attempt in enumerate(trace.attempts):
            span_id = context.upstream_span_id if index == last else self._ids.span_id()
            entries.append(self._client(trace, attempt, index, start + span_id))
        return entries

    def _server(self, trace: ExchangeTrace, start: bytes) -> bytes:
        context, status, method = trace.context, trace.status, trace.method
        connection, user_agent = trace.connection, trace.user_agent
        address, port = connection.peer
        parent = context.parent_id
        key = (
            *(method, trace.scheme, trace.authority, trace.route, address, trace.protocol),
            *(connection.tls_version, user_agent, trace.reply_source, status, parent != b""),
        )
        strange = len(method) + len(trace.authority) + len(user_agent or b"")
        body = (_SERVERS[key] if strange <= KEPT_BYTES else _server(key)) + b"".join(
            (
                self._target(trace.path),
                attr.PEER_PORT[port],
                _OUR_REQUEST_ID + trace.request_id
                if len(trace.request_id) == _ID_BYTES and trace.request_id.isascii()
                else attr.REQUEST_ID.fresh(trace.request_id),
                attr.REQUEST_SIZE[trace.request_bytes],
                attr.RESPONSE_SIZE[trace.response_bytes],
            )
        )
        if trace.reply_filter:
            body += attr.REPLY_FILTER[trace.reply_filter]
        failed = status >= _SERVER_ERROR or (trace.error != "" and status < _CLIENT_ERROR)
        if trace.error or failed:
            body += attr.ERROR_TYPE[trace.error or str(status)]
        if failed:
            body += STATUS_ERROR
        return span_entry(start, parent, trace.start_ns, trace.end_ns, body)

    def _target(self, target: bytes) -> bytes:
        if b"?" not in target:
            return attr.URL_PATH[target]
        path, _, query = target.partition(b"?")
        return attr.URL_PATH.fresh(path) + attr.URL_QUERY.fresh(redact_query(query, self._safe))

    def _client(self, trace: ExchangeTrace, attempt: Attempt, index: int, start: bytes) -> bytes:
        method, status = trace.method, attempt.status
        key = (method, attempt.cluster, attempt.address, attempt.reused, status)
        body = _CLIENTS[key] if len(method) <= KEPT_BYTES else _client(key)
        if attempt.address:
            body += self._url(attempt, trace.upstream_path)
        if index:
            body += attr.RESEND[index]
        if attempt.error or status >= _CLIENT_ERROR:
            body += attr.ERROR_TYPE[attempt.error or str(status)] + STATUS_ERROR
        return span_entry(start, trace.context.span_id, attempt.start_ns, attempt.end_ns, body)

    def mirror(
        self, context: Context, span_id: bytes, head: RequestHead, attempt: Attempt, outcome: str
    ) -> bytes:
        """One entry: the client span of a copy of a request, `attempt` being where it went."""
        body = _client((head.method, attempt.cluster, attempt.address, attempt.reused, attempt.status))
        body += attr.MIRROR + attr.MIRROR_OUTCOME[outcome]
        if attempt.address:
            body += self._url(attempt, head.path)
        if attempt.error or attempt.status >= _CLIENT_ERROR:
            body += attr.ERROR_TYPE[attempt.error or str(attempt.status)] + STATUS_ERROR
        start = self._start(context) + span_id
        return span_entry(start, context.span_id, attempt.start_ns, attempt.end_ns, body)

    def _url(self, attempt: Attempt, target: bytes) -> bytes:
        """`url.full`; without a query it is kept."""
        if b"?" not in target and len(target) <= KEPT_BYTES:
            return _URLS[attempt.secure, attempt.address, target]
        path, mark, query = target.partition(b"?")
        return _url((attempt.secure, attempt.address, path + mark + redact_query(query, self._safe)))
