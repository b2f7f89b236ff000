"""Row 98 by the clock: who does not finish a handshake is closed by 10 s, which here pass when told."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
import uvloop

from edge import model
from edge.listen.listener import Listener
from edge.listen.tls import server_context
from tests.hostile.cases_tls import WAITS, Wait
from tests.unit.codec.h3.world import certificate

_TURNS = 10_000
"""Of the loop; what has happened shows after two or three."""


class _Loop(uvloop.Loop):
    """Its timers wait for `pass_by`."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._timers: list[tuple[float, Callable[..., object], tuple[Any, ...]]] = []

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        self._timers.append((self.now + delay, callback, args))
        # A handle that never calls: what was filed is called below, once it is due.
        return super().call_later(1 << 20, _nothing)

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        due = [each for each in self._timers if each[0] <= self.now]
        self._timers = [each for each in self._timers if each[0] > self.now]
        for _, callback, args in due:
            callback(*args)


def _nothing() -> None:
    """When the time of the other clock comes, which it does not."""


def _ended(client: socket.socket) -> bool:
    """Whether edge has closed; what it said before is read and dropped."""
    try:
        while client.recv(1 << 16):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        pass
    return True


async def _ends(client: socket.socket) -> bool:
    for _ in range(_TURNS):
        if _ended(client):
            return True
        await asyncio.sleep(0)
    return False


async def _wait_out(row: Wait) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, _Loop)
    context = server_context([certificate("shop.example")], ["http/1.1"], model.TlsProfile())
    drip = iter(row.drip)
    with closing(socket.socket()) as nobody:
        made = model.Listener(name="secure", host="127.0.0.1", port=0)
        listener = Listener(made, nobody, asyncio.Protocol, context)
        served, client = socket.socketpair()
        with client:
            client.setblocking(False)
            client.sendall(row.data)
            await loop.connect_accepted_socket(listener._factory, served)
            for _ in range(9):
                client.sendall(bytes(next(drip, 0) for _ in range(bool(row.drip))))
                await asyncio.sleep(0)
                loop.pass_by(1.0)
            loop.pass_by(0.9)
            for _ in range(10):
                await asyncio.sleep(0)
            assert not _ended(client), "a client may take its time, but not more than 10 s"
            loop.pass_by(0.1)
            assert await _ends(client)


@pytest.mark.parametrize("row", WAITS, ids=lambda row: row.name)
@pytest.mark.row(98)
def test_who_does_not_finish_a_handshake_is_closed_by_10_s(row: Wait) -> None:
    loop = _Loop()
    with closing(loop):
        loop.run_until_complete(_wait_out(row))


def test_every_row_ran() -> None:
    assert len(WAITS) == 7
