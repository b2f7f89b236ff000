"""Hostile first packets and addresses of QUIC beside the table: rows 67 and 87 to 89."""

from __future__ import annotations

from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection

from edge.codec.h3.transport import CRYPTO_BYTES
from edge.listen.quic_door import HALF_OPEN_LIMIT
from tests.conformance.h3.packets import crypto, inject
from tests.hostile.fake_h1 import FakeExchange
from tests.unit.codec.h3.world import Client, World


def _first(**changed: object) -> tuple[QuicConnection, bytes]:
    """A client that begins, and its first datagram."""
    quic = QuicConnection(configuration=QuicConfiguration(is_client=True, alpn_protocols=["h3"]))
    for name, value in changed.items():
        setattr(quic._peer_cid, name, value)
    quic.connect(("192.0.2.1", 443), 1000.0)
    return quic, quic.datagrams_to_send(1000.0)[0][0]


def test_case_87_beyond_a_hard_limit_nobody_new_is_answered_not_even_by_a_retry() -> None:
    world = World()
    standing = world.client()
    world.host.half_open = HALF_OPEN_LIMIT
    client = Client(world)
    client.connect()
    out = world.network.bytes_out
    world.settle()
    assert (world.network.bytes_out, client.established) == (out, False)
    assert standing.get() == (200, b"ok")
    world.host.half_open = 0
    world.advance(2)
    assert client.established


def test_case_88_a_first_packet_to_an_id_that_could_be_guessed_is_dropped() -> None:
    world = World()
    _, short = _first(cid=b"1234567")
    _, right = _first(cid=b"12345678")
    world.host.datagram_received(short, ("203.0.113.9", 1))
    world.loop.turn()
    assert (world.host.half_open, world.network.bytes_out) == (0, 0)
    world.host.datagram_received(right, ("203.0.113.9", 1))
    world.loop.turn()
    assert world.host.half_open == 1 and world.network.bytes_out > 0


def _move(client: Client, port: int) -> None:
    """As when a NAT forgets: another port, the same connection id."""
    world = client.world
    del world.clients[client.address]
    client.address = ("198.51.100.99", port)
    world.clients[client.address] = client


def test_case_89_a_client_behind_another_port_is_answered_there() -> None:
    world = World()
    client = world.client()
    assert client.get() == (200, b"ok")
    for port in (5, 6, 7):
        _move(client, port)
        assert client.get() == (200, b"ok")
        world.advance(1)
        assert client.get() == (200, b"ok")
        assert world.connections[-1].client == b"198.51.100.99:%d" % port
    assert world.unhandled == []


def test_case_89_a_packet_that_somebody_sends_on_does_not_move_the_answers() -> None:
    """It may be answered there, and no more than three times over. Spec: RFC 9000 §9.3.2."""
    world = World(FakeExchange)
    client = world.client()
    client.request()
    copied = client.quic.datagrams_to_send(world.loop.now)
    elsewhere = ("203.0.113.66", 6)
    for data, _ in copied:
        world.host.datagram_received(data, client.address)
    for data, _ in copied:
        world.host.datagram_received(data, elsewhere)
    world.loop.turn()
    to_elsewhere = sum(len(data) for data, address in world.network.sent if address == elsewhere)
    assert to_elsewhere <= 3 * sum(len(data) for data, _ in copied)
    assert len(world.exchanges) == 1
    world.settle()
    assert client.closed is None and world.unhandled == []


def test_case_67_a_packet_full_of_pings_on_the_long_way_ends_the_connection_too() -> None:
    world = World()
    client = world.client()
    client.quic.change_connection_id()
    inject(client, b"\x01" * 1_000)
    world.settle()
    assert client.closed is not None and client.closed.error_code == 0xA
    assert world.client().get() == (200, b"ok")
    assert world.unhandled == []


def _crypto_first(world: World, port: int, offset: int) -> None:
    """A first packet whose CRYPTO frame leaves a gap."""
    quic, _ = _first()
    pair = quic._cryptos_initial[1]
    payload = crypto(offset, b"x") + bytes(1_200)
    ids = b"\x08" + quic._peer_cid.cid + b"\x08" + quic.host_cid
    header = b"\xc3\0\0\0\1" + ids + b"\0" + (20 + len(payload) | 0x4000).to_bytes(2, "big") + bytes(4)
    world.host.datagram_received(pair.encrypt_packet(header, payload, 0), ("203.0.113.9", port))
    world.loop.turn()


def test_case_85_a_gap_in_a_handshake_costs_no_more_than_a_handshake_has() -> None:
    """One spoofed packet of 1,200 bytes made half a megabyte."""
    world = World()
    for port, offset in enumerate((100, CRYPTO_BYTES - 1, CRYPTO_BYTES, 500_000, 1 << 40)):
        _crypto_first(world, port, offset)
    seats = list(dict.fromkeys(world.host._by_cid.values()))
    held = [
        sum(len(each.receiver._buffer) for each in seat.transport._crypto_streams.values()) for seat in seats
    ]
    assert held == [101, CRYPTO_BYTES, 0, 0, 0]
    assert [seat.transport._close_pending or seat.transport._close_event is not None for seat in seats] == [
        False, False, True, True, True,
    ]  # fmt: skip
    assert world.unhandled == []
    world.advance(11)
    assert world.host.half_open == 0
    assert world.client().get() == (200, b"ok")


def test_case_85_so_does_one_after_the_handshake() -> None:
    world = World()
    client = world.client()
    inject(client, crypto(CRYPTO_BYTES, b"x"))
    world.settle()
    assert client.closed is not None and client.closed.error_code == 0xD
    assert world.client().get() == (200, b"ok")
