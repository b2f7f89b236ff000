"""One probe of one endpoint: a TCP connect, an HTTP request, or a grpc.health.v1 Check."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from edge.control.discovery import h2_probe
from edge.control.discovery.spec import Check, Watch
from edge.model import Cluster, UpstreamTls
from edge.upstream.tls import ClientTls, client_tls, tls_key

READ_BYTES: Final = 64 << 10
ANSWER_LIMIT_BYTES: Final = 256 << 10
"""A health page that is longer is none; the rest is not read."""
KEPT_TLS: Final = 256
_kept: Final[dict[object, ClientTls | None]] = {}
"""The contexts used lately, by all they depend on; the oldest first."""


class ProbeFailed(Exception):
    """The text says what was expected and what came."""


async def probe(watch: Watch, check: Check, host: str, port: int, name: str) -> None:
    """Return when the endpoint is well, raise ProbeFailed when it is not, within `check.timeout_s`.

    `host` is an IP address; `name` is the host as the file has it, for SNI and the Host field.
    """
    try:
        async with asyncio.timeout(check.timeout_s), _connected(watch, host, port, name) as (reader, writer):
            if check.type != "TCP":
                await _ask(watch, check, reader, writer, _authority(watch, check, name, port))
    except TimeoutError:
        raise ProbeFailed(f"no answer within {check.timeout_s:g} s") from None
    except ssl.SSLError as error:
        raise ProbeFailed(f"TLS: {error.reason or error}") from None
    except h2_probe.NotServing as error:
        raise ProbeFailed(str(error)) from None
    except OSError as error:
        raise ProbeFailed(error.strerror or str(error) or type(error).__name__) from None


async def _ask(
    watch: Watch, check: Check, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authority: str
) -> None:
    scheme = "https" if watch.tls else "http"
    if check.type == "GRPC":
        await h2_probe.check(check.service, reader, writer, authority, scheme)
        return
    if watch.protocol == "h1":
        status = await _http1_status(check, reader, writer, authority)
    else:
        status = await h2_probe.http2_status(check, reader, writer, authority, scheme)
    if status not in check.expected_statuses:
        wanted = ", ".join(map(str, check.expected_statuses))
        raise ProbeFailed(f"{check.method} {check.path} answered {status}, expected {wanted}")


def _authority(watch: Watch, check: Check, name: str, port: int) -> str:
    if check.hostname:
        return check.hostname
    if watch.tls and watch.tls.sni:
        return watch.tls.sni
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


@asynccontextmanager
async def _connected(
    watch: Watch, host: str, port: int, name: str
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    speaks_h2 = watch.protocol == "h2" or (watch.check is not None and watch.check.type == "GRPC")
    tls = _tls(watch.tls, "h2" if speaks_h2 else "h1") if watch.tls is not None else None
    reader, writer = await asyncio.open_connection(
        host,
        port,
        limit=READ_BYTES,
        ssl=tls.context if tls else None,
        server_hostname=tls.name(name) if tls else None,
    )
    try:
        yield reader, writer
    finally:
        writer.transport.abort()  # nothing is left to say, and a hanging peer must not hold us


def _tls(tls: UpstreamTls, protocol: str) -> ClientTls | None:
    """As the cluster itself speaks it. Kept from probe to probe: to make one takes 20 ms."""
    key = (*tls_key(tls), tls.sni, protocol)
    kept = _kept.pop(key, None) or client_tls(Cluster(name="", endpoints=[], protocol=protocol, tls=tls))
    _kept[key] = kept
    if len(_kept) > KEPT_TLS:
        del _kept[next(iter(_kept))]
    return kept


async def _http1_status(
    check: Check, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authority: str
) -> int:
    import h11

    connection = h11.Connection(our_role=h11.CLIENT, max_incomplete_event_size=READ_BYTES)
    request = h11.Request(
        method=check.method,
        target=check.path,
        headers=[("Host", authority), ("User-Agent", "edge-health"), ("Connection", "close")],
    )
    writer.write((connection.send(request) or b"") + (connection.send(h11.EndOfMessage()) or b""))
    seen = 0
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            raise ProbeFailed(f"no HTTP/1.1 answer: {error}") from None
        if isinstance(event, h11.Response):
            return event.status_code
        if event is h11.NEED_DATA:
            data = await reader.read(READ_BYTES)
            seen += len(data)
            if seen > ANSWER_LIMIT_BYTES:
                raise ProbeFailed("the head of the answer does not end")
            connection.receive_data(data)
        elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
            raise ProbeFailed("the connection closed before an answer came")
