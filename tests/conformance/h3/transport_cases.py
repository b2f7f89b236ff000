"""What a QUIC server must answer to a client that breaks RFC 9000 or 9001: 34 cases.

The list of cases is h3spec's; how each is provoked is ours.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from aioquic import tls
from aioquic._buffer import Buffer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.packet import (
    QuicHeader,
    QuicPreferredAddress,
    QuicTransportParameters,
    pull_quic_transport_parameters,
    push_quic_transport_parameters,
)

from edge.codec.h3.transport import Transport
from edge.listen.quic_door import Door
from tests.conformance.h3 import packets
from tests.conformance.h3.packets import inject
from tests.unit.codec.h3.world import Client, World, settings

FLOW_CONTROL: Final = 0x3
STREAM_LIMIT: Final = 0x4
STREAM_STATE: Final = 0x5
FRAME_ENCODING: Final = 0x7
TRANSPORT_PARAMETER: Final = 0x8
PROTOCOL_VIOLATION: Final = 0xA
UNEXPECTED_MESSAGE: Final = 0x10A
MISSING_EXTENSION: Final = 0x16D
NO_APPLICATION_PROTOCOL: Final = 0x178

_KEY_UPDATE: Final = b"\x18\x00\x00\x01\x00"
_END_OF_EARLY_DATA: Final = b"\x05\x00\x00\x00"
_SERVER_STREAM: Final = 101
"""A stream only the server may open, and has not."""
_SERVER_UNI: Final = 3
_CLIENT_UNI: Final = 2


@dataclass(frozen=True)
class Case:
    """`provoke` gets a fresh world and returns the client that must be told `code`."""

    name: str
    section: str
    code: int
    provoke: Callable[[World], Client]


def _frames(payload: bytes, reserved: int = 0) -> Callable[[World], Client]:
    """`payload` in a 1-RTT packet after the handshake."""

    def provoke(world: World) -> Client:
        client = world.client()
        inject(client, payload, reserved=reserved)
        return client

    return provoke


def _handshake(payload: bytes, reserved: int = 0) -> Callable[[World], Client]:
    """`payload` in a Handshake packet before the client's Finished."""

    def provoke(world: World) -> Client:
        client = Client(world)
        packets.meet(client)
        inject(client, payload, tls.Epoch.HANDSHAKE, reserved)
        return client

    return provoke


class _OtherParameters(QuicConnection):
    """Sends transport parameters that `change` has edited."""

    def __init__(
        self, configuration: QuicConfiguration, change: Callable[[QuicTransportParameters], None]
    ) -> None:
        super().__init__(configuration=configuration)
        self._change = change

    def _serialize_transport_parameters(self) -> bytes:
        data = super()._serialize_transport_parameters()
        parameters = pull_quic_transport_parameters(Buffer(data=data))
        self._change(parameters)
        out = Buffer(capacity=4096)
        push_quic_transport_parameters(out, parameters)
        return out.data


def _parameters(**changed: object) -> Callable[[World], Client]:
    def change(parameters: QuicTransportParameters) -> None:
        for name, value in changed.items():
            setattr(parameters, name, value)

    def provoke(world: World) -> Client:
        client = Client(world, quic=lambda configuration: _OtherParameters(configuration, change))
        client.connect()
        return client

    return provoke


class _OtherExtensions(QuicConnection):
    """Sends its transport parameters under another number, or not at all."""

    number: int | None = None

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        parameters = self.tls.handshake_extensions[0][1]
        extensions: list[tuple[int, bytes]] = [] if self.number is None else [(self.number, parameters)]
        self.tls.handshake_extensions = extensions


class _DraftExtension(_OtherExtensions):
    number = 0xFFA5


def _quic(kind: Callable[..., QuicConnection]) -> Callable[[World], Client]:
    def provoke(world: World) -> Client:
        client = Client(world, quic=lambda configuration: kind(configuration=configuration))
        client.connect()
        return client

    return provoke


def _other_protocol(world: World) -> Client:
    client = Client(world, alpn_protocols=["dummy"])
    client.connect()
    return client


class TicketDoor(Door):
    """Hands out tickets with early data, which edge never does: without them 0-RTT has no keys."""

    def __init__(self) -> None:
        super().__init__(settings())
        self.tickets: dict[bytes, tls.SessionTicket] = {}

    def first(self, header: QuicHeader, size: int, addr: Any, half_open: int, now: float) -> Any:
        made = super().first(header, size, addr, half_open, now)
        if isinstance(made, Transport):
            made._session_ticket_fetcher = self.tickets.get
            made._session_ticket_handler = lambda ticket: self.tickets.update({ticket.ticket: ticket})
        return made


def _crypto_in_early_data(world: World) -> Client:
    world.host.door = TicketDoor()
    tickets: list[tls.SessionTicket] = []
    world.client(quic=lambda c: QuicConnection(configuration=c, session_ticket_handler=tickets.append))
    assert tickets and tickets[0].not_valid_after > datetime.datetime.now(datetime.UTC)
    client = Client(world, session_ticket=tickets[0])
    client.connect()
    first = client.quic.datagrams_to_send(world.loop.now)
    world.host.datagram_received(first[0][0], client.address)
    inject(client, packets.crypto(0, _KEY_UPDATE), tls.Epoch.ZERO_RTT)
    return client


_PREFERRED: Final = QuicPreferredAddress(
    ipv4_address=("127.0.0.1", 443),
    ipv6_address=None,
    connection_id=bytes(range(8)),
    stateless_reset_token=bytes(range(16)),
)

