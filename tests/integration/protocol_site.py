"""An edge that speaks every protocol, and one way to talk to it over each."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.hostile.fake_h2 import Pairs
from tests.integration.authority import HOSTS, Authority
from tests.integration.h2_client import H2Client
from tests.integration.h3_client import H3Client
from tests.integration.raw_client import RawClient
from tests.integration.running_edge import Configuration, EdgeProcess, secured
from tests.tools import require

STREAMS: Final = ("h2c", "h2", "h3")
"""Protocols with streams: HTTP/2 on plain TCP and on TLS, HTTP/3."""
PROTOCOLS: Final = ("h1", "h1s", *STREAMS)
"""h1 is plain, h1s on TLS."""

StreamClient = H2Client | H3Client


def every_protocol(config: Configuration, authority: Authority) -> Configuration:
    """The same, its listener `web` with h1 and h2c, and a listener `secure` with h1, h2 and h3."""
    config["listeners"][0]["protocols"] = ["h1", "h2c"]
    return secured(config, {**authority.listener(), "protocols": ["h1", "h2", "h3"]})


def fields(path: str = "/", *more: tuple[bytes, bytes], method: str = "GET", scheme: str = "https") -> Pairs:
    """A request of `shop.example`."""
    return [
        (b":method", method.encode()),
        (b":scheme", scheme.encode()),
        (b":authority", HOSTS[0].encode()),
        (b":path", path.encode()),
        *more,
    ]


@dataclass
class Reply:
    """A whole response on a stream."""

    status: int
    head: Pairs
    body: bytes
    trailers: Pairs
    early: list[Pairs]
    """Informational heads."""

    def values(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.head if key == name]


def reply_of(client: StreamClient, stream_id: int) -> Reply:
    """Waits for the end of the stream; the response must have come whole."""
    client.wait(lambda: client.ended(stream_id) or client.reset_code(stream_id) is not None)
    assert client.ended(stream_id), f"reset {client.reset_code(stream_id)}, heads {client.heads(stream_id)}"
    heads = client.heads(stream_id)
    early = [head for head in heads if dict(head).get(b":status", b"").startswith(b"1")]
    final, *trailers = heads[len(early) :]
    return Reply(
        int(dict(final)[b":status"]), final, client.body(stream_id), trailers[0] if trailers else [], early
    )


@dataclass
class Site:
    """A running edge of `every_protocol`."""

    edge: EdgeProcess
    authority: Authority

    def connect(self, protocol: str, **settings: Any) -> StreamClient:
        """A client of one of STREAMS."""
        if protocol == "h3":
            return H3Client(self.edge.ports["secure"], HOSTS[0], **settings)
        if protocol == "h2c":
            return H2Client(self.edge.web, **settings)
        return H2Client(self.edge.ports["secure"], (self.authority.client("h2"), HOSTS[0]), **settings)

    def h1(self, protocol: str = "h1") -> RawClient:
        """A client of HTTP/1.1: `h1` plain, `h1s` over TLS."""
        if protocol == "h1":
            return RawClient(self.edge.web)
        return RawClient(self.edge.ports["secure"], (self.authority.client(), HOSTS[0]))

    def ask(
        self, protocol: str, path: str, *more: tuple[bytes, bytes], method: str = "GET", body: bytes = b""
    ) -> Reply:
        """One request on a connection of its own, over any of PROTOCOLS."""
        if protocol in ("h1", "h1s"):
            return self._ask_h1(protocol, path, more, method, body)
        scheme = "http" if protocol == "h2c" else "https"
        with self.connect(protocol) as client:
            return reply_of(client, client.request(fields(path, *more, method=method, scheme=scheme), body))

    def _ask_h1(
        self, protocol: str, path: str, more: tuple[tuple[bytes, bytes], ...], method: str, body: bytes
    ) -> Reply:
        length = [(b"content-length", b"%d" % len(body))] if body else []
        lines = [b"%b: %b" % field for field in (*more, *length)]
        head = [f"{method} {path} HTTP/1.1".encode(), b"host: " + HOSTS[0].encode(), *lines, b"", b""]
        with self.h1(protocol) as client:
            with suppress(ConnectionError, ssl.SSLEOFError):  # who answers early need not take all of a body
                client.send(b"\r\n".join(head) + body)
            early = []
            while (answer := client.response(method == "HEAD")).status < 200:
                early.append(answer.fields)
        return Reply(answer.status, answer.fields, answer.body, answer.trailers, early)


def child_environment(folder: Callable[[], Path]) -> dict[str, str]:
    """For a child that imports what is in `folder` beside the tests."""
    names = ("SSL_CERT_FILE", "CURL_HOME", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    kept = {key: value for key, value in os.environ.items() if key not in names}
    return {**kept, "PYTHONPATH": str(require(folder))}
