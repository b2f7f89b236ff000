"""A POST of bytes to one URL over asyncio streams, the connection kept between calls."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

_HEAD_LIMIT_BYTES: Final = 16 << 10
_BODY_LIMIT_BYTES: Final = 64 << 10


class PostFailed(Exception):
    """No usable answer came: refused, reset, or not HTTP."""


class Answer:
    """Status, lower-case header names, and the body where its length was told."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class Poster:
    """One connection to `url` (http or https); `ca_file` empty = the system's. Not for concurrent calls."""

    def __init__(self, url: str, headers: Mapping[str, str], ca_file: str = "") -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._tls = parts.scheme == "https"
        self._port = parts.port or (443 if self._tls else 80)
        self._ca_file = ca_file
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [f"POST {target} HTTP/1.1", f"host: {parts.netloc.rpartition('@')[2]}", "user-agent: edge"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a header of the OTLP endpoint holds a line break")
        self._start = "\r\n".join(lines).encode("latin-1", "replace")
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, body: bytes, headers: str) -> Answer:
        """`headers`: more header lines, each ended by CRLF. Raises PostFailed; bound its time outside."""
        try:
            return await self._exchange(body, headers)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            self.close()
            raise PostFailed(str(error) or type(error).__name__) from error
        except asyncio.CancelledError:
            self.close()
            raise

    async def _exchange(self, body: bytes, headers: str) -> Answer:
        if self._streams is None or self._streams[0].at_eof():
            self.close()
            context = ssl.create_default_context(cafile=self._ca_file or None) if self._tls else None
            self._streams = await asyncio.open_connection(
                self._host, self._port, ssl=context, limit=_HEAD_LIMIT_BYTES
            )
        reader, writer = self._streams
        writer.write(self._start + f"\r\n{headers}content-length: {len(body)}\r\n\r\n".encode("latin-1"))
        writer.write(body)
        await writer.drain()
        answer = await _answer(reader)
        if answer.headers.get("connection", "").lower() == "close" or "content-length" not in answer.headers:
            self.close()
        return answer

    def close(self) -> None:
        """Drop the connection; the next `post` makes a new one."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].transport.abort()


async def _answer(reader: asyncio.StreamReader) -> Answer:
    while True:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        version, _, rest = lines[0].partition(" ")
        if not version.startswith("HTTP/1."):
            raise ValueError("the answer is not HTTP/1")
        status = int(rest[:3])
        if status >= 200:
            break
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= _BODY_LIMIT_BYTES:
        raise ValueError("the answer's body is too long")
    return Answer(status, headers, await reader.readexactly(length))
