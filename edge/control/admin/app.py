"""The admin API as a plain ASGI application. Nothing but the level of the log can be changed here."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qs

from edge.control.admin.guard import Headers, refusal

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

TRACES_DEFAULT = 100
TRACES_LIMIT = 1000
SCHEMA_VERSION = 1
LEVELS = ("debug", "info", "warning", "error")
INVENTORIES = {
    "/clusters": "clusters",
    "/listeners": "listeners",
    "/certs": "certificates",
    "/memory": "memory",
}
"""Pages that show one document of the source each."""

HELP = """\
GET /ready        200 when a worker serves, else 503; its state as JSON
GET /config       the configuration that is served, secrets as digests
GET /clusters     clusters, their endpoints and how those are
GET /listeners    where edge listens, for what, and with how many connections
GET /certs        certificates, who issued them and when they end
GET /memory       resident memory of each process, instances of filters
GET /logging      the level of the log; POST /logging?level=debug|info|warning|error changes it
GET /metrics      metrics of all workers, Prometheus text
GET /traces       recent traces, newest first, as JSON (?limit=N, at most 1000); a page for browsers
GET /traces/ID    one trace
GET /traces.html  the page that draws recent traces as waterfalls
GET /help         this text
"""

CONTENT_POLICY = (
    b"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
    b"img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS: Headers = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", CONTENT_POLICY),
)


class AdminSource(Protocol):
    """What admin shows, as plain data."""

    @property
    def ready(self) -> bool: ...
    def state(self) -> dict[str, Any]:
        """For /ready: plain data for JSON."""

    def config(self) -> dict[str, Any]:
        """For /config: already without secrets."""

    def clusters(self) -> dict[str, Any]: ...
    def listeners(self) -> dict[str, Any]: ...
    def certificates(self) -> dict[str, Any]: ...
    def memory(self) -> dict[str, Any]: ...
    @property
    def log_level(self) -> str:
        """One of LEVELS."""

    def set_log_level(self, level: str) -> None:
        """In every process, until it ends."""

    def metrics(self) -> bytes:
        """Prometheus text."""

    def traces(self, limit: int) -> list[dict[str, Any]]:
        """Newest first, see `telemetry.ring.Ring.traces`."""

    def trace(self, trace_id: str) -> dict[str, Any] | None: ...


class Reply(NamedTuple):
    status: int
    kind: str
    body: bytes
    headers: Sequence[tuple[bytes, bytes]] = ()


class AdminApp:
    """`port` is the one clients must name in Host."""

    def __init__(self, source: AdminSource, port: int) -> None:
        self._source = source
        self._port = port
        self._page = (files("edge.control.admin") / "traces.html").read_bytes()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        elif scope["type"] == "http":
            await _send(send, self.answer(scope))

    def answer(self, scope: Scope) -> Reply:
        """The whole reply to a request's scope."""
        headers: Headers = scope["headers"]
        reason = refusal(headers, self._port)
        if reason:
            return _error(403, reason)
        # The raw path: an encoded spelling of a path is another path, and unknown.
        path = scope["raw_path"].decode("latin-1").partition("?")[0]
        if path == "/logging":
            return self._logging(scope)
        if scope["method"] != "GET":
            return _error(405, "only GET is served", [(b"allow", b"GET")])
        return self._get(path, scope)

    def _logging(self, scope: Scope) -> Reply:
        """The one thing that admin changes; a page of another site cannot (see `guard`)."""
        if scope["method"] == "POST":
            level = parse_qs(scope["query_string"].decode("latin-1")).get("level", [""])[0]
            if level not in LEVELS:
                return _error(400, f"level must be one of {', '.join(LEVELS)}")
            self._source.set_log_level(level)
        elif scope["method"] != "GET":
            return _error(405, "only GET and POST are served", [(b"allow", b"GET, POST")])
        return _json(200, {"schemaVersion": SCHEMA_VERSION, "level": self._source.log_level})

    def _get(self, path: str, scope: Scope) -> Reply:
        if path == "/ready":
            ready = self._source.ready
            return _json(200 if ready else 503, self._source.state())
        if path == "/config":
            return _json(200, self._source.config())
        if path in INVENTORIES:
            return _json(200, getattr(self._source, INVENTORIES[path])())
        if path == "/metrics":
            return Reply(200, "text/plain; version=0.0.4; charset=utf-8", self._source.metrics())
        if path == "/traces.html" or (path in ("/", "/traces") and _wants_html(scope["headers"])):
            return Reply(200, "text/html; charset=utf-8", self._page, [(b"vary", b"accept")])
        if path == "/traces":
            return self._traces(scope["query_string"])
        if path.startswith("/traces/"):
            trace = self._source.trace(path.removeprefix("/traces/"))
            return _json(200, trace) if trace else _error(404, "no recent trace has this id")
        if path in ("/", "/help"):
            return Reply(200, "text/plain; charset=utf-8", HELP.encode())
        return _error(404, "unknown path; GET /help lists them")

    def _traces(self, query: bytes) -> Reply:
        texts = parse_qs(query.decode("latin-1")).get("limit", [str(TRACES_DEFAULT)])
        if not texts[0].isascii() or not texts[0].isdigit() or not 1 <= int(texts[0][:9]) <= TRACES_LIMIT:
            return _error(400, f"limit must be from 1 to {TRACES_LIMIT}")
        traces = self._source.traces(int(texts[0]))
        return _json(200, {"schemaVersion": SCHEMA_VERSION, "traces": traces}, [(b"vary", b"accept")])


def _wants_html(headers: Headers) -> bool:
    return any(name == b"accept" and b"text/html" in value for name, value in headers)


def _json(status: int, data: object, headers: Sequence[tuple[bytes, bytes]] = ()) -> Reply:
    body = json.dumps(data, ensure_ascii=False, indent=1).encode("utf-8", "backslashreplace") + b"\n"
    return Reply(status, "application/json", body, headers)


def _error(status: int, message: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> Reply:
    return _json(status, {"error": message}, headers)


async def _send(send: Send, reply: Reply) -> None:
    headers = [
        (b"content-type", reply.kind.encode()),
        (b"content-length", b"%d" % len(reply.body)),
        *SECURITY_HEADERS,
        *reply.headers,
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
