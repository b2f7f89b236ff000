"""The program that picks a worker for a QUIC datagram, run by the kernel on real sockets."""

from __future__ import annotations

import select
import socket

import pytest

from edge.control.config.quantity import HostPort
from edge.control.sockets import Bound, bind_udp
from edge.listen.quic import cid_maker

ADDRESS = "127.0.0.1"
WAIT_S = 20


def group(workers: int) -> Bound:
    with socket.socket() as tcp:
        tcp.bind((ADDRESS, 0))
        beside = Bound("web", (tcp,) * workers, HostPort(ADDRESS, tcp.getsockname()[1]))
        (made,) = bind_udp([beside])
    return made


def lands(made: Bound, datagram: bytes) -> int:
    """The number of the socket that gets it, sent from a port of its own."""
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.sendto(datagram, (ADDRESS, made.address.port))
        mine = client.getsockname()[1]
        while True:
            readable, _, _ = select.select(made.sockets, [], [], WAIT_S)
            assert readable, "it went to no socket"
            for each in readable:
                data, sender = each.recvfrom(2048)
                if sender[1] == mine:
                    assert data == datagram
                    return made.sockets.index(each)


@pytest.mark.parametrize("workers", [2, 3, 7])
def test_a_short_header_goes_to_the_worker_whose_id_it_carries(workers: int) -> None:
    made = group(workers)
    try:
        for number in range(workers):
            make = cid_maker(number, workers)
            for _ in range(20):
                assert lands(made, b"\x41" + make() + bytes(30)) == number
    finally:
        made.close()


def test_long_headers_with_one_id_go_to_one_worker_whatever_port_they_come_from() -> None:
    made = group(3)
    try:
        for first in range(0, 256, 5):
            initial = b"\xc3\0\0\0\x01\x08" + bytes([first]) + bytes(7) + bytes(1200)
            assert {lands(made, initial) for _ in range(3)} == {first % 3}
    finally:
        made.close()


@pytest.mark.parametrize("datagram", [b"", b"\x40", b"\xc0", b"\xc0\0\0\0\x01"])
def test_a_datagram_too_short_for_an_id_goes_to_the_first(datagram: bytes) -> None:
    made = group(3)
    try:
        assert lands(made, datagram) == 0
    finally:
        made.close()
