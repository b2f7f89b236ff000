"""The demo's upstreams: small services that answer with what reached them."""

from __future__ import annotations

import asyncio
import json
import socket

HEAD_LIMIT = 64 << 10
IDLE_S = 65.0
"""Longer than edge keeps idle connections, so that edge closes first."""


class Shop:
    """One version of the shop on a free `port` of loopback, known before it serves."""

    def __init__(self, version: str) -> None:
        self.version = version
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Accept."""
        self._server = await asyncio.start_server(self._serve, sock=self._socket, limit=HEAD_LIMIT)

    def stop(self) -> None:
        """Close; what is under way is cut."""
        if self._server is not None:
            self._server.close()
        self._socket.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                async with asyncio.timeout(IDLE_S):
                    head = await reader.readuntil(b"\r\n\r\n")
                    request, fields = _parse(head)
                    size = await _body(reader, fields)
                writer.write(self._answer(request, fields, size))
                await writer.drain()
        except (OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError):
            return
        finally:
            writer.close()

    def _answer(self, request: str, fields: list[tuple[str, str]], size: int) -> bytes:
        method, path = request.split(" ")[:2]
        headers: dict[str, str | list[str]] = {}
        for name, value in fields:
            known = headers.get(name)
            headers[name] = (
                value if known is None else [*([known] if isinstance(known, str) else known), value]
            )
        told = {
            "service": "shop",
            "version": self.version,
            "method": method,
            "path": path,
            "body_bytes": size,
            "headers": headers,
        }
        body = b"" if method == "HEAD" else json.dumps(told, indent=1).encode() + b"\n"
        head = (
            f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nserver: shop/{self.version}\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


def _parse(head: bytes) -> tuple[str, list[tuple[str, str]]]:
    request, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    pairs = [line.split(":", 1) for line in lines]
    return request, [(name.strip().lower(), value.strip()) for name, value in pairs]


async def _body(reader: asyncio.StreamReader, fields: list[tuple[str, str]]) -> int:
    """Read and forget the body; its size in bytes."""
    by_name = dict(fields)
    if by_name.get("transfer-encoding") == "chunked":
        total = 0
        while size := int((await reader.readline()).split(b";")[0], 16):
            await _skip(reader, size)
            await reader.readexactly(2)
            total += size
        while (await reader.readline()).strip():
            pass
        return total
    size = int(by_name.get("content-length", "0"))
    await _skip(reader, size)
    return size


async def _skip(reader: asyncio.StreamReader, size: int) -> None:
    while size:
        chunk = await reader.read(min(size, 64 << 10))
        if not chunk:
            raise EOFError
        size -= len(chunk)
