"""One GET over HTTP/3, where curl lacks it.

`python -m edge.cli.demo.h3 URL [-H 'name: value']... [--cacert FILE]`
"""

from __future__ import annotations

import asyncio
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from urllib.parse import urlsplit

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import QuicEvent

TIMEOUT_S = 10.0


class _Client(QuicConnectionProtocol):
    """Collects the events of one response."""

    def ask(self, fields: list[tuple[bytes, bytes]]) -> asyncio.Future[list[H3Event]]:
        self._http = H3Connection(self._quic)
        self._events: list[H3Event] = []
        self._answer: asyncio.Future[list[H3Event]] = self._loop.create_future()
        self._http.send_headers(self._quic.get_next_available_stream_id(), fields, end_stream=True)
        self.transmit()
        return self._answer

    def quic_event_received(self, event: QuicEvent) -> None:
        if not hasattr(self, "_http"):
            return
        for each in self._http.handle_event(event):
            if isinstance(each, HeadersReceived | DataReceived):
                self._events.append(each)
                if each.stream_ended and not self._answer.done():
                    self._answer.set_result(self._events)


async def _get(url: str, headers: Sequence[str], authority_file: str | None) -> str:
    parts = urlsplit(url)
    host, port = parts.hostname or "localhost", parts.port or 443
    configuration = QuicConfiguration(is_client=True, alpn_protocols=["h3"], server_name=host)
    if authority_file:
        configuration.load_verify_locations(authority_file)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    fields = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", parts.netloc.encode())]
    fields.append((b":path", path.encode()))
    for header in headers:
        name, _, value = header.partition(":")
        fields.append((name.strip().lower().encode(), value.strip().encode()))
    address = "127.0.0.1" if host == "localhost" else host
    async with connect(address, port, configuration=configuration, create_protocol=_Client) as client:
        assert isinstance(client, _Client)
        events = await asyncio.wait_for(client.ask(fields), TIMEOUT_S)
    lines = ["HTTP/3"]
    body = b""
    for event in events:
        if isinstance(event, HeadersReceived):
            lines += [f"{name.decode()}: {value.decode('latin-1')}" for name, value in event.headers]
        elif isinstance(event, DataReceived):
            body += event.data
    return "\n".join(lines) + "\n\n" + body.decode("utf-8", "replace")


def main() -> int:
    """Prints head and body; 1 when no answer came."""
    parser = ArgumentParser(prog="python -m edge.cli.demo.h3", description="One GET over HTTP/3.")
    parser.add_argument("url")
    parser.add_argument("-H", action="append", default=[], dest="headers", metavar="'name: value'")
    parser.add_argument("--cacert", metavar="FILE")
    given = parser.parse_args()
    try:
        print(asyncio.run(_get(given.url, given.headers, given.cacert)))
    except (OSError, TimeoutError) as error:
        print(f"{given.url}: no answer over HTTP/3: {error!r}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
