"""A network between the host and its clients that takes time, loses and reorders, by a seed."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Any

from tests.unit.codec.h3.world import HERE, World

DELAY_S = 0.005
TURN_S = 0.0001
"""The host wakes this often at most, as on a machine where a turn takes time."""


class Link:
    """Carries the datagrams of all clients of `world`.

    `loss`, `doubled` and `late` are the shares of datagrams that are lost, come twice or come late.
    """

    def __init__(
        self, world: World, seed: int, loss: float = 0.0, late: float = 0.0, doubled: float = 0.0
    ) -> None:
        self.world = world
        self.random = Random(seed)
        self.loss, self.late, self.doubled = loss, late, doubled
        self.lost = 0
        self._number = 0
        self._under_way: list[tuple[float, int, bool, bytes, Any]] = []
        world.network.sendto = lambda data, addr: self._carry(False, data, addr)  # type: ignore[method-assign]

    def _carry(self, up: bool, data: bytes, addr: Any) -> None:
        random = self.random
        if random.random() < self.loss:
            self.lost += 1
            return
        for _ in range(2 if random.random() < self.doubled else 1):
            late = random.random() * DELAY_S if random.random() < self.late else 0.0
            self._number += 1
            heappush(self._under_way, (self.world.loop.now + DELAY_S + late, self._number, up, data, addr))

    def run(self, done: Callable[[], bool], seconds: float) -> None:
        """Let time pass until `done`; fails when that takes more than `seconds` of the world's."""
        world, loop = self.world, self.world.loop
        until = loop.now + seconds
        while not done():
            loop.turn()
            for client in world.clients.values():
                for data, _ in client.quic.datagrams_to_send(loop.now):
                    self._carry(True, data, client.address)
            assert loop.now < until, "not done in time"
            loop.now = max(loop.now + TURN_S, self._next(until))
            self._deliver()
            self._timers()

    def _next(self, until: float) -> float:
        """When something happens."""
        due = [until]
        timer = self.world.loop.next_timer()
        if timer is not None:
            due.append(timer.at)
        if self._under_way:
            due.append(self._under_way[0][0])
        for client in self.world.clients.values():
            at = client.quic.get_timer()
            if at is not None:
                due.append(at)
        return min(due)

    def _deliver(self) -> None:
        world = self.world
        while self._under_way and self._under_way[0][0] <= world.loop.now:
            _, _, up, data, addr = heappop(self._under_way)
            if up:
                world.host.datagram_received(data, addr)
            elif addr in world.clients:
                client = world.clients[addr]
                client.quic.receive_datagram(data, HERE, now=world.loop.now)
                client.pump()

    def _timers(self) -> None:
        loop = self.world.loop
        while (timer := loop.next_timer()) is not None and timer.at <= loop.now:
            timer.cancel()
            timer.callback()
        for client in self.world.clients.values():
            at = client.quic.get_timer()
            if at is not None and at <= loop.now:
                client.quic.handle_timer(loop.now)
                client.pump()
