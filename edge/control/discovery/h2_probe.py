"""One request over HTTP/2: a plain one for its status, or grpc.health.v1.Health/Check.

Spec: gRPC Health Checking Protocol; gRPC over HTTP/2 (length-prefixed messages).
"""

from __future__ import annotations

import asyncio
import struct
from typing import Final

from edge.control.discovery.spec import Check

READ_BYTES: Final = 64 << 10
ANSWER_LIMIT_BYTES: Final = 256 << 10
SERVING: Final = 1
_STATUS_NAMES: Final = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
_LENGTH_DELIMITED: Final = 0x0A
"""Field 1, wire type 2: `service` of HealthCheckRequest."""
_VARINT: Final = 0x08
"""Field 1, wire type 0: `status` of HealthCheckResponse."""


class NotServing(Exception):
    """The text says what came instead."""


async def http2_status(
    check: Check, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authority: str, scheme: str
) -> int:
    """The status that answers `check`'s request. Raises NotServing."""
    head = [(":method", check.method), (":scheme", scheme), (":authority", authority), (":path", check.path)]
    headers, _, _ = await _exchange(reader, writer, head, None)
    status = headers.get(b":status", b"")
    if not status.isdigit():
        raise NotServing("the answer has no status")
    return int(status)


async def check(
    service: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authority: str, scheme: str
) -> None:
    """Return when `service` is SERVING. Raises NotServing."""
    head = [
        (":method", "POST"),
        (":scheme", scheme),
        (":authority", authority),
        (":path", "/grpc.health.v1.Health/Check"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ]
    headers, body, trailers = await _exchange(reader, writer, head, encoded_request(service))
    code = trailers.get(b"grpc-status", headers.get(b"grpc-status", b""))
    if headers.get(b":status") != b"200" or code != b"0":
        shown = code.decode("ascii", "replace") or f"HTTP status {headers.get(b':status', b'none').decode()}"
        raise NotServing(f"the health check ended with gRPC status {shown}")
    status = decoded_status(body)
    if status != SERVING:
        raise NotServing(f"the service is {_STATUS_NAMES.get(status, status)}")


def encoded_request(service: str) -> bytes:
    """A HealthCheckRequest with its gRPC prefix."""
    name = service.encode()
    message = bytes([_LENGTH_DELIMITED]) + _varint(len(name)) + name if name else b""
    return struct.pack("!BI", 0, len(message)) + message


def decoded_status(body: bytes) -> int:
    """`status` of the HealthCheckResponse in `body`, 0 (UNKNOWN) when it holds none."""
    message = body[5:]
    if len(message) >= 2 and message[0] == _VARINT and message[1] < 0x80:
        return message[1]
    return 0


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


async def _exchange(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    head: list[tuple[str, str]],
    body: bytes | None,
) -> tuple[dict[bytes, bytes], bytes, dict[bytes, bytes]]:
    """Head, body and trailers of the answer. Raises NotServing."""
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset, TrailersReceived
    from h2.exceptions import ProtocolError

    connection = H2Connection(H2Configuration(client_side=True, header_encoding=None))
    connection.initiate_connection()
    connection.send_headers(1, head, end_stream=body is None)
    if body is not None:
        connection.send_data(1, body, end_stream=True)
    answer: dict[bytes, bytes] = {}
    trailers: dict[bytes, bytes] = {}
    received = bytearray()
    seen = 0
    while True:
        writer.write(connection.data_to_send())
        data = await reader.read(READ_BYTES)
        seen += len(data)
        if not data:
            raise NotServing("the connection closed before an answer came")
        try:
            events = connection.receive_data(data)
        except ProtocolError as error:
            raise NotServing(f"no HTTP/2 answer: {error}") from None
        for event in events:
            if isinstance(event, ResponseReceived):
                answer = dict(event.headers)
            elif isinstance(event, TrailersReceived):
                trailers = dict(event.headers)
            elif isinstance(event, DataReceived):
                received += event.data
            elif isinstance(event, StreamEnded):
                return answer, bytes(received), trailers
            elif isinstance(event, StreamReset):
                raise NotServing(f"the stream was reset with error {int(event.error_code)}")
        if seen > ANSWER_LIMIT_BYTES:
            if body is None and answer:
                return answer, b"", trailers
            raise NotServing("the answer does not end")