CASES: Final = [
    Case("stream frame with a large offset", "9000 4.1", FLOW_CONTROL,
         _frames(packets.stream(0, b"GET /\r\n", 100_000_000, fin=True))),
    Case("stream id over the limit", "9000 4.6", STREAM_LIMIT,
         _frames(packets.stream(1_000_000_000, b"GET /\r\n", fin=True))),
    Case("no initial_source_connection_id", "9000 7.3", TRANSPORT_PARAMETER,
         _parameters(initial_source_connection_id=None)),
    Case("original_destination_connection_id", "9000 18.2", TRANSPORT_PARAMETER,
         _parameters(original_destination_connection_id=b"DUMMY")),
    Case("preferred_address", "9000 18.2", TRANSPORT_PARAMETER, _parameters(preferred_address=_PREFERRED)),
    Case("retry_source_connection_id", "9000 18.2", TRANSPORT_PARAMETER,
         _parameters(retry_source_connection_id=b"DUMMY")),
    Case("stateless_reset_token", "9000 18.2", TRANSPORT_PARAMETER,
         _parameters(stateless_reset_token=bytes(16))),
    Case("max_udp_payload_size under 1200", "9000 18.2", TRANSPORT_PARAMETER,
         _parameters(max_udp_payload_size=1090)),
    Case("ack_delay_exponent over 20", "9000 18.2", TRANSPORT_PARAMETER, _parameters(ack_delay_exponent=30)),
    Case("max_ack_delay of 2^15", "9000 18.2", TRANSPORT_PARAMETER, _parameters(max_ack_delay=1 << 15)),
    Case("frame of unknown type", "9000 12.4", FRAME_ENCODING, _frames(b"\x20")),
    Case("packet without frames", "9000 12.4", PROTOCOL_VIOLATION, _frames(b"")),
    Case("reserved bits in a Handshake packet", "9000 17.2", PROTOCOL_VIOLATION, _handshake(b"\x01", 2)),
    Case("PATH_CHALLENGE in a Handshake packet", "9000 17.2.4", PROTOCOL_VIOLATION,
         _handshake(packets.PATH_CHALLENGE)),
    Case("reserved bits in a short header", "9000 17.3", PROTOCOL_VIOLATION, _frames(b"\x01", 1)),
    Case("RESET_STREAM for a send-only stream", "9000 19.4", STREAM_STATE,
         _frames(packets.reset_stream(_SERVER_UNI))),
    Case("STOP_SENDING for a stream not created", "9000 19.5", STREAM_STATE,
         _frames(packets.stop_sending(_SERVER_STREAM))),
    Case("NEW_TOKEN", "9000 19.7", PROTOCOL_VIOLATION, _frames(packets.NEW_TOKEN)),
    Case("STREAM for a server's stream not created", "9000 19.8", STREAM_STATE,
         _frames(packets.stream(_SERVER_STREAM, b"x"))),
    Case("STREAM for a send-only stream", "9000 19.8", STREAM_STATE,
         _frames(packets.stream(_SERVER_UNI, b"x"))),
    Case("MAX_STREAM_DATA for a stream not created", "9000 19.10", STREAM_STATE,
         _frames(packets.max_stream_data(_SERVER_STREAM, 1 << 20))),
    Case("MAX_STREAM_DATA for a receive-only stream", "9000 19.10", STREAM_STATE,
         _frames(packets.max_stream_data(_CLIENT_UNI, 1 << 20))),
    Case("MAX_STREAMS over 2^60", "9000 19.11", FRAME_ENCODING, _frames(packets.max_streams((1 << 60) + 1))),
    Case("STREAMS_BLOCKED over 2^60", "9000 19.14", FRAME_ENCODING,
         _frames(packets.streams_blocked((1 << 60) + 1))),
    Case("NEW_CONNECTION_ID that retires itself", "9000 19.15", FRAME_ENCODING,
         _frames(packets.new_connection_id(8, 10, bytes(8)))),
    Case("NEW_CONNECTION_ID of no bytes", "9000 19.15", FRAME_ENCODING,
         _frames(packets.new_connection_id(8, 0, b""))),
    Case("HANDSHAKE_DONE", "9000 19.20", PROTOCOL_VIOLATION, _frames(packets.HANDSHAKE_DONE)),
    Case("TLS KeyUpdate in a Handshake packet", "9001 6", UNEXPECTED_MESSAGE,
         _handshake(packets.crypto(0, _KEY_UPDATE))),
    Case("TLS KeyUpdate in a 1-RTT packet", "9001 6", UNEXPECTED_MESSAGE,
         _frames(packets.crypto(0, _KEY_UPDATE))),
    Case("no common application protocol", "9001 8.1", NO_APPLICATION_PROTOCOL, _other_protocol),
    Case("no transport parameters", "9001 8.2", MISSING_EXTENSION, _quic(_OtherExtensions)),
    Case("transport parameters under the draft's number", "9001 8.2", MISSING_EXTENSION,
         _quic(_DraftExtension)),
    Case("TLS EndOfEarlyData", "9001 8.3", UNEXPECTED_MESSAGE,
         _handshake(packets.crypto(0, _END_OF_EARLY_DATA))),
    Case("CRYPTO in 0-RTT", "9001 8.3", PROTOCOL_VIOLATION, _crypto_in_early_data),
]  # fmt: skip
