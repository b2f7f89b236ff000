"""Packets and frames no well-behaved client would send, put together by hand. Spec: RFC 9000 §17, §19."""

from __future__ import annotations

from aioquic import tls
from aioquic.quic.connection import QuicConnection

from edge.codec.h3.wire import varint
from tests.unit.codec.h3.world import Client

_LONG_TYPES = {tls.Epoch.ZERO_RTT: 1, tls.Epoch.HANDSHAKE: 2}
_TAG_BYTES = 16


def packet(quic: QuicConnection, epoch: tls.Epoch, payload: bytes, reserved: int = 0) -> bytes:
    """One packet of `epoch` with `payload` as it is, sealed with the keys `quic` has now."""
    number = quic._packet_number
    quic._packet_number += 1
    crypto = quic._cryptos[epoch]
    counter = number.to_bytes(4, "big")
    dcid = quic._peer_cid.cid
    if epoch is tls.Epoch.ONE_RTT:
        first = 0x43 | reserved << 3 | crypto.key_phase << 2
        header = bytes([first]) + dcid + counter
    else:
        first = 0xC3 | _LONG_TYPES[epoch] << 4 | reserved << 2
        size = len(counter) + len(payload) + _TAG_BYTES
        scid = quic.host_cid
        header = b"%c\x00\x00\x00\x01%c%b%c%b" % (first, len(dcid), dcid, len(scid), scid)
        header += (size | 0x4000).to_bytes(2, "big") + counter
    return crypto.encrypt_packet(header, payload, number)


def inject(client: Client, payload: bytes, epoch: tls.Epoch = tls.Epoch.ONE_RTT, reserved: int = 0) -> None:
    """Send a packet of raw frames beside what aioquic sends."""
    data = packet(client.quic, epoch, payload, reserved)
    client.bytes_out += len(data)
    client.world.host.datagram_received(data, client.address)


def stream(
    stream_id: int, data: bytes, offset: int | None = None, length: int | None = None, fin: bool = False
) -> bytes:
    """A STREAM frame."""
    kind = 0x0A | (4 if offset is not None else 0) | (1 if fin else 0)
    start = b"" if offset is None else varint(offset)
    return b"%c" % kind + varint(stream_id) + start + varint(len(data) if length is None else length) + data


def reset_stream(stream_id: int, code: int = 0x10C, final_size: int = 0) -> bytes:
    return b"\x04" + varint(stream_id) + varint(code) + varint(final_size)


def stop_sending(stream_id: int, code: int = 0x10C) -> bytes:
    return b"\x05" + varint(stream_id) + varint(code)


def crypto(offset: int, data: bytes) -> bytes:
    return b"\x06" + varint(offset) + varint(len(data)) + data


def max_stream_data(stream_id: int, limit: int) -> bytes:
    return b"\x11" + varint(stream_id) + varint(limit)


def max_streams(limit: int) -> bytes:
    return b"\x12" + varint(limit)


def streams_blocked(limit: int) -> bytes:
    return b"\x16" + varint(limit)


def new_connection_id(number: int, retire_prior_to: int, cid: bytes) -> bytes:
    return b"\x18" + varint(number) + varint(retire_prior_to) + b"%c" % len(cid) + cid + bytes(16)


PATH_CHALLENGE = b"\x1a01234567"
HANDSHAKE_DONE = b"\x1e"
NEW_TOKEN = b"\x07\x05token"


def meet(client: Client) -> None:
    """Let the handshake go as far as the client's Finished, which is not sent yet."""
    world = client.world
    client.connect()
    for data, _ in client.quic.datagrams_to_send(world.loop.now):
        world.host.datagram_received(data, client.address)
    world.loop.turn()
    while world.network.sent:
        client.receive(world.network.sent.popleft()[0])
