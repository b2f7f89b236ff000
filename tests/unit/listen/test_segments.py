"""Datagrams leave in runs where the kernel can cut them up, and all of them leave where it cannot."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import Any

import pytest
import uvloop

from edge.listen.segments import MOST_BYTES, MOST_SEGMENTS, Outlet

TO = ("192.0.2.9", 4433)
DEADLINE_S = 20.0


class _Transport(asyncio.DatagramTransport):
    """Without a socket unless it is given one."""

    def __init__(self, raw: socket.socket | None = None) -> None:
        super().__init__()
        self.raw = raw
        self.sent: list[bytes] = []

    def sendto(self, data: Any, addr: Any = None) -> None:
        self.sent.append(data)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.raw if name == "socket" else default


class _Socket:
    """Takes a message, or fails as told."""

    def __init__(self, error: int = 0) -> None:
        self.error = error
        self.taken: list[tuple[list[bytes], bytes, Any]] = []
        self.closed = False

    def sendmsg(self, buffers: list[bytes], controls: list[Any], flags: int, addr: Any) -> int:
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        ((level, option, size),) = controls
        assert (level, option) == (17, 103)
        self.taken.append((buffers, size, addr))
        return sum(map(len, buffers))

    def close(self) -> None:
        self.closed = True


def _outlet(error: int = 0) -> tuple[Outlet, _Transport, _Socket]:
    transport, fake = _Transport(), _Socket(error)
    outlet = Outlet(transport)
    outlet._socket = fake  # type: ignore[assignment]
    return outlet, transport, fake


def _of(*lengths: int, addr: Any = TO) -> list[tuple[bytes, Any]]:
    return [(bytes((index % 256,)) * length, addr) for index, length in enumerate(lengths)]


def test_a_run_ends_with_what_is_shorter_and_before_what_is_longer() -> None:
    outlet, transport, fake = _outlet()
    outlet.send(_of(30, 1350, 1350, 1350, 7, 1350, 1350, 1351))
    assert [[len(data) for data in taken] for taken, _, _ in fake.taken] == [
        [1350, 1350, 1350, 7],
        [1350, 1350],
    ]
    assert [len(data) for data in transport.sent] == [30, 1351]
    assert {int.from_bytes(size, "little") for _, size, _ in fake.taken} == {1350}


def test_a_run_is_for_one_address() -> None:
    outlet, transport, fake = _outlet()
    outlet.send(_of(100, 100) + _of(100, addr=("192.0.2.10", 1)) + _of(100, 100))
    assert [(len(taken), addr) for taken, _, addr in fake.taken] == [(2, TO), (2, TO)]
    assert len(transport.sent) == 1


def test_a_run_is_no_longer_than_the_kernel_takes() -> None:
    outlet, transport, fake = _outlet()
    outlet.send(_of(*(1350,) * 100))
    outlet.send(_of(*(100,) * 130))
    assert all(len(taken) <= MOST_SEGMENTS for taken, _, _ in fake.taken)
    assert all(sum(map(len, taken)) <= MOST_BYTES for taken, _, _ in fake.taken)
    assert len(fake.taken) == 6
    assert not transport.sent


@pytest.mark.parametrize("error", [errno.EAGAIN, errno.EIO, errno.EMSGSIZE, errno.EINVAL, errno.ENOBUFS])
def test_what_the_kernel_refuses_leaves_one_by_one(error: int) -> None:
    outlet, transport, fake = _outlet(error)
    for _ in range(2):
        outlet.send(_of(1350, 1350, 5))
    assert [len(data) for data in transport.sent] == [1350, 1350, 5] * 2
    assert fake.closed == (error == errno.EIO), "asked again unless it never can"


def test_without_a_socket_or_the_option_each_leaves_alone() -> None:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with here, there:
        for raw in (None, here):
            transport = _Transport(raw)
            Outlet(transport).send(_of(10, 10))
            assert len(transport.sent) == 2


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_datagrams_arrive_as_they_were_made(loop: Any) -> None:
    lengths = [1350] * 50 + [200, 1350, 1350, 9, 1, 1]

    async def run() -> list[bytes]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.bind(("127.0.0.1", 0))
            client.settimeout(DEADLINE_S)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
            )
            outlet = Outlet(transport)
            assert outlet._socket is not None, "this kernel has UDP_SEGMENT"
            outlet.send(_of(*lengths, addr=client.getsockname()))
            arrived = [await asyncio.to_thread(client.recv, 2_000) for _ in lengths]
            outlet.close()
            transport.close()
            return arrived

    made = loop()
    try:
        assert made.run_until_complete(run()) == [data for data, _ in _of(*lengths)]
    finally:
        made.close()
