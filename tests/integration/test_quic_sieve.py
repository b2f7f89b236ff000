"""The filter that thins first packets, on real sockets: what passes it and what does not."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from edge import bpf
from edge.listen.sieve import begin, program, thin

ID_BYTES = 8
OURS, THEIRS = bytes([ID_BYTES]) + b"i" * ID_BYTES, b"\x0a" + b"c" * 10
SHORT = b"\x40" + b"i" * ID_BYTES + b"packet"
INITIAL = b"\xc0\0\0\0\1" + OURS + b"packet"
HANDSHAKE = b"\xe0\0\0\0\1" + OURS + b"packet"
STRAY_HANDSHAKE = b"\xe0\0\0\0\1" + THEIRS + b"packet"
OTHER_VERSION = b"\xe0\0\0\0\2" + OURS + b"packet"
LAST = b"\x40the last one"

SO_ATTACH_FILTER = 26


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """(the server's, a client's)."""
    with (
        closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as server,
        closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as client,
    ):
        server.bind(("127.0.0.1", 0))
        server.settimeout(30)
        client.connect(server.getsockname())
        yield server, client


def _passed(pair: tuple[socket.socket, socket.socket], *sent: bytes) -> list[bytes]:
    """What of `sent` the server gets: a last datagram that always passes ends the wait."""
    server, client = pair
    for data in (*sent, LAST):
        client.send(data)
    got: list[bytes] = []
    while (data := server.recv(2048)) != LAST:
        got.append(data)
    return got


def test_what_is_no_first_packet_passes_whatever_the_lot(pair: tuple[socket.socket, socket.socket]) -> None:
    bpf.attach(pair[0], SO_ATTACH_FILTER, program(0, ID_BYTES))
    sent = [SHORT, INITIAL, HANDSHAKE, STRAY_HANDSHAKE, OTHER_VERSION, b"\xc0", b"\xe0\0\0"]
    assert _passed(pair, *sent) == [SHORT, HANDSHAKE]


def test_a_part_of_first_packets_passes_and_then_all_again(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    thin(pair[0], 1, ID_BYTES)
    passed = sum(len(_passed(pair, *[INITIAL] * 50)) for _ in range(20))
    assert 0 < passed < 1000  # none, or all, of a thousand: one in 2 ** 1000
    thin(pair[0], 0, ID_BYTES)
    assert _passed(pair, *[INITIAL] * 50) == [INITIAL] * 50


def test_a_filter_that_a_worker_left_behind_goes_with_the_next_owner(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    begin(pair[0])
    bpf.attach(pair[0], SO_ATTACH_FILTER, program(0, ID_BYTES))
    begin(pair[0])
    assert _passed(pair, INITIAL) == [INITIAL]
