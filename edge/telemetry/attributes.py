"""The attributes of spans: every key once, made at import. Few, fixed, documented.

Spec: OpenTelemetry semantic conventions 1.44 (HTTP spans); what they lack starts with `edge.`.
"""

from __future__ import annotations

from typing import Final

from edge.telemetry.protobuf import BytesKey, DoubleKeys, IntKey, ListKey, TextKey, boolean
from edge.telemetry.spans import VALUE_LIMIT_BYTES

_L: Final = VALUE_LIMIT_BYTES
METHOD: Final = BytesKey("http.request.method", 64)
METHOD_ORIGINAL: Final = BytesKey("http.request.method_original", 64)
URL_PATH: Final = BytesKey("url.path", _L)
URL_QUERY: Final = BytesKey("url.query", _L)
URL_SCHEME: Final = BytesKey("url.scheme", 16)
URL_FULL: Final = BytesKey("url.full", _L)
HTTP_ROUTE: Final = TextKey("http.route", _L)
STATUS: Final = IntKey("http.response.status_code")
ERROR_TYPE: Final = TextKey("error.type", 256)
RESEND: Final = IntKey("http.request.resend_count")
SERVER_ADDRESS: Final = BytesKey("server.address", 255)
SERVER_PORT: Final = IntKey("server.port")
CLIENT_ADDRESS: Final = TextKey("client.address", 64)
PEER_ADDRESS: Final = TextKey("network.peer.address", 64)
PEER_PORT: Final = IntKey("network.peer.port")
PROTOCOL: Final = TextKey("network.protocol.version", 16)
TLS: Final = TextKey("tls.protocol.version", 16)
USER_AGENT: Final = BytesKey("user_agent.original", 512)
REQUEST_SIZE: Final = IntKey("http.request.body.size")
RESPONSE_SIZE: Final = IntKey("http.response.body.size")
LISTENER: Final = TextKey("edge.listener.name", 256)
ROUTE: Final = TextKey("edge.route.name", 256)
CHAIN: Final = TextKey("edge.chain.name", 256)
REVISION: Final = IntKey("edge.config.revision")
REPLY_SOURCE: Final = TextKey("edge.reply.source", 16)
REPLY_FILTER: Final = TextKey("edge.reply.filter", 256)
REQUEST_ID: Final = BytesKey("edge.request.id", 128)
CLUSTER: Final = TextKey("edge.cluster.name", 256)
ENDPOINT: Final = TextKey("edge.endpoint.address", 255)
MIRROR: Final = boolean("edge.mirror")[1]
MIRROR_OUTCOME: Final = TextKey("edge.mirror.outcome", 16)
NOT_REUSED, REUSED = boolean("edge.connection.reused")
FILTER_NAME: Final = TextKey("edge.filter.name", 256)
DIGEST: Final = TextKey("edge.filter.module.digest", 80)
VERSION: Final = TextKey("edge.filter.module.version", 64)
ABI: Final = TextKey("edge.filter.abi", 64)
DIRECTION: Final = TextKey("edge.filter.direction", 16)
POSITION: Final = IntKey("edge.filter.position")
DECISION: Final = TextKey("edge.filter.decision", 16)
CALLS: Final = IntKey("edge.filter.calls")
HOST_CALLS: Final = IntKey("edge.filter.hostcalls")
EDITS: Final = ListKey("edge.filter.edits", 128)
TIMES: Final = DoubleKeys("edge.filter.guest_time", "edge.filter.host_time", "edge.filter.wait_time")
"""In seconds."""
MEMORY: Final = IntKey("edge.filter.memory.peak")
BYTES_IN: Final = IntKey("edge.filter.bytes.in")
BYTES_OUT: Final = IntKey("edge.filter.bytes.out")
FAIL_STRATEGY: Final = TextKey("edge.filter.fail_strategy", 16)
