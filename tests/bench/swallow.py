"""The upstream of uploads and the collector of spans: reads any body, answers 200 with nothing.

`python -m tests.bench.swallow PORT`
"""

from __future__ import annotations

import asyncio
import re
import sys
from typing import cast

import uvloop

_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 0\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_LAST_CHUNK = b"\r\n0\r\n\r\n"


class Swallow(asyncio.Protocol):
    """Trusts its clients: framing is what their heads say."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._held = b""
        self._left = 0
        self._chunked = False

    def data_received(self, data: bytes) -> None:
        if self._left > len(data):
            self._left -= len(data)
            return
        if self._left:
            data = data[self._left :]
            self._left = 0
            self._transport.write(_ANSWER)
        if self._chunked:
            self._on_chunks(data)
        elif data:
            self._on_head(self._held + data)

    def _on_head(self, data: bytes) -> None:
        at = data.find(b"\r\n\r\n")
        if at < 0:
            self._held = data
            return
        self._held = b""
        head = data[: at + 2]
        rest = data[at + 4 :]
        length = _LENGTH.search(head)
        self._chunked = _CHUNKED.search(head) is not None
        self._left = int(length[1]) if length else 0
        if self._chunked:
            self._on_chunks(b"\r\n" + rest)
        elif self._left:
            self.data_received(rest)
        else:
            self._transport.write(_ANSWER)

    def _on_chunks(self, data: bytes) -> None:
        tail = (self._held + data)[-len(_LAST_CHUNK) :]
        self._held = tail
        if tail == _LAST_CHUNK:
            self._held = b""
            self._chunked = False
            self._transport.write(_ANSWER)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Swallow, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
