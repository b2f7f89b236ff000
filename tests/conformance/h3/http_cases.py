"""What an HTTP/3 server must answer to a client that breaks RFC 9114 or 9204: 16 cases.

The list of cases is h3spec's; how each is provoked is ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aioquic.h3.connection import encode_frame

from edge.codec.h3.wire import Code, varint
from tests.unit.codec.h3.world import GET, Client, World

SETTINGS_ERROR: Final = 0x109
MISSING_SETTINGS: Final = 0x10A
ENCODER_STREAM_ERROR: Final = 0x201
DECODER_STREAM_ERROR: Final = 0x202
CONTROL, ENCODER, DECODER = 0, 2, 3
_SECTION: Final = b"\x00\x00\xd1\xd7\x50\x01a\xc1"
"""GET, https, authority `a`, path `/`, with the static table."""


@dataclass(frozen=True)
class Case:
    """`provoke` gets a world and returns the client and, where a stream is reset, its id."""

    name: str
    section: str
    code: int
    provoke: Callable[[World], tuple[Client, int | None]]


def _stream(data: bytes) -> Callable[[World], tuple[Client, int | None]]:
    """`data` on a request stream; the whole connection must end."""

    def provoke(world: World) -> tuple[Client, int | None]:
        client = world.client()
        client.raw(data)
        return client, None

    return provoke


def _request(*fields: tuple[bytes, bytes]) -> Callable[[World], tuple[Client, int | None]]:
    """A request whose stream must be reset."""

    def provoke(world: World) -> tuple[Client, int | None]:
        client = world.client()
        return client, client.request(list(fields))

    return provoke


def _control(data: bytes) -> Callable[[World], tuple[Client, int | None]]:
    """`data` on the control stream after SETTINGS."""

    def provoke(world: World) -> tuple[Client, int | None]:
        client = world.client()
        assert client.h3 is not None and client.h3._local_control_stream_id is not None
        client.quic.send_stream_data(client.h3._local_control_stream_id, data)
        return client, None

    return provoke


def _uni(kind: int, data: bytes, end: bool = False) -> Callable[[World], tuple[Client, int | None]]:
    """A unidirectional stream of a client that opens no others."""

    def provoke(world: World) -> tuple[Client, int | None]:
        client = world.client(h3=False)
        client.quic.send_stream_data(2, varint(kind) + data, end)
        return client, None

    return provoke


_METHOD, _SCHEME, _AUTHORITY, _PATH = GET

CASES: Final = [
    Case("DATA before HEADERS", "9114 4.1", Code.FRAME_UNEXPECTED, _stream(encode_frame(0, b"x"))),
    Case("pseudo header twice", "9114 4.3", Code.MESSAGE_ERROR, _request(*GET, _METHOD)),
    Case("pseudo header missing", "9114 4.3.1", Code.MESSAGE_ERROR, _request(_METHOD, _SCHEME, _PATH)),
    Case("pseudo header unknown", "9114 4.3", Code.MESSAGE_ERROR, _request(*GET, (b":foo", b"bar"))),
    Case("pseudo header after a field", "9114 4.3", Code.MESSAGE_ERROR,
         _request(_METHOD, _SCHEME, _AUTHORITY, (b"foo", b"bar"), _PATH)),
    Case("control stream that does not begin with SETTINGS", "9114 6.2.1", MISSING_SETTINGS,
         _uni(CONTROL, encode_frame(0xD, b"\x01"))),
    Case("DATA on the control stream", "9114 7.2.1", Code.FRAME_UNEXPECTED, _control(encode_frame(0, b""))),
    Case("HEADERS on the control stream", "9114 7.2.2", Code.FRAME_UNEXPECTED,
         _control(encode_frame(1, b""))),
    Case("second SETTINGS", "9114 7.2.4", Code.FRAME_UNEXPECTED, _control(encode_frame(4, b""))),
    Case("setting twice", "9114 7.2.4", SETTINGS_ERROR,
         _uni(CONTROL, encode_frame(4, b"\x07\x01\x07\x01"))),
    Case("setting of HTTP/2", "9114 7.2.4.1", SETTINGS_ERROR, _uni(CONTROL, encode_frame(4, b"\x02\x01"))),
    Case("CANCEL_PUSH on a request stream", "9114 7.2.5", Code.FRAME_UNEXPECTED,
         _stream(encode_frame(3, b"\x00") + encode_frame(1, _SECTION))),
    Case("static index that is not there", "9204 3.1", Code.QPACK_DECOMPRESSION_FAILED,
         _stream(encode_frame(1, _SECTION + b"\xff\x24"))),
    Case("table capacity over the limit", "9204 4.1.3", ENCODER_STREAM_ERROR,
         _uni(ENCODER, b"\x3f\xe1\xc7\xaf\xa0\x25")),
    Case("control stream closed", "9204 4.2", Code.CLOSED_CRITICAL_STREAM,
         _uni(CONTROL, encode_frame(4, b""), end=True)),
    Case("insert count increment of 0", "9204 4.4.3", DECODER_STREAM_ERROR, _uni(DECODER, b"\x00")),
]  # fmt: skip
