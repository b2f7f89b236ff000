"""An exchange as OTLP span entries: the encoder a worker runs over its batches.

Names and levels of the attributes: OpenTelemetry semantic conventions 1.44 for HTTP; what they
do not cover starts with `edge.`. Each entry is one `ScopeSpans.spans` field, ready to be joined.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from struct import Struct
from typing import Final

from edge.chain.filter import Direction, FilterRecord
from edge.telemetry import attributes as attr
from edge.telemetry.ids import Ids
from edge.telemetry.protobuf import TextKey, delimited, utf8, varint
from edge.telemetry.redaction import redact_query
from edge.telemetry.spans import SPAN_LIMIT, VALUE_LIMIT_BYTES, Attempt, ExchangeTrace, FilterInfo

_INTERNAL: Final = 1
_SERVER: Final = 2
_CLIENT: Final = 3
_LOCAL_CHILD: Final = 0x101
"""Sampled, and we know that the parent is not remote."""
_REMOTE_CHILD: Final = 0x301
_STATUS_ERROR: Final = b"\x7a\x02\x18\x02"
_TAIL: Final = Struct("<BBBQBQ")
_FLAGS: Final = Struct("<HI")
_SPAN_ENTRY: Final = b"\x12"

_SERVER_ERROR: Final = 500
_CLIENT_ERROR: Final = 400
_NS: Final = 1e-9

KNOWN_METHODS: Final = frozenset(
    (b"CONNECT", b"DELETE", b"GET", b"HEAD", b"OPTIONS", b"PATCH", b"POST", b"PUT", b"QUERY", b"TRACE")
)
"""Others are `_OTHER` in attributes and `HTTP` in names, so that clients cannot make new ones."""

EDITS_SHOWN: Final = 32
GUEST_ATTRIBUTES: Final = 32
GUEST_KEY_CHARS: Final = 64
GUEST_VALUE_BYTES: Final = 256


def _span(
    identity: bytes,
    parent: bytes,
    name: bytes,
    kind: int,
    start_ns: int,
    end_ns: int,
    flags: int,
    body: bytes,
) -> bytes:
    """`identity` = encoded trace id, trace state and span id; `body` = attributes and status."""
    start = identity + b"\x22\x08" + parent if parent else identity
    payload = b"%b\x2a%b%b%b%b%b" % (
        start,
        varint(len(name)),
        name,
        _TAIL.pack(0x30, kind, 0x39, start_ns, 0x41, max(end_ns, start_ns)),
        body,
        _FLAGS.pack(0x0185, flags),
    )
    return _SPAN_ENTRY + varint(len(payload)) + payload


class Encoder:
    """Encodes exchanges; `safe_query_params` are the query parameters whose values may be shown."""

    def __init__(self, ids: Ids, safe_query_params: Iterable[str] = ()) -> None:
        self._ids = ids
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
        for record in trace.records:
            entries.append(_filter(trace, record, start + self._ids.span_id()))
        return entries[:SPAN_LIMIT]

    def _server(self, trace: ExchangeTrace, identity: bytes) -> bytes:
        context, route = trace.context, trace.route
        method = trace.method if trace.method in KNOWN_METHODS else b"HTTP"
        name = method
        parts = [_method(trace.method), self._target(trace), attr.URL_SCHEME[trace.scheme], _server_at(trace)]
        if route.template:
            name = b"%b %b" % (method, utf8(route.template.encode(), 256))
            parts.append(attr.HTTP_ROUTE[route.template])
        parts.append(_connection(trace))
        parts.append(_edge(trace))
        failed = trace.status >= _SERVER_ERROR or (trace.error != "" and trace.status < _CLIENT_ERROR)
        if trace.status:
            parts.append(attr.STATUS[trace.status])
        if trace.error or failed:
            parts.append(attr.ERROR_TYPE[trace.error or str(trace.status)])
        if failed:
            parts.append(_STATUS_ERROR)
        flags = _REMOTE_CHILD if context.parent_id else _LOCAL_CHILD
        body = b"".join(parts)
        return _span(identity, context.parent_id, name, _SERVER, trace.start_ns, trace.end_ns, flags, body)

    def _target(self, trace: ExchangeTrace) -> bytes:
        path, mark, query = trace.path.partition(b"?")
        if not mark:
            return attr.URL_PATH.fresh(path)
        return attr.URL_PATH.fresh(path) + attr.URL_QUERY.fresh(redact_query(query, self._safe))

    def _client(self, trace: ExchangeTrace, attempt: Attempt, index: int, identity: bytes) -> bytes:
        host, _, port = attempt.address.rpartition(":")
        address = attempt.address.encode("utf-8", "replace")
        path, mark, query = trace.upstream_path.partition(b"?")
        if mark:
            path = b"%b?%b" % (path, redact_query(query, self._safe))
        method = trace.method if trace.method in KNOWN_METHODS else b"HTTP"
        parts = [
            _method(trace.method),
            attr.CLUSTER[attempt.cluster],
            attr.REUSED if attempt.reused else attr.NOT_REUSED,
        ]
        if address:
            bare = host.strip("[]")
            parts += (
                attr.SERVER_ADDRESS[bare.encode()],
                attr.PEER_ADDRESS[bare],
                attr.ENDPOINT[attempt.address],
            )
            if port.isdigit():
                parts += (attr.SERVER_PORT[int(port)], attr.PEER_PORT[int(port)])
            parts.append(attr.URL_FULL.fresh(b"http://%b%b" % (address, path)))
        if index:
            parts.append(attr.RESEND[index])
        if attempt.status:
            parts.append(attr.STATUS[attempt.status])
        if attempt.error or attempt.status >= _CLIENT_ERROR:
            parts += (attr.ERROR_TYPE[attempt.error or str(attempt.status)], _STATUS_ERROR)
        parent = trace.context.span_id
        body = b"".join(parts)
        return _span(identity, parent, method, _CLIENT, attempt.start_ns, attempt.end_ns, _LOCAL_CHILD, body)


def _method(method: bytes) -> bytes:
    if method in KNOWN_METHODS:
        return attr.METHOD[method]
    return attr.METHOD[b"_OTHER"] + attr.METHOD_ORIGINAL.fresh(method)


def _server_at(trace: ExchangeTrace) -> bytes:
    """`server.address` and `server.port` as the client named them. Authority is already validated."""
    host, colon, port = trace.authority.rpartition(b":")
    if not colon or not port.isdigit() or len(port) > 5:
        host, port = trace.authority, b"443" if trace.scheme == b"https" else b"80"
    return attr.SERVER_ADDRESS[host.strip(b"[]")] + attr.SERVER_PORT[int(port)]


def _connection(trace: ExchangeTrace) -> bytes:
    connection = trace.connection
    address, port = connection.peer
    encoded = attr.CLIENT_ADDRESS[address] + attr.PEER_ADDRESS[address] + attr.PEER_PORT.fresh(port)
    encoded += attr.PROTOCOL[trace.protocol.removeprefix("HTTP/")]
    if connection.tls_version:
        encoded += attr.TLS[connection.tls_version.removeprefix("TLSv")]
    if trace.user_agent is not None:
        encoded += attr.USER_AGENT[trace.user_agent]
    return encoded


def _edge(trace: ExchangeTrace) -> bytes:
    route = trace.route
    encoded = (
        attr.LISTENER[route.listener] + attr.REVISION[route.revision] + attr.REPLY_SOURCE[trace.reply_source]
    )
    encoded += attr.REQUEST_ID.fresh(trace.request_id)
    if route.route:
        encoded += attr.ROUTE[route.route]
    if route.chain:
        encoded += attr.CHAIN[route.chain]
    if trace.reply_filter:
        encoded += attr.REPLY_FILTER[trace.reply_filter]
    return encoded + attr.REQUEST_SIZE[trace.request_bytes] + attr.RESPONSE_SIZE[trace.response_bytes]


def _filter(trace: ExchangeTrace, record: FilterRecord, identity: bytes) -> bytes:
    filters = trace.route.filters
    parts = [
        attr.FILTER_NAME[record.name],
        attr.POSITION[record.position],
        attr.DIRECTION["request" if record.direction is Direction.REQUEST else "response"],
        attr.DECISION[record.decision],
        attr.CALLS[record.calls],
        attr.HOST_CALLS[record.host_calls],
        attr.GUEST_TIME.fresh(record.guest_ns * _NS),
        attr.HOST_TIME.fresh(record.host_ns * _NS),
        attr.WAIT_TIME.fresh(record.wait_ns * _NS),
        attr.MEMORY[record.memory_bytes],
        attr.BYTES_IN[record.bytes_in],
        attr.BYTES_OUT[record.bytes_out],
    ]
    if 0 <= record.position < len(filters):
        parts.append(_module(filters[record.position]))
    if record.edits:
        parts.append(attr.EDITS.fresh(record.edits[:EDITS_SHOWN]))
    if record.attributes:
        parts += _guest(record)
    if record.error:
        parts += (attr.ERROR_TYPE[record.error], _STATUS_ERROR)
    name_bytes = b"filter " + utf8(record.name.encode("utf-8", "replace"), 256)
    parent, body = trace.context.span_id, b"".join(parts)
    return _span(identity, parent, name_bytes, _INTERNAL, record.start_ns, record.end_ns, _LOCAL_CHILD, body)


def _guest(record: FilterRecord) -> list[bytes]:
    """What the guest set; of equal keys the last counts, as OTLP allows each only once."""
    prefix = f"edge.guest.{record.name}."
    values = {key[:GUEST_KEY_CHARS]: value for key, value in record.attributes}
    shown = islice(values.items(), GUEST_ATTRIBUTES)
    return [TextKey(prefix + key, GUEST_VALUE_BYTES).fresh(value) for key, value in shown]


def _module(info: FilterInfo) -> bytes:
    encoded = (
        attr.DIGEST[info.digest]
        + attr.ABI[info.abi]
        + attr.FAIL_STRATEGY["FAIL_OPEN" if info.fail_open else "FAIL_CLOSE"]
    )
    return encoded + attr.VERSION[info.version] if info.version else encoded
