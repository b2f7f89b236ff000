"""Mutated handshakes and random frames: at worst their own connection ends, and nothing is unhandled."""

from __future__ import annotations

from aioquic import tls
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conformance.h3 import packets
from tests.unit.codec.h3.world import Client, World

_edits = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 4), st.binary(max_size=4)), min_size=1, max_size=4
)


class _Mutated(QuicConnection):
    """A client whose ClientHello is not what TLS wrote."""

    edits: list[tuple[int, int, bytes]]

    def _push_crypto_data(self) -> None:
        for epoch, buffer in self._crypto_buffers.items():
            data = buffer.data
            if epoch is tls.Epoch.INITIAL:
                for at, removed, added in self.edits:
                    at = min(at, len(data))
                    data = data[:at] + added + data[at + removed :]
            self._crypto_streams[epoch].sender.write(data)
            buffer.seek(0)


def _judge(world: World) -> None:
    assert world.unhandled == []
    world.clients.clear()
    world.exchanges.clear()
    assert world.client().get() == (200, b"ok")


@settings(max_examples=150, deadline=None)
@given(_edits)
def test_a_mutated_client_hello_harms_nobody(edits: list[tuple[int, int, bytes]]) -> None:
    world = World()

    def make(configuration: QuicConfiguration) -> QuicConnection:
        quic = _Mutated(configuration=configuration)
        quic.edits = edits
        return quic

    client = Client(world, quic=make)
    client.connect()
    for data, _ in client.quic.datagrams_to_send(world.loop.now):
        world.host.datagram_received(data, client.address)
        world.loop.turn()
    _judge(world)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(0, 0x31)),
    st.binary(max_size=60),
    st.sampled_from([tls.Epoch.ONE_RTT, tls.Epoch.HANDSHAKE]),
)
def test_random_frames_harm_nobody(kinds: list[int], noise: bytes, epoch: tls.Epoch) -> None:
    world = World()
    client = Client(world)
    packets.meet(client)
    if epoch is tls.Epoch.ONE_RTT:
        world.settle()
    payload = b"".join(bytes([kind]) + noise[index : index + 5] for index, kind in enumerate(kinds)) + noise
    packets.inject(client, payload, epoch)
    world.loop.turn()
    _judge(world)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=1300), max_size=6))
def test_random_datagrams_harm_nobody(datagrams: list[bytes]) -> None:
    world = World()
    for data in datagrams:
        for shown in (data, b"\xc3\x00\x00\x00\x01\x08abcdefgh" + data + bytes(max(0, 1200 - len(data)))):
            world.host.datagram_received(shown, ("203.0.113.9", 999))
            world.loop.turn()
    assert world.host.half_open == 0
    assert world.unhandled == []
