"""One watched cluster: its names are looked up, its endpoints probed, and what changed is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, Protocol

from edge.control.discovery.names import Name
from edge.control.discovery.probe import ProbeFailed
from edge.control.discovery.resolver import LookupFailed, Resolver
from edge.control.discovery.spec import Check, Watch
from edge.control.discovery.wellness import State, Wellness

log = logging.getLogger("edge.supervisor")

FIRST_PROBE_S: Final = 0.2
"""First probes are spread over this, the later ones over `SPREAD` of the interval."""
SPREAD: Final = 0.1

Prober = Callable[[Watch, Check, str, int, str], Awaitable[None]]
Key = tuple[str, int]


class Member(NamedTuple):
    """An endpoint as workers are told: an IP address, and whether it may be used."""

    host: str
    port: int
    name: str
    """The host as the file has it."""
    weight: int
    state: State
    reason: str

    @property
    def usable(self) -> bool:
        return self.state is not State.UNHEALTHY


class World(Protocol):
    """What a site needs from outside."""

    resolver: Resolver
    prober: Prober
    clock: Callable[[], float]
    chance: Callable[[], float]
    probing: asyncio.Semaphore


class _Endpoint:
    """An address in use, and its probing where the cluster has a check."""

    __slots__ = ("name", "task", "weight", "wellness")

    def __init__(self, name: str, weight: int, wellness: Wellness | None) -> None:
        self.name = name
        self.weight = weight
        self.wellness = wellness
        self.task: asyncio.Task[None] | None = None


class Site:
    """`changed(site)` is called when `members()` says something new."""

    def __init__(self, watch: Watch, world: World, changed: Callable[[Site], None]) -> None:
        self.watch = watch
        self.generation = 0
        """Of the last list told; owned by the watcher."""
        self._world = world
        self._changed = changed
        self._names = [Name(watch.refresh_s, world.chance) for _ in watch.places]
        self._endpoints: dict[Key, _Endpoint] = {}
        self.asked = asyncio.Event()
        """Set when every name was looked up once, with whatever result."""
        self._tasks = [
            asyncio.create_task(self._follow(index), name=f"dns {watch.cluster}")
            for index in range(len(watch.places))
        ]

    def members(self) -> list[Member]:
        """The endpoints now, in a stable order."""
        return [
            Member(
                host,
                port,
                endpoint.name,
                endpoint.weight,
                endpoint.wellness.state if endpoint.wellness else State.HEALTHY,
                endpoint.wellness.reason if endpoint.wellness else "",
            )
            for (host, port), endpoint in sorted(self._endpoints.items())
        ]

    def stale(self) -> int:
        """How many names are served by addresses that the DNS does not confirm now."""
        return sum(name.stale for name in self._names)

    async def stop(self) -> None:
        tasks = [*self._tasks, *(each.task for each in self._endpoints.values() if each.task)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # ---- names

    async def _follow(self, index: int) -> None:
        place, name = self.watch.places[index], self._names[index]
        world = self._world
        while True:
            try:
                found = await world.resolver.lookup(place.host)
            except LookupFailed as error:
                if name.failed(str(error), world.clock()):
                    kept = f"; {len(name.addresses)} addresses of before are used" if name.addresses else ""
                    log.warning("cluster %s: %s%s", self.watch.cluster, error, kept)
                    if name.addresses is None:
                        self._changed(self)  # workers must not wait for what nobody knows
            else:
                if name.found(found.addresses, found.ttl_s, world.clock()):
                    self._reconcile()
            if not self.asked.is_set() and all(each.next_at for each in self._names):
                self.asked.set()
            await asyncio.sleep(max(name.next_at - world.clock(), 0.0))

    def _reconcile(self) -> None:
        """Start with what is new, end with what is gone; what stays keeps its state."""
        wanted = {
            (address, place.port): place
            for place, name in zip(self.watch.places, self._names, strict=True)
            for address in name.addresses or ()
        }
        for key in self._endpoints.keys() - wanted.keys():
            gone = self._endpoints.pop(key)
            if gone.task is not None:
                gone.task.cancel()
        for key in wanted.keys() - self._endpoints.keys():
            place, check = wanted[key], self.watch.check
            endpoint = _Endpoint(place.host, place.weight, Wellness(check) if check else None)
            self._endpoints[key] = endpoint
            if check is not None:
                endpoint.task = asyncio.create_task(self._probe(key, endpoint, check))
        self._changed(self)

    # ---- health

    async def _probe(self, key: Key, endpoint: _Endpoint, check: Check) -> None:
        world, wellness = self._world, endpoint.wellness
        assert wellness is not None
        await asyncio.sleep(world.chance() * min(FIRST_PROBE_S, check.interval_s))
        while True:
            try:
                async with world.probing:
                    await world.prober(self.watch, check, *key, endpoint.name)
            except ProbeFailed as error:
                changed = wellness.failed(str(error))
            else:
                changed = wellness.passed()
            if changed:
                self._log(key, wellness)
                self._changed(self)
            await asyncio.sleep(check.interval_s * (1 + SPREAD * (2 * world.chance() - 1)))

    def _log(self, key: Key, wellness: Wellness) -> None:
        host, port = key
        level = logging.WARNING if wellness.state is State.UNHEALTHY else logging.INFO
        why = f": {wellness.reason}" if wellness.reason else ""
        shown = f"[{host}]" if ":" in host else host
        state = wellness.state.value
        log.log(level, "cluster %s: %s:%d is %s%s", self.watch.cluster, shown, port, state, why)
