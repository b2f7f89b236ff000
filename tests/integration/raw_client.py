"""An HTTP/1.1 client that sends exactly the bytes it is given and shows what came back."""

from __future__ import annotations

import socket
import ssl
import struct
from dataclasses import dataclass, field
from types import TracebackType

_TIMEOUT_S = 30.0
_BODILESS = (204, 304)


class Truncated(Exception):
    """The connection ended inside a response."""


@dataclass
class Response:
    """Field names in lower case."""

    status: int
    fields: list[tuple[bytes, bytes]]
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def values(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.fields if key == name]


def request(target: bytes = b"/", *fields: bytes, method: bytes = b"GET", body: bytes = b"") -> bytes:
    """A request of host `shop.example`; `body` is appended as it is."""
    head = (method + b" " + target + b" HTTP/1.1", b"host: shop.example", *fields, b"", b"")
    return b"\r\n".join(head) + body


class RawClient:
    """One connection. `tls` = (context, name for SNI); `before` is sent first, before TLS."""

    def __init__(self, port: int, tls: tuple[ssl.SSLContext, str] | None = None, before: bytes = b"") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), _TIMEOUT_S)
        self.socket.sendall(before)
        if tls:
            self.socket = tls[0].wrap_socket(self.socket, server_hostname=tls[1])
        self._buffer = b""

    def __enter__(self) -> RawClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reset(self) -> None:
        """End by RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def exchange(self, data: bytes, head_only: bool = False) -> Response:
        """Send and read the one final response."""
        self.send(data)
        return self.response(head_only)

    def response(self, head_only: bool = False) -> Response:
        """The next response, 1xx included. Raises Truncated."""
        line, *rest = self._until(b"\r\n\r\n").split(b"\r\n")
        response = Response(int(line.split(b" ")[1]), _fields(rest))
        if head_only or response.status in _BODILESS or response.status < 200:
            return response
        if response.values(b"transfer-encoding"):
            self._chunks(response)
        elif length := response.values(b"content-length"):
            response.body = self.exactly(int(length[0]))
        else:
            response.body = self.rest()
        return response

    def exactly(self, size: int) -> bytes:
        parts, left = [self._buffer[:size]], size - len(self._buffer[:size])
        self._buffer = self._buffer[size:]
        while left:
            data = self.socket.recv(min(left, 1 << 20))
            if not data:
                raise Truncated(f"{left} of {size} bytes are missing")
            parts.append(data)
            left -= len(data)
        return b"".join(parts)

    def rest(self) -> bytes:
        """Everything until the server closes."""
        parts, self._buffer = [self._buffer], b""
        try:
            while data := self.socket.recv(1 << 16):
                parts.append(data)
        except (ConnectionResetError, ssl.SSLEOFError):
            pass
        return b"".join(parts)

    def _chunks(self, response: Response) -> None:
        while size := int(self._until(b"\r\n").split(b";")[0], 16):
            response.body += self.exactly(size)
            self._until(b"\r\n")
        lines = []
        while line := self._until(b"\r\n"):
            lines.append(line)
        response.trailers = _fields(lines)

    def _until(self, end: bytes) -> bytes:
        while end not in self._buffer:
            data = self.socket.recv(1 << 16)
            if not data:
                raise Truncated(f"closed after {self._buffer!r}")
            self._buffer += data
        found, _, self._buffer = self._buffer.partition(end)
        return found


def _fields(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    pairs = [line.partition(b":") for line in lines]
    return [(name.lower(), value.strip()) for name, _, value in pairs]
